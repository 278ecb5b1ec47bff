//go:build !race

// The race detector makes pools drop their contents, which would invalidate these tests.

package router_test

import (
	"crypto/tls"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"roost/internal/xmpptest"
	"roost/session"
)

// wire is a connection whose loop is the test's goroutine: posted functions run when the
// test pumps. It keeps the output of the last turn.
type wire struct {
	s    *session.Session
	m    *session.Manager
	out  []byte
	mu   sync.Mutex
	todo []func(loop int)
}

func (w *wire) Queue(p []byte) error {
	w.mu.Lock()
	w.out = append(w.out, p...)
	w.mu.Unlock()
	return nil
}
func (w *wire) Reserve()                                {}
func (w *wire) QueueReserved([]byte) error              { panic("not reserved") }
func (w *wire) Messages() bool                          { return false }
func (w *wire) Flush() bool                             { return false }
func (w *wire) Queued() int                             { return 0 }
func (w *wire) Unconfirmed() int                        { return 0 }
func (w *wire) Pause()                                  {}
func (w *wire) Resume()                                 {}
func (w *wire) StartTLS(*tls.Config) error              { return nil }
func (w *wire) SetCloseCode(uint16)                     {}
func (w *wire) Close(time.Duration)                     {}
func (w *wire) SetDeadline(time.Duration)               {}
func (w *wire) RemoteAddr() netip.AddrPort              { return netip.AddrPort{} }
func (w *wire) Secure() bool                            { return false }
func (w *wire) Hold(int) bool                           { return true }
func (w *wire) Unplug() session.Socket                  { return nil }
func (w *wire) Plug(session.Socket, any) (any, error)   { return w, nil }
func (w *wire) Vacant() any                             { return w }
func (w *wire) Authenticated()                          {}
func (w *wire) Post(f func(loop int))                   { w.mu.Lock(); w.todo = append(w.todo, f); w.mu.Unlock() }
func (w *wire) QueueMessages([]byte, []int, bool) error { panic("no messages") }
func (w *wire) give(text []byte) (n int)                { n = w.s.Data(0, text); w.m.EndTurn(0); return n }

// pump passes text to the session as soon as the session accepts input, and runs posted
// functions until want was written.
func (w *wire) pump(t testing.TB, text, want string) {
	t.Helper()
	w.out = w.out[:0]
	rest := []byte(text)
	xmpptest.Eventually(t, want+" after "+text, func() bool {
		rest = rest[w.give(rest):]
		w.mu.Lock()
		todo, got := w.todo, string(w.out)
		w.todo = nil
		w.mu.Unlock()
		for _, f := range todo {
			f(0)
		}
		w.m.EndTurn(0)
		return len(rest) == 0 && strings.Contains(got, want)
	})
}

const header = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"

// wired logs a client in.
func wired(t testing.TB, m *session.Manager, user, auth string) *wire {
	t.Helper()
	w := &wire{m: m, out: make([]byte, 0, 64<<10)}
	w.s = m.New(w)
	w.pump(t, header, "</stream:features>")
	w.pump(t, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>"+auth+"</auth>", "<success")
	w.pump(t, header, "</stream:features>")
	w.pump(t, "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>", "id='b'")
	w.pump(t, "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>", "id='r'")
	w.pump(t, "<presence/>", "<presence")
	return w
}

// pair returns two clients that exchange stanzas.
func pair(t testing.TB) (romeo, juliet *wire) {
	m := xmpptest.NewServer(t, xmpptest.Config{}).Sessions
	romeo = wired(t, m, "romeo", "AHJvbWVvAHNlY3JldA==")
	juliet = wired(t, m, "juliet", "AGp1bGlldABzZWNyZXQ=")
	t.Cleanup(func() {
		romeo.s.Closed(0, nil)
		juliet.s.Closed(0, nil)
		m.EndTurn(0)
	})
	return romeo, juliet
}

const chat = "<message type='chat' id='m1' to='juliet@localhost/r'><body>But soft, what light through yonder window breaks?" +
	"</body><active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/></message>"

// TestRoutingAllocatesNothing: routing a stanza from one client to others does not
// allocate.
func TestRoutingAllocatesNothing(t *testing.T) {
	romeo, juliet := pair(t)
	f := func(desc, text, want string, get *wire) {
		t.Helper()
		stanza := []byte(text)
		get.out = get.out[:0]
		romeo.give(stanza)
		if !strings.Contains(string(get.out), want) {
			t.Fatalf("%s: got %q, want %q", desc, get.out, want)
		}
		n := testing.AllocsPerRun(200, func() {
			romeo.out, juliet.out = romeo.out[:0], juliet.out[:0]
			romeo.give(stanza)
		})
		if n != 0 {
			t.Errorf("%s: %v allocations, want 0", desc, n)
		}
	}
	f("message to a full JID", chat, "from='romeo@localhost/r'", juliet)
	f("message to a bare JID", strings.Replace(chat, "/r'", "'", 1), "from='romeo@localhost/r'", juliet)
	f("iq to a full JID", "<iq type='get' id='i' to='juliet@localhost/r'><query xmlns='jabber:iq:version'/></iq>", "from='romeo@localhost/r'", juliet)
	f("ping", "<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>", "id='p'", romeo)
	f("presence", "<presence><show>away</show></presence>", "away", romeo)
	f("white space", " ", "", romeo)
}
