package cluster

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"roost/internal/logring"
	"roost/internal/redistest"
	"roost/internal/xmpptest"
)

// TestNameLost: a node whose name another one has taken while it was cut off counts as out of reach
// until it has a lease again, and as joined again only then. Bug: it counted as that with each attempt.
func TestNameLost(t *testing.T) {
	server := redistest.Start(t)
	network := redistest.StartProxy(t, server.Addr)
	log := logring.New(100)
	n, h := open(t, network.URL(), "a", func(c *Config) { c.Logger = slog.New(log.Handler(c.Logger.Handler())) })
	other, _ := open(t, server.URL(), "b")
	waitAlive(t, other, n)
	network.Cut()
	second, _ := open(t, server.URL(), "a")
	xmpptest.Eventually(t, "the node has died", func() bool { return other.Stats().CleanedNodes+second.Stats().CleanedNodes == 1 })
	network.Mend()
	xmpptest.Eventually(t, "the log says that the name is taken", func() bool {
		return slices.ContainsFunc(log.Lines(), func(l logring.Line) bool { return strings.Contains(l.Text, "has taken the name") })
	})
	if s := n.Stats(); s.Reachable || s.Rejoined > 0 || h.Lost() > 0 {
		t.Errorf("without a lease: %+v, lost %d", s, h.Lost())
	}
	closeNode(second)
	presenceLost(t, h)
	if s := n.Stats(); !s.Reachable || s.Rejoined != 1 {
		t.Errorf("with a lease again: %+v", s)
	}
}

// TestReachableRefused: a node whose renewals are refused is out of reach of the others when its lease
// is over, although the server can be reached.
func TestReachableRefused(t *testing.T) {
	server := redistest.Start(t)
	n, _ := open(t, server.URL(), "a")
	refuseWrites(t, server, true)
	unreachable(t, n)
	if !n.engine.up.Load() {
		t.Error("the server is not reached: the test does not test anything")
	}
	refuseWrites(t, server, false)
	xmpptest.Eventually(t, "the node has a lease", func() bool { return n.Stats().Reachable })
}
