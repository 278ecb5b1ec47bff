package server

import (
	"testing"

	"roost/internal/redistest"
)

// TestRestartNodes: nodes that share a database stop as planned, and each takes its own sessions
// when it starts again, whichever starts first. Those of a server without a cluster are taken
// by the first node.
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
	stop(detach(alone, "romeo"), detach(alone, "juliet"))

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
	stopB()
}
