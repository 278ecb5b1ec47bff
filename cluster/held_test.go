package cluster

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

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

// TestNameTaken: a node whose lease is over is dead when another one has its name, also if nobody has
// cleaned up after it yet. Otherwise it continues.
func TestNameTaken(t *testing.T) {
	server := redistest.Start(t)
	client := dialRedis(t, server)
	now, lease := time.Now().UnixMilli(), time.Hour.Milliseconds()
	f := func(second, want string) {
		t.Helper()
		cmd := client.B().Hset().Key(nodesKey).FieldValue().FieldValue("gen", "gen").FieldValue("id", "2").
			FieldValue("1", fmt.Sprintf("%d 0 0 0 a", now-lease)).FieldValue("2", second)
		if err := client.Do(t.Context(), cmd.Build()).Error(); err != nil {
			t.Fatal(err)
		}
		r, err := client.Do(t.Context(), client.B().Eval().Script(nodesText).Numkeys(1).Key(nodesKey).
			Arg("renew", "a", "1", fmt.Sprint(lease), "gen", "2", "shared", "", "").Build()).ToArray()
		if err != nil || len(r) != 6 {
			t.Fatalf("%v, %v", r, err)
		}
		if status, _ := r[0].ToString(); status != want {
			t.Errorf("with %q: %s, want %s", second, status, want)
		}
	}
	f(fmt.Sprintf("%d 0 0 0 a", now+lease), "dead")
	f(fmt.Sprintf("%d 0 0 0 a", now-lease), "ok") // which has died, too
	f(fmt.Sprintf("%d 1 3 0 a", now+lease), "ok") // and somebody cleans up
	f(fmt.Sprintf("%d 0 0 0 b", now+lease), "ok")
}
