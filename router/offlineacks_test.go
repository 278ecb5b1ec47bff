package router_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"roost/internal/xmpptest"
	"roost/jid"
)

// ack acknowledges all stanzas up to and including a message.
func (c *rawClient) ack(id int) {
	c.t.Helper()
	before, _, ok := strings.Cut(c.got, fmt.Sprintf("id='m.%d'", id))
	if !ok {
		c.t.Fatalf("message %d was not received", id)
	}
	h := strings.Count(before, "<message") + strings.Count(before, "<presence") + strings.Count(before, "<iq")
	c.write(fmt.Sprintf("<a xmlns='urn:xmpp:sm:3' h='%d'/>", h))
}

// storedMessages returns the number of messages that are stored for juliet.
func storedMessages(t testing.TB, s *xmpptest.Server) int {
	t.Helper()
	n, err := s.Store.CountOffline(t.Context(), jid.MustParse("juliet@localhost"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// sendNumbered sends juliet messages with these numbers.
func (c *rawClient) sendNumbered(from, to int, content string) {
	for i := from; i < to; i++ {
		c.write(fmt.Sprintf("<message type='chat' to='juliet@localhost' id='m.%d'><body>%s</body></message>", i, content))
	}
}

func numbers(from, to int) (n []int) {
	for i := from; i < to; i++ {
		n = append(n, i)
	}
	return n
}

// TestOfflineAcked: a stored message is deleted when a client with stream management has
// acknowledged it, and not before. No other resource gets it in the meantime; when the
// session ends, another one gets those that were not acknowledged, before later messages.
func TestOfflineAcked(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	romeo := loginRaw(t, s, "romeo", plainHeader)
	romeo.sendNumbered(0, 5, "b")
	romeo.sync()
	first := loginManaged(t, s, "juliet", "first")
	first.write("<presence/>")
	first.await("id='m.4'")
	first.sync()
	second := loginManaged(t, s, "juliet", "second")
	second.write("<presence/>")
	second.sync()
	if n := storedMessages(t, s); n != 5 {
		t.Fatalf("%d messages are in the store, want all 5: none was acknowledged", n)
	}
	first.ack(1)
	xmpptest.Eventually(t, "the acknowledged messages to be deleted", func() bool { return storedMessages(t, s) == 3 })
	romeo.write("<message type='chat' to='juliet@localhost/second' id='m.5'><body>b</body></message>")
	romeo.sync()
	second.sync()
	if got := second.received(); !slices.Equal(got, []int{5}) {
		t.Errorf("another resource received %v, want only its own message", got)
	}
	stamp := delayStamp.FindAllStringSubmatch(first.got, -1)[2][1]
	first.lose(s, "juliet@localhost/first")
	second.await("id='m.4'")
	romeo.sendNumbered(6, 7, "b")
	romeo.sync()
	second.sync()
	if got := second.received(); !slices.Equal(got, []int{5, 2, 3, 4, 6}) {
		t.Errorf("the other resource received %v", got)
	}
	if got := delayStamp.FindStringSubmatch(second.got)[1]; got != stamp {
		t.Errorf("the stamp has become %s, was %s", got, stamp)
	}
	second.ack(6)
	xmpptest.Eventually(t, "the acknowledged messages to be deleted", func() bool { return storedMessages(t, s) == 0 })
	second.lose(s, "juliet@localhost/second")
	third := loginRaw(t, s, "juliet", plainHeader)
	third.write("<presence/>")
	third.sync()
	if got := third.received(); len(got) != 0 {
		t.Errorf("messages %v that were acknowledged are sent again", got)
	}
}

// TestOfflineNotOvertaken: messages that arrive while a resource is about to get the stored
// ones follow them, whether they are addressed to the resource or to the account. Messages of
// types that are not stored do not wait.
func TestOfflineNotOvertaken(t *testing.T) {
	s, st := slowServer(t, xmpptest.Config{})
	romeo := loginRaw(t, s, "romeo", plainHeader)
	romeo.sendNumbered(0, 2, "b")
	romeo.sync()
	juliet := loginRaw(t, s, "juliet", plainHeader)
	appended, read := st.Calls("AppendOffline"), st.Calls("Offline")
	release := block(st, "Offline")
	defer release()
	juliet.write("<presence/>")
	xmpptest.Eventually(t, "the stored messages to be read", func() bool { return st.Calls("Offline") > read })
	romeo.sendNumbered(2, 3, "b")
	// It was delivered, or it is stored.
	xmpptest.Eventually(t, "the next message", func() bool {
		return st.Calls("AppendOffline") > appended || s.Router.Stats().Delivered > 0
	})
	nurse := loginRaw(t, s, "nurse", plainHeader)
	nurse.write("<message type='headline' to='juliet@localhost' id='news'><body>b</body></message>")
	juliet.await("id='news'")
	romeo.write("<message to='juliet@localhost/r' id='m.3'><body>b</body></message>")
	release()
	romeo.sync()
	juliet.sync()
	if got := juliet.received(); !slices.Equal(got, numbers(0, 4)) {
		t.Errorf("received %v", got)
	}
	if strings.Contains(romeo.got, "type='error'") {
		t.Errorf("the sender received %s", romeo.got)
	}
	appended = st.Calls("AppendOffline")
	romeo.sendNumbered(4, 5, "b")
	juliet.await("id='m.4'")
	if st.Calls("AppendOffline") != appended {
		t.Error("a message was stored after the resource had read the stored ones")
	}
}

// TestOfflineWaitsForAcks: a client that acknowledges slowly is sent no more stored messages
// than it may have unacknowledged; it gets all of them, and its session does not end.
func TestOfflineWaitsForAcks(t *testing.T) {
	const n = 60
	var cfg xmpptest.Config
	cfg.Router.PageBytes, cfg.Session.Unacked = 3000, 10_000
	s := xmpptest.NewServer(t, cfg)
	romeo := loginRaw(t, s, "romeo", plainHeader)
	romeo.sendNumbered(0, n, strings.Repeat("x", 1000))
	romeo.sync()
	juliet := loginManaged(t, s, "juliet", "r")
	juliet.write("<presence/>")
	for next := 0; next < n; {
		juliet.await(fmt.Sprintf("id='m.%d'", next))
		juliet.sync()
		got := juliet.received()
		if !slices.Equal(got, numbers(0, len(got))) || len(got) <= next {
			t.Fatalf("received %v", got)
		}
		if got := len(got) - next; got > 8 {
			t.Fatalf("%d messages were sent before the previous ones were acknowledged", got)
		}
		next = len(got)
		juliet.ack(next - 1)
	}
	xmpptest.Eventually(t, "the acknowledged messages to be deleted", func() bool { return storedMessages(t, s) == 0 })
	romeo.sendNumbered(n, n+1, "live")
	juliet.await("live")
}

// TestOfflineLeftBehind: a resource that reads stored messages also gets those that another
// one, which was before it, has left when its session ended.
func TestOfflineLeftBehind(t *testing.T) {
	const n = 12
	var cfg xmpptest.Config
	cfg.Router.PageBytes = 3000
	s := xmpptest.NewServer(t, cfg)
	romeo := loginRaw(t, s, "romeo", plainHeader)
	romeo.sendNumbered(0, n, strings.Repeat("x", 1000))
	romeo.sync()
	first, second := loginManaged(t, s, "juliet", "first"), loginManaged(t, s, "juliet", "second")
	for _, c := range []*rawClient{first, second} {
		c.write("<presence/>")
		c.await("<message")
		c.sync()
	}
	read := len(first.received())
	if got := second.received(); read+len(got) >= n || got[0] != read {
		t.Fatalf("the resources received %v and %v, want a page each", first.received(), got)
	}
	first.lose(s, "juliet@localhost/first")
	for len(second.received()) < n {
		second.ack(second.received()[len(second.received())-1])
		second.await("<message")
		second.sync()
	}
	want := append(numbers(read, n), numbers(0, read)...)
	if got := second.received(); !slices.Equal(got, want) {
		t.Errorf("received %v, want %v", got, want)
	}
}

// TestOfflineAfterFault: a resource whose stored messages cannot be read gets the messages
// that arrive.
func TestOfflineAfterFault(t *testing.T) {
	s, st := slowServer(t, xmpptest.Config{})
	romeo := loginRaw(t, s, "romeo", plainHeader)
	romeo.sendNumbered(0, 1, "b")
	romeo.sync()
	juliet := loginRaw(t, s, "juliet", plainHeader)
	st.SetFault(func(op string) error {
		if op == "Offline" {
			return fmt.Errorf("the disk is broken")
		}
		return nil
	})
	juliet.write("<presence/>")
	juliet.sync()
	romeo.sendNumbered(1, 2, "live")
	juliet.await("live")
	st.SetFault(nil)
	juliet.say("<presence type='unavailable'/>", "type='unavailable'")
	romeo.sendNumbered(2, 3, "b")
	romeo.sync()
	juliet.write("<presence/>")
	juliet.sync()
	if got := juliet.received(); !slices.Equal(got, []int{1, 0, 2}) {
		t.Errorf("received %v", got)
	}
}

// TestStoredToPresent: a message that a client has not acknowledged before its session has
// ended, and that is in the store, goes to a client that is there, and not to one that has lost
// its connection and may resume its session, whichever has logged in last.
func TestStoredToPresent(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	romeo := loginRaw(t, s, "romeo", plainHeader)
	romeo.sendNumbered(0, 3, "b")
	romeo.sync()
	first := loginManaged(t, s, "juliet", "first")
	first.write("<presence/>")
	first.await("id='m.2'")
	absent := func(resource string) {
		c := loginAs(t, s, "juliet", resource, plainHeader)
		c.say(enableResume, "<enabled ")
		c.ask("<presence/>")
		_ = c.conn.Close()
		it := s.Sessions.Find("juliet@localhost", resource)
		xmpptest.Eventually(t, "the connection to be lost", it.Detached)
	}
	absent("before")
	desk := loginManaged(t, s, "juliet", "desk")
	desk.ask("<presence/>")
	absent("after")
	first.lose(s, "juliet@localhost/first")
	desk.await("id='m.2'")
	if got := desk.received(); !slices.Equal(got, numbers(0, 3)) {
		t.Errorf("received %v", got)
	}
}
