package session

import (
	"fmt"
	"hash/maphash"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"roost/jid"
)

// plugPipe is an ackPipe that can get and lose a socket.
type plugPipe struct {
	ackPipe
	socket  *fakeSocket // nil: closed
	space   int         // bytes that may be queued; 0: any number
	queued  int
	plugged func()
}

type fakeSocket struct{ closed bool }

func (x *fakeSocket) Close(time.Duration) { x.closed = true }

func (p *plugPipe) Unplug() Socket {
	if p.socket == nil {
		return nil
	}
	x := p.socket
	p.socket = nil
	return x
}

func (p *plugPipe) Plug(x Socket, _ any) (any, error) {
	p.socket, p.queued = x.(*fakeSocket), 0
	if p.plugged != nil {
		p.plugged()
	}
	return p, nil
}

func (p *plugPipe) Vacant() any { return p }

func (p *plugPipe) QueueReserved(b []byte) error {
	if p.space > 0 && p.queued+len(b) > p.space {
		return io.ErrShortBuffer
	}
	err := p.ackPipe.QueueReserved(b)
	if err == nil {
		p.queued += len(b)
	}
	return err
}

func (p *plugPipe) Queued() int { return p.queued }
func (p *plugPipe) Flush() bool { return p.space > 0 && p.queued > 0 }

// newResumable makes a session that its client may resume, with what it asks for.
func newResumable(t testing.TB, cfg Config, ask string) (m *Manager, s *Session, p *plugPipe, r *handing, id string) {
	r = &handing{left: make(chan struct{})}
	cfg.AckInterval = -1 // a request after each turn
	cfg.Domains, cfg.Router, cfg.Workers, cfg.Writers, cfg.KeyWorkers = []string{"localhost"}, r, 1, 1, 1
	m = NewManager(cfg)
	t.Cleanup(m.Close)
	m.AddFeatures(StreamManagement)
	p = &plugPipe{ackPipe: ackPipe{pipe: pipe{posted: make(chan func(int), 100)}}, socket: new(fakeSocket)}
	s, _ = m.Adopt(p, jid.MustParse("romeo@localhost/r"))
	s.Data(0, []byte("<enable xmlns='urn:xmpp:sm:3' "+ask+"/>"))
	m.EndTurn(0)
	_, id, _ = strings.Cut(p.take(), " id='")
	id, _, _ = strings.Cut(id, "'")
	return m, s, p, r, id
}

// lose makes the session's connection break.
func (p *plugPipe) lose(m *Manager, s *Session) {
	p.socket = nil
	s.Closed(0, io.ErrUnexpectedEOF)
	m.EndTurn(0)
	p.take()
}

// resume makes a client resume the session, and returns what it receives on its connection:
// if it fails, from the session that has authenticated it.
func (p *plugPipe) resume(m *Manager, id string, h uint32) (got, failed string) {
	s, next := newAuthenticated(m)
	s.Data(0, fmt.Appendf(nil, "<resume xmlns='urn:xmpp:sm:3' previd='%s' h='%d'/>", id, h))
	m.EndTurn(0)
	for len(next.posted)+len(p.posted) > 0 {
		next.runPosted(m)
		p.runPosted(m)
	}
	if next.socket == nil {
		if s.has(flagBusy) || m.unbound.Size() != 0 {
			return "", "BUG: the session without a connection remains"
		}
	} else {
		s.Closed(0, io.EOF)
	}
	return p.take(), next.take()
}

// newAuthenticated makes a session whose client has authenticated.
func newAuthenticated(m *Manager) (*Session, *plugPipe) {
	next := &plugPipe{ackPipe: ackPipe{pipe: pipe{posted: make(chan func(int), 100)}}, socket: new(fakeSocket)}
	s := m.New(next)
	s.Data(0, []byte("<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"))
	s.jid = jid.MustParse("romeo@localhost").Compact()
	s.set(flagAuthed)
	next.take()
	return s, next
}

const resumedElement = "<resumed xmlns='urn:xmpp:sm:3' h='0' previd='%s'/>"

// TestResumeTimeout: a session whose connection is lost waits as long as its client has asked
// for, at most Config.ResumeTimeout, each time. It takes stanzas meanwhile. After it, they are
// handed on, then the session leaves, and a client that comes too late is told how many
// stanzas were handled.
func TestResumeTimeout(t *testing.T) {
	for _, test := range []struct {
		ask  string
		wait time.Duration
	}{
		{"resume='true'", 10 * time.Minute},
		{"resume='1' max='100'", time.Minute},
		{"resume='true' max='7'", 7 * time.Second},
		{"resume='true' max='99999999'", 10 * time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			m, s, p, r, id := newResumable(t, Config{}, test.ask)
			pass := func(d time.Duration) {
				<-time.After(d)
				synctest.Wait()
				p.runPosted(m)
			}
			s.SendBytes(m.turns[0], []byte("<iq id='1'/>"))
			p.lose(m, s)
			if !s.Detached() || s.Ending() || !s.Bound() {
				t.Fatalf("detached %v, ending %v, bound %v", s.Detached(), s.Ending(), s.Bound())
			}
			pass(test.wait - time.Second)
			if got, _ := p.resume(m, id, 1); got != fmt.Sprintf(resumedElement, id) || s.Detached() {
				t.Fatalf("received %q", got)
			}
			pass(2 * test.wait) // it is connected
			p.lose(m, s)
			if !s.SendBytes(m.turns[0], []byte("<message id='2'/>")) {
				t.Error("it takes no stanzas")
			}
			pass(test.wait - time.Second)
			if !s.Detached() {
				t.Fatal("the session has ended too early")
			}
			pass(4 * time.Second)
			<-r.left
			if got := strings.Join(r.events, ""); got != "<message id='2'/>left" {
				t.Errorf("handed on %q", got)
			}
			if _, failed := p.resume(m, id, 1); !strings.HasPrefix(failed, "<failed xmlns='urn:xmpp:sm:3' h='0'><item-not-found ") {
				t.Errorf("received %q", failed)
			}
			pass(time.Minute)
			if a := m.Stats().Acks; a.Detached != 2 || a.Resumed != 1 || a.Refused != 1 || a.Waiting != 0 || m.detached.armed {
				t.Errorf("counted %+v; a check is scheduled: %v", a, m.detached.armed)
			}
		})
	}
}

// TestNotResumable: without the client's request, or if the server does not allow it, a lost
// connection ends the session.
func TestNotResumable(t *testing.T) {
	for _, test := range []struct {
		ask     string
		timeout time.Duration
	}{{"resume='false'", 0}, {"max='60'", 0}, {"resume='true'", -1}, {"resume='true' max='0'", 0}} {
		m, s, p, r, id := newResumable(t, Config{ResumeTimeout: test.timeout}, test.ask)
		p.lose(m, s)
		<-r.left
		if id != "" || s.Detached() || m.Stats().Acks.Waiting != 0 {
			t.Errorf("%s, %v: id %q, detached %v", test.ask, test.timeout, id, s.Detached())
		}
	}
}

// TestResumeOff: "If the server does not support session resumption, it MUST return a <failed/>
// element, which SHOULD include an error condition of <feature-not-implemented/>"
// (https://xmpp.org/extensions/xep-0198.html#resumption). What is known of a session from before
// resumption was turned off is told nevertheless.
func TestResumeOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s, p, r, id := newResumable(t, Config{}, "resume='true'")
		p.lose(m, s)
		cfg := m.config().Config
		cfg.ResumeTimeout = -1
		m.SetConfig(cfg)
		for s.Detached() {
			<-time.After(time.Second)
			synctest.Wait()
			p.runPosted(m)
		}
		<-r.left
		f := func(desc, id, h, want string) {
			t.Helper()
			next, conn := newAuthenticated(m)
			next.Data(0, fmt.Appendf(nil, "<resume xmlns='urn:xmpp:sm:3' previd='%s' h='%s'/>", id, h))
			m.EndTurn(0)
			if got := conn.take(); got != "<failed xmlns='urn:xmpp:sm:3'"+want+" xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>" || next.has(flagClosing) {
				t.Errorf("%s: received %q", desc, got)
			}
			next.Closed(0, io.EOF)
		}
		f("an ID of another server", "gna", "0", "><feature-not-implemented")
		f("an ID of this server", string(m.appendResumeID(nil, "romeo@localhost", 1)), "0", "><feature-not-implemented")
		f("an earlier session", id, "0", " h='0'><item-not-found")
		f("no number", id, "", "><bad-request")
	})
}

// TestAckTimeoutDetaches: a client that does not respond to a request is disconnected. Its
// stream is not closed, so that it can resume its session.
func TestAckTimeoutDetaches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s, p, _, id := newResumable(t, Config{AckTimeout: time.Minute}, "resume='true'")
		s.SendBytes(m.turns[0], []byte("<iq id='1'/>"))
		m.EndTurn(0)
		p.take()
		<-time.After(2 * time.Minute)
		synctest.Wait()
		p.runPosted(m)
		if !p.closed || p.take() != "" || s.has(flagClosing) {
			t.Fatalf("closed %v, received %q, closing %v", p.closed, p.take(), s.has(flagClosing))
		}
		p.lose(m, s)
		if got, _ := p.resume(m, id, 0); got != fmt.Sprintf(resumedElement, id)+"<iq id='1'/>"+requestElement {
			t.Errorf("received %q", got)
		}
		s.Close(nil)
		p.runPosted(m)
	})
}

// TestSlowReaderDetaches: the same applies to a client that does not read. A detached session
// whose queue exceeds its limit ends: all that it has is handed on, in order.
func TestSlowReaderDetaches(t *testing.T) {
	m, s, p, r, id := newResumable(t, Config{Unacked: 1000}, "resume='true'")
	p.full = true
	s.SendBytes(m.turns[0], []byte("<message id='1'/>"))
	p.runPosted(m)
	if !p.closed || s.has(flagClosing) {
		t.Fatalf("closed %v, closing %v", p.closed, s.has(flagClosing))
	}
	p.lose(m, s)
	p.full = false
	if got, _ := p.resume(m, id, 0); !strings.Contains(got, "<message id='1'><delay ") {
		t.Errorf("received %q", got)
	}
	p.lose(m, s)
	for i := range 20 {
		s.SendBytes(m.turns[0], fmt.Appendf(nil, "<message id='2.%d'>%s</message>", i, strings.Repeat("x", 100)))
	}
	p.runPosted(m)
	<-r.left
	want := 1
	for i := range 20 {
		if strings.Contains(strings.Join(r.events, ""), fmt.Sprintf("id='2.%d'", i)) {
			want++
		}
	}
	if want < 10 || len(r.events) != want+1 || !strings.Contains(r.events[0], "id='1'") || !strings.Contains(r.events[1], "id='2.0'") {
		t.Errorf("handed on %q", r.events)
	}
}

// TestResumeHandled: the numbers of a resumption are modulo 2^32. One that is too high ends
// the new stream, and the session still waits.
func TestResumeHandled(t *testing.T) {
	m, s, p, _, id := newResumable(t, Config{}, "resume='true'")
	s.cold.Load().sent = 1<<32 - 2
	for i := range 4 {
		s.SendBytes(m.turns[0], fmt.Appendf(nil, "<iq id='%d'/>", i))
	}
	p.lose(m, s)
	p.take()
	s.SendBytes(m.turns[0], []byte("<iq id='4'/>")) // it was never sent
	if _, failed := p.resume(m, id, 3); !strings.Contains(failed, "<handled-count-too-high xmlns='urn:xmpp:sm:3' h='3' send-count='2'/>") || !s.Detached() {
		t.Fatalf("received %q", failed)
	}
	if got, _ := p.resume(m, id, 1); got != fmt.Sprintf(resumedElement, id)+"<iq id='3'/><iq id='4'/>"+requestElement {
		t.Errorf("received %q", got)
	}
	if _, ok := s.acknowledge(m.turns[0], 3); !ok || s.cold.Load().queue() != nil {
		t.Error("not all is acknowledged")
	}
	p.lose(m, s)
	if got, _ := p.resume(m, id, 3); got != fmt.Sprintf(resumedElement, id) {
		t.Errorf("received %q", got)
	}
	s.Close(nil)
	p.runPosted(m)
}

// TestResumePages: what is sent again is sent as the client reads it. What others send
// meanwhile follows in order.
func TestResumePages(t *testing.T) {
	m, s, p, _, id := newResumable(t, Config{}, "resume='true'")
	want := ""
	send := func(n int) {
		for range n {
			b := fmt.Sprintf("<iq id='%d'/>", strings.Count(want, "<iq"))
			want += b
			s.SendBytes(m.turns[0], []byte(b))
		}
	}
	send(10)
	p.lose(m, s)
	p.take()
	p.space, p.queued = 150, 0
	got, _ := p.resume(m, id, 0)
	for i := 0; i < 100 && strings.Count(got, "<iq") < 30; i++ {
		if strings.Count(want, "<iq") < 30 {
			send(2)
			if s.TrySendBytes(m.turns[0], []byte("<iq id='out of order'/>")) {
				want += "<iq id='out of order'/>" // nothing waits any more
			}
		}
		p.queued = 0
		s.Drained(0)
		m.EndTurn(0)
		p.runPosted(m)
		got += p.take()
	}
	got = strings.ReplaceAll(strings.TrimPrefix(got, fmt.Sprintf(resumedElement, id)), requestElement, "")
	if got != want {
		t.Errorf("received %q\nwant %q", got, want)
	}
	s.Close(nil)
	p.runPosted(m)
}

// TestResumeID: an ID is valid for its account only, and cannot be changed.
func TestResumeID(t *testing.T) {
	m, s, _, _, id := newResumable(t, Config{}, "resume='true'")
	if n, ok := m.readResumeID([]byte(id), "romeo@localhost"); !ok || m.resumable("romeo@localhost", n) != s {
		t.Errorf("the session of %q is not found", id)
	}
	if _, ok := m.readResumeID([]byte(id), "juliet@localhost"); ok {
		t.Error("it is valid for another account")
	}
	for i := range id {
		for _, x := range []string{id[:i], id[:i] + "*" + id[i+1:], id + id[:i+1]} {
			if _, ok := m.readResumeID([]byte(x), "romeo@localhost"); ok {
				t.Errorf("%q is valid", x)
			}
		}
	}
	same, _, _, _, second := newResumable(t, Config{}, "resume='true'")
	if _, ok := same.readResumeID([]byte(id), "romeo@localhost"); !ok || id == second {
		t.Errorf("IDs of two servers with the same secret: %q, %q", id, second)
	}
	other, _, _, _, _ := newResumable(t, Config{Secret: []byte("another")}, "resume='true'")
	if _, ok := other.readResumeID([]byte(id), "romeo@localhost"); ok {
		t.Error("it is valid for a server with another secret")
	}
}

// TestPastSessions: a limited number of ended sessions is remembered.
func TestPastSessions(t *testing.T) {
	p := pastSessions{seed: maphash.MakeSeed()}
	for i := range uint32(maxPast + 100) {
		p.add("romeo@localhost", i, i+1)
	}
	if h, known := p.get("romeo@localhost", maxPast); !known || h != maxPast+1 {
		t.Errorf("%d, %v", h, known)
	}
	if _, known := p.get("romeo@localhost", 99); known || len(p.all) != maxPast || len(p.ring) != maxPast {
		t.Errorf("%d sessions are remembered, the limit is %d", len(p.all), maxPast)
	}
	// Bug: the number of a session that had ended twice, with another node in between, was that
	// of its first end.
	p.add("romeo@localhost", maxPast, 7)
	if h, _ := p.get("romeo@localhost", maxPast); h != 7 || len(p.all) != maxPast || len(p.ring) != maxPast {
		t.Errorf("%d stanzas after the second end, %d sessions are remembered", h, len(p.all))
	}
}

// TestWaitCodes: a client gets at most the time that it asks for, and not much less.
func TestWaitCodes(t *testing.T) {
	for asked, want := range map[uint32]uint32{0: 0, 1: 1, 59: 59, 60: 60, 119: 60, 120: 120, 600: 600, 3599: 3540, 3600: 3600, 7199: 3600, 7200: 7200, 1<<32 - 1: 8 * 3600} {
		if got := waitSeconds(waitCode(asked)); got != want {
			t.Errorf("%d seconds become %d, want %d", asked, got, want)
		}
	}
}

// TestDetachedMakesRoom: a detached session does not keep its client from binding a resource,
// whatever the limit and the policy.
func TestDetachedMakesRoom(t *testing.T) {
	m, s, p, r, _ := newResumable(t, Config{MaxResources: 1, Conflict: RefuseNew}, "resume='true'")
	bind := func(resource string) (*Session, bool) {
		next := m.New(&pipe{posted: make(chan func(int), 100)})
		next.jid = jid.MustParse("romeo@localhost").Compact()
		next.set(flagOpen | flagAuthed)
		_, reply := m.Bind(m.reads.newTurn(), next, resource, m.config().Conflict, false)
		return next, reply == nil
	}
	if _, ok := bind("other"); ok {
		t.Error("a connected session was replaced")
	}
	if _, ok := bind("r"); ok {
		t.Error("a connected session was replaced")
	}
	p.lose(m, s)
	if next, ok := bind("other"); !ok || m.First("romeo@localhost") != next {
		t.Error("the client is locked out by its detached session")
	}
	p.runPosted(m)
	<-r.left
	if s.Detached() || m.Stats().Acks.Waiting != 0 {
		t.Error("the session has not ended")
	}
}

// TestResumeNeverFits: a stanza that an empty outbox does not accept ends the session. A
// connection that is lost while stanzas are sent again does not: it accepts nothing either.
func TestResumeNeverFits(t *testing.T) {
	for _, lost := range []bool{false, true} {
		m, s, p, r, id := newResumable(t, Config{}, "resume='true'")
		s.SendBytes(m.turns[0], []byte("<iq id='1'/>"))
		p.lose(m, s)
		p.full = true
		if lost {
			p.plugged = func() { p.posted <- func(int) { p.lose(m, s) } } // as a connection posts it
		}
		got, _ := p.resume(m, id, 0)
		if lost {
			p.full, p.plugged = false, nil
			if got, _ := p.resume(m, id, 0); got != fmt.Sprintf(resumedElement, id)+"<iq id='1'/>"+requestElement {
				t.Errorf("received %q", got)
			}
			s.Close(nil)
			p.runPosted(m)
			continue
		}
		<-r.left
		if len(r.events) != 2 || r.events[0] != "<iq id='1'/>" || m.Ended()[0].Reason != "resource-constraint" {
			t.Errorf("received %q, handed on %q, ended %v", got, r.events, m.Ended())
		}
	}
}
