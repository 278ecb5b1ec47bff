package session_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xdg-go/scram"

	"roost/internal/events"
	"roost/internal/xmpptest"
	"roost/session"
)

// TestEvents: logins, failed ones and ends are published, once each, with the account only
// if it exists.
func TestEvents(t *testing.T) { synctest.Test(t, testEvents) }

func testEvents(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{Session: session.Config{MaxFailures: 1, FailureDelay: time.Millisecond}})
	sub := s.Sessions.Events().Subscribe(events.Filter{Kinds: events.Login | events.LoginFailed | events.End})
	defer sub.Close()
	f := func(want string, do func(c *saslClient)) {
		t.Helper()
		c := newSASLClient(t, s)
		do(c)
		synctest.Wait()
		var got []string
		all, lost := sub.Take()
		for _, e := range all {
			got = append(got, fmt.Sprintf("%d,%s,%s,%s,%s", e.Kind, e.JID, e.Mechanism, e.Reason, e.Err))
			if !e.Peer.IsValid() || e.Time.IsZero() {
				t.Errorf("%+v", e)
			}
		}
		if text := strings.Join(got, " "); text != want || lost != 0 {
			t.Errorf("%s, want %s; %d lost", text, want, lost)
		}
		c.conn.Close()
		synctest.Wait()
		sub.Take()
	}
	const typed = "hunter2"
	f("2,romeo@localhost,PLAIN,wrong-password,", func(c *saslClient) { c.plain("romeo", typed) })
	f("2,,PLAIN,refused,", func(c *saslClient) { c.plain("romeo", "secret") })
	f("2,,PLAIN,unknown-account,", func(c *saslClient) { c.plain(typed, typed) })
	f("2,,PLAIN,unknown-account,", func(c *saslClient) { c.plain(typed+"@", typed) })
	f("2,nurse@localhost,SCRAM-SHA-1,invalid-authzid,", func(c *saslClient) {
		c.scram("SCRAM-SHA-1", scram.SHA1, "nurse", "secret", typed+"@localhost")
	})
	f("2,,,invalid-mechanism,", func(c *saslClient) { c.sasl("auth mechanism='"+typed+"'", "") })
	f("2,,,malformed-request,", func(c *saslClient) { c.sasl("response", "") })
	f("2,,PLAIN,incorrect-encoding,", func(c *saslClient) { c.sasl("auth mechanism='PLAIN'", "*") })
	f("1,juliet@localhost/r,,,", func(c *saslClient) { c.login("juliet") })
	f("1,juliet@localhost/r,,, 4,juliet@localhost/r,,closed,", func(c *saslClient) {
		c.login("juliet")
		c.ask("</stream:stream>", "</stream:stream>")
	})
	f("1,juliet@localhost/r,,, 4,juliet@localhost/r,,lost,unexpected EOF", func(c *saslClient) {
		c.login("juliet")
		c.conn.Close()
	})
	f("1,juliet@localhost/r,,, 4,juliet@localhost/r,,not-well-formed,", func(c *saslClient) {
		c.login("juliet")
		c.ask("<a></b>", "</stream:stream>")
	})
	f("4,juliet@localhost,,closed,", func(c *saslClient) { // before it has a resource
		c.plain("juliet", "secret")
		c.ask(openStream, "</stream:features>")
		c.ask("</stream:stream>", "</stream:stream>")
	})
	f("", func(c *saslClient) { c.conn.Close() }) // not a session of an account
}

// TestEventsCost: without a subscriber, events cost no allocation.
func TestEventsCost(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	one := s.Sessions.New(session.NoConn{})
	defer one.Closed(0, nil)
	if n := testing.AllocsPerRun(100, one.PublishAll); n != 0 {
		t.Errorf("%v allocations", n)
	}
	sub := s.Sessions.Events().Subscribe(events.Filter{Kinds: events.Admin | events.Log})
	defer sub.Close()
	if n := testing.AllocsPerRun(100, one.PublishAll); n != 0 {
		t.Errorf("%v allocations for a subscriber of other kinds", n)
	}
}
