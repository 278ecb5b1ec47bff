package session_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"roost/internal/events"
	"roost/internal/xmpptest"
	"roost/session"
)

// TestInlineResumeCounted: a login that ends in a resumption is a successful attempt to
// authenticate, but no further session: the events and counters have no login and no end.
// The session has no deadline for its login, and its trace has <success/>.
func TestInlineResumeCounted(t *testing.T) { synctest.Test(t, testInlineResumeCounted) }

func testInlineResumeCounted(t *testing.T) {
	const timeout = 10 * time.Second
	s := xmpptest.NewServer(t, xmpptest.Config{Session: session.Config{LoginTimeout: timeout}})
	id := lostSession(t, s)
	resumed := s.Sessions.First("romeo@localhost")
	tap, err := s.Sessions.Tap(resumed)
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Close()
	sub := s.Sessions.Events().Subscribe(events.Filter{Kinds: events.All})
	defer sub.Close()
	before := s.Sessions.Stats()

	c := newSASLClient(t, s)
	if _, got := c.sasl2("authenticate mechanism='PLAIN'", "<initial-response>"+plain("romeo", "wrong")+"</initial-response>"); got != "not-authorized" {
		t.Errorf("%q after a wrong password", got)
	}
	got := c.ask(authPlain+"<bind xmlns='urn:xmpp:bind:0'/><resume xmlns='urn:xmpp:sm:3' h='0' previd='"+id+"'/></authenticate>", "</success>")
	if !strings.Contains(got, "<resumed ") {
		t.Fatalf("received %s", got)
	}
	synctest.Wait()
	all, _ := sub.Take()
	var kinds events.Kind
	for _, e := range all {
		kinds |= e.Kind
		if e.Kind == events.Resumed && (e.JID != resumed.FullJID() || !e.Peer.IsValid()) {
			t.Errorf("%+v", e)
		}
	}
	if kinds &^= events.Log; kinds != events.LoginFailed|events.Resumed || s.Sessions.First("romeo@localhost") != resumed {
		t.Errorf("events %b", kinds)
	}
	after := s.Sessions.Stats()
	if succeeded(after)-succeeded(before) != 1 || after.Acks.Resumed-before.Acks.Resumed != 1 {
		t.Errorf("counted %+v", after)
	}
	if after.Logins != before.Logins || after.LoginTime.Count() != before.LoginTime.Count() || !slices.Equal(after.Ended, before.Ended) || after.Unbound != 0 || after.Bound != 1 {
		t.Errorf("counted %+v, before %+v", after, before)
	}
	traced, err := tap.Next(t.Context())
	if err != nil || !traced[0].Sent || !strings.HasPrefix(string(traced[0].XML), "<success ") || !strings.Contains(string(traced[0].XML), "<resumed ") {
		t.Errorf("traced %+v, %v", traced, err)
	}

	<-time.After(2 * timeout)
	c.ask("<r xmlns='urn:xmpp:sm:3'/>", "<a xmlns='urn:xmpp:sm:3' h='0'/>")

	c.ask("</stream:stream>", "</stream:stream>")
	_ = c.conn.Close()
}

// TestInlineResumeOff: where sessions cannot be resumed, a client that asks for it together with
// its login is told, and has the rest of what it asked for.
func TestInlineResumeOff(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{Session: session.Config{ResumeTimeout: -1}})
	c := newSASLClient(t, s)
	defer c.conn.Close()
	got := c.ask(authPlain+"<bind xmlns='urn:xmpp:bind:0'/><resume xmlns='urn:xmpp:sm:3' h='0' previd='1'/></authenticate>", "</stream:features>")
	if !strings.Contains(got, "<failed xmlns='urn:xmpp:sm:3'><feature-not-implemented ") || !strings.Contains(got, "<bound ") {
		t.Errorf("received %s", got)
	}
}

// succeeded returns the number of successful attempts to authenticate.
func succeeded(s session.Stats) (n int64) {
	for _, a := range s.Attempts {
		if a.Succeeded() {
			n += a.Count
		}
	}
	return n
}
