package server

import (
	"testing"
	"time"

	"roost/internal/redistest"
	"roost/jid"
	"roost/store"
)

// TestRestartNodes: nodes that share a database stop as planned, and each takes its own sessions
// when it starts again, whichever starts first. Those of a server without a cluster are taken
// by the first node. A client resumes its session on another node while its own is stopped, and is
// pushed what has changed in its roster; what nobody resumes ends on another node when its time is over.
func TestRestartNodes(t *testing.T) {
	nodes := newTestNodes(t, redistest.Start(t).URL())
	start := func(name string) (*Server, func(...*peer)) {
		configure := nodes.config(name)
		return restartable(t, func(c *Config) {
			c.DataDir = t.TempDir()
			configure(c)
			if name == "" {
				c.Cluster.URL = ""
			}
		})
	}
	detach := func(s *Server, user string) *peer {
		p := connect(t, s).login(user, "r").available()
		p.enableResume()
		return p
	}
	bound := func(s *Server, want int) {
		t.Helper()
		if got := s.sessions.Counts().Bound; got != want {
			t.Errorf("%d sessions were restored, want %d", got, want)
		}
	}
	alone, stop := start("")
	romeo := connect(t, alone).login("romeo", "r").available()
	id := romeo.enableResume()
	romeo.ask("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>", "id='roster'")
	stop(romeo, detach(alone, "juliet"))

	a, stopA := start("a")
	bound(a, 2)
	b, stopB := start("b")
	nurse := detach(b, "nurse")
	stopA()
	stopB(nurse)

	b, stopB = start("b")
	bound(b, 1)
	a, stopA = start("a")
	bound(a, 2)
	stopA()

	owner := jid.MustParse("romeo@localhost")
	versions, err := b.store.RosterVersions(t.Context(), []jid.JID{owner})
	if err == nil {
		_, err = b.store.ApplyRoster(t.Context(), []store.RosterUpdate{{Owner: owner, Expect: versions[0], Put: &store.RosterItem{JID: jid.MustParse("friar@localhost")}}})
	}
	if err != nil {
		t.Fatal(err)
	}
	back := connect(t, b).authenticate("romeo")
	back.ask("<resume xmlns='urn:xmpp:sm:3' h='0' previd='"+id+"'/>", "<resumed ")
	back.ask("", "<item jid='friar@localhost'")
	bound(b, 2) // nurse is there, too
	n, err := b.endAllOverdue(t.Context(), time.Now())
	if n != 0 || err != nil {
		t.Errorf("%d sessions have ended before their time was over: %v", n, err)
	}
	if n, err = b.endAllOverdue(t.Context(), time.Now().Add(time.Hour)); n != 1 || err != nil {
		t.Errorf("%d sessions have ended, want that of juliet: %v", n, err)
	}
	a, stopA = start("a")
	bound(a, 0)
	stopA()
	stopB()
}
