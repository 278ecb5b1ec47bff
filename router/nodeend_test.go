package router_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"roost/internal/memnodes"
	"roost/internal/xmpptest"
	"roost/jid"
	"roost/router"
	"roost/session"
)

// TestEndSessions: an administrator ends sessions on all nodes, and no others.
func TestEndSessions(t *testing.T) { synctest.Test(t, testEndSessions) }

func testEndSessions(t *testing.T) {
	cluster := memnodes.New()
	a := xmpptest.NewServer(t, xmpptest.Config{Cluster: cluster})
	b := xmpptest.NewServer(t, xmpptest.Config{Cluster: cluster})
	here, there, kept := goOnline(t, a, "romeo", "here"), goOnline(t, b, "romeo", "there"), goOnline(t, b, "juliet", "there")
	romeo := jid.MustParse("romeo@localhost")
	end := func(e router.Ending, want int) {
		t.Helper()
		e.Error = session.ErrPolicyViolation.WithText("Good night.")
		if n, err := a.Router.EndSessions(t.Context(), romeo, e); n != want || err != nil {
			t.Errorf("%d sessions end, want %d; %v", n, want, err)
		}
	}
	ended := func(c *rawClient) {
		t.Helper()
		c.await("<policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>Good night.</text>")
	}
	end(router.Ending{Resource: "nowhere"}, 0)
	end(router.Ending{Client: "d4565fa7-4d72-4749-b3d3-740edbf87770"}, 0)
	here.sync()
	there.sync()
	end(router.Ending{Resource: "there"}, 1)
	ended(there)
	here.sync()
	again := goOnline(t, b, "romeo", "again")
	end(router.Ending{}, 2)
	ended(here)
	ended(again)
	kept.sync()

	// Without the directory, it is not known whether there is a session elsewhere.
	a.Node().Cut()
	synctest.Wait()
	if n, err := a.Router.EndSessions(t.Context(), romeo, router.Ending{Resource: "elsewhere", Error: session.ErrPolicyViolation}); n != 0 || !errors.Is(err, router.ErrNoDirectory) {
		t.Errorf("without the directory: %d sessions end, %v", n, err)
	}
}
