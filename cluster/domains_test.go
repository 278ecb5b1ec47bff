package cluster

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"roost/cluster/clustertest"
	"roost/internal/logring"
	"roost/internal/redistest"
	"roost/internal/xmpptest"
)

// TestDatabase: a node that uses another database than those that run cannot join. One that does not
// know which it uses can, and does not change what others are compared with.
func TestDatabase(t *testing.T) {
	server := redistest.Start(t)
	config := func(name, database string) Config {
		return Config{URL: server.URL(), Name: name, Database: database, Lease: testLease}
	}
	join := func(name, database string) *Node {
		t.Helper()
		n, err := start(config(name, database), new(clustertest.Recorder))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	first, unknown := join("a", "one"), join("u", "")
	if _, err := start(config("b", "two"), new(clustertest.Recorder)); !errors.Is(err, ErrOtherDatabase) {
		t.Errorf("%v", err)
	}
	closeNode(first)
	third := join("c", "one")
	closeNode(third)
	closeNode(unknown)
	closeNode(join("b", "two")) // nobody else runs
}

// TestDatabaseKnownLate: nodes that do not know their database run when one joins that does.
func TestDatabaseKnownLate(t *testing.T) {
	server := redistest.Start(t)
	open(t, server.URL(), "old")
	open(t, server.URL(), "new", func(c *Config) { c.Database = "one" })
	if _, err := start(Config{URL: server.URL(), Name: "other", Database: "two", Lease: testLease}, new(clustertest.Recorder)); !errors.Is(err, ErrOtherDatabase) {
		t.Errorf("%v", err)
	}
}

// TestDomains: nodes that serve other domains than others know that, and say so in the log after a
// while, until all have the same. Those that do not say which they serve are not compared.
func TestDomains(t *testing.T) {
	server := redistest.Start(t)
	log := logring.New(100)
	a, _ := open(t, server.URL(), "a", func(c *Config) {
		c.Domains, c.Logger = "one", slog.New(log.Handler(c.Logger.Handler()))
	})
	b, _ := open(t, server.URL(), "b", func(c *Config) { c.Domains = "one" })
	open(t, server.URL(), "old")
	differ := func(n *Node, want ...string) {
		t.Helper()
		xmpptest.Eventually(t, "what differs is known", func() bool {
			s := n.Stats()
			return len(s.Others) == 2 && slices.Equal(s.Differ, want)
		})
	}
	logged := func(text string) {
		t.Helper()
		xmpptest.Eventually(t, "the log has: "+text, func() bool {
			return slices.ContainsFunc(log.Lines(), func(l logring.Line) bool { return strings.Contains(l.Text, text) })
		})
	}
	differ(a)
	differ(b)
	b.SetDomains("two")
	differ(a, "b")
	differ(b, "a")
	logged("other nodes serve other domains than this one")
	a.SetDomains("two")
	differ(a)
	differ(b)
	logged("all nodes serve the same domains again")
	if n := len(domainsFields(t, a)); n != 2 {
		t.Errorf("the domains of %d nodes are known, want 2", n)
	}
	closeNode(b)
	xmpptest.Eventually(t, "nothing is left of the node", func() bool { return len(domainsFields(t, a)) == 1 })
}

// domainsFields returns the names of the fields with domains.
func domainsFields(t *testing.T, n *Node) []string {
	t.Helper()
	c := n.engine.client
	all, err := c.Do(context.Background(), c.B().Hkeys().Key(nodesKey).Build()).AsStrSlice()
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(field string) bool { return !strings.HasPrefix(field, domainsField) })
}
