package session_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xdg-go/scram"

	"roost/internal/xmpptest"
	"roost/session"
	"roost/stanza"
)

// TestStatsOfLogins: attempts are counted by mechanism and result, and the time of logins.
func TestStatsOfLogins(t *testing.T) { synctest.Test(t, testStatsOfLogins) }

func testStatsOfLogins(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{Session: session.Config{MaxFailures: 2, FailureDelay: time.Millisecond}})
	want := map[string]int64{}
	f := func(attempt string, login func(c *saslClient) string) {
		t.Helper()
		got := login(newSASLClient(t, s))
		want[attempt]++
		all := map[string]int64{}
		for _, a := range s.Sessions.Stats().Attempts {
			if a.Count > 0 {
				all[a.Mechanism+" "+a.Result] = a.Count
			}
		}
		if fmt.Sprint(all) != fmt.Sprint(want) {
			t.Fatalf("%s, told %q: %v, want %v", attempt, got, all, want)
		}
	}
	with := func(user, password string) func(c *saslClient) string {
		return func(c *saslClient) string { return c.plain(user, password) }
	}
	f("PLAIN success", with("romeo", "secret"))
	f("SCRAM-SHA-256 success", func(c *saslClient) string { return c.scram("SCRAM-SHA-256", scram.SHA256, "romeo", "secret", "") })
	f("SCRAM-SHA-1 invalid-authzid", func(c *saslClient) string {
		return c.scram("SCRAM-SHA-1", scram.SHA1, "romeo", "secret", "juliet@localhost")
	})
	f("unknown invalid-mechanism", func(c *saslClient) string {
		_, cond := c.sasl("auth mechanism='DIGEST-MD5'", "")
		return cond
	})
	f("unknown malformed-request", func(c *saslClient) string { _, cond := c.sasl("response", ""); return cond })
	f("PLAIN incorrect-encoding", func(c *saslClient) string { _, cond := c.sasl("auth mechanism='PLAIN'", "*"); return cond })
	f("PLAIN unknown-account", with("nobody", "secret"))
	f("PLAIN wrong-password", with("romeo", "wrong"))
	f("PLAIN wrong-password", with("romeo", "wrong"))
	f("PLAIN refused", with("romeo", "secret"))
	st := s.Sessions.Stats()
	if st.Delayed != 4 {
		t.Errorf("%d responses were delayed, want 4", st.Delayed)
	}
	if st.Logins != 0 || st.LoginTime.Count() != 0 {
		t.Errorf("nothing is bound: %d, %+v", st.Logins, st.LoginTime)
	}
	c := newSASLClient(t, s)
	const took = 30 * time.Millisecond
	<-time.After(took) // virtual
	c.login("juliet")
	if st = s.Sessions.Stats(); st.Logins != 1 || st.LoginTime.Count() != 1 || st.LoginTime.Sum != int64(took) {
		t.Errorf("%d logins, %+v; want one in %v", st.Logins, st.LoginTime, took)
	}
}

// TestStatsOfStanzas: stanzas are counted by kind and direction, each once, and errors by
// condition.
func TestStatsOfStanzas(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{Outbox: 128 << 10})
	c := newSASLClient(t, s)
	c.login("romeo")
	c.ask("<presence/>"+ping("ready"), "id='ready'")
	before := s.Sessions.Stats()
	f := func(send, until string, received, sent session.Stanzas, conditions string) {
		t.Helper()
		c.ask(send, until)
		st := s.Sessions.Stats()
		in, out := minus(st.Received, before.Received), minus(st.Sent, before.Sent)
		if in != received || out != sent {
			t.Errorf("%s: received %+v, sent %+v; want %+v and %+v", send, in, out, received, sent)
		}
		got := ""
		for _, e := range st.ErrorsSent {
			got += fmt.Sprint(e.Condition, e.Count, " ")
		}
		if got != conditions {
			t.Errorf("%s: errors %q, want %q", send, got, conditions)
		}
		before = st
	}
	f("<message to='romeo@localhost'><body>to myself</body></message>", "</message>", session.Stanzas{Message: 1}, session.Stanzas{Message: 1}, "")
	f("<presence><show>away</show></presence>", "</presence>", session.Stanzas{Presence: 1}, session.Stanzas{Presence: 1}, "")
	f(ping("p"), "id='p'", session.Stanzas{IQ: 1}, session.Stanzas{IQ: 1}, "")
	f("<iq type='get' id='i' to='romeo@localhost'><x xmlns='unknown'/></iq>", "</iq>", session.Stanzas{IQ: 1}, session.Stanzas{IQ: 1}, "service-unavailable1 ")
	f("<iq type='get' id='j'/>", "</iq>", session.Stanzas{IQ: 1}, session.Stanzas{IQ: 1}, "bad-request1 service-unavailable1 ")
	f("<message to='a@b@c'/>", "</message>", session.Stanzas{Message: 1}, session.Stanzas{Message: 1}, "bad-request1 jid-malformed1 service-unavailable1 ")
	f("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>", "</iq>", session.Stanzas{IQ: 1}, session.Stanzas{IQ: 1}, "bad-request1 jid-malformed1 service-unavailable1 ")
	// Several presence broadcasts in one read: the client gets each of them back.
	f("<presence id='1'/><presence id='2'/>"+ping("q"), "id='q'", session.Stanzas{Presence: 2, IQ: 1}, session.Stanzas{Presence: 2, IQ: 1}, "bad-request1 jid-malformed1 service-unavailable1 ")

	if n := s.Sessions.Stats().Overflows; n != 0 {
		t.Errorf("%d overflows", n)
	}
	slow := newSASLClient(t, s)
	slow.login("juliet")
	resource := s.Sessions.First("juliet@localhost").FullJID()
	for range 12 { // juliet does not read
		c.ask("<message to='"+resource+"'><body>"+strings.Repeat("x", 30<<10)+"</body></message>"+ping("s"), "id='s'")
	}
	if n := s.Sessions.Stats().Overflows; n != 1 {
		t.Errorf("%d overflows, want 1", n)
	}
}

func minus(a, b session.Stanzas) session.Stanzas {
	return session.Stanzas{Message: a.Message - b.Message, Presence: a.Presence - b.Presence, IQ: a.IQ - b.IQ}
}

// TestStatsOfWorkers: busy workers and jobs that wait for one.
func TestStatsOfWorkers(t *testing.T) {
	const limit = 2
	s := xmpptest.NewServer(t, xmpptest.Config{Session: session.Config{Workers: limit, Writers: limit}})
	for i, work := range []session.Work{session.Read, session.Write} {
		pool := func() session.WorkerPool { return s.Sessions.Stats().Workers[i] }
		want := session.WorkerPool{Work: work.String(), Limit: limit}
		xmpptest.Eventually(t, "nothing is to do", func() bool { return pool() == want })
		release := make(chan struct{})
		for range limit + 3 {
			s.Sessions.Go(work, func(*session.Turn) { <-release })
		}
		busy := want
		busy.Busy, busy.Waiting = limit, 3
		xmpptest.Eventually(t, "all are busy", func() bool { return pool() == busy })
		close(release)
		xmpptest.Eventually(t, "all is done", func() bool { return pool() == want })
	}
}

// TestCounterAllocatesNothing: counting does not allocate, and the kinds of a counter are
// its own.
func TestCounterAllocatesNothing(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	done := make(chan struct{})
	s.Sessions.Go(session.Read, func(turn *session.Turn) {
		defer close(done)
		if n := testing.AllocsPerRun(100, func() { turn.CountError(stanza.BadRequest) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
		defer func() {
			if recover() == nil {
				t.Error("a counter counts what is not its own")
			}
		}()
		session.NewCounter(0).Add(turn, 0, 1)
	})
	<-done
	if got := s.Sessions.Stats().ErrorsSent; len(got) != 1 || got[0] != (session.Condition{Condition: "bad-request", Count: 101}) {
		t.Errorf("%+v", got)
	}
}
