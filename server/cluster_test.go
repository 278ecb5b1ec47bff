package server

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"roost/cluster"
	"roost/internal/pgtest"
	"roost/internal/redistest"
	"roost/internal/xmpptest"
	"roost/session"
)

// testNodes are the stores that the nodes of a test share.
type testNodes struct {
	redis, store, secret string
}

func newTestNodes(t *testing.T, redis string) *testNodes {
	t.Helper()
	n := &testNodes{redis: redis, store: pgtest.Shared(t).URL(t), secret: filepath.Join(t.TempDir(), secretFile)}
	if err := os.WriteFile(n.secret, []byte(strings.Repeat("s", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	return n
}

// config configures a node.
func (n *testNodes) config(name string) func(*Config) {
	return func(c *Config) {
		c.Store, c.Cluster = n.store, cluster.Config{URL: n.redis, Name: name, Lease: 2 * time.Second}
		text, err := os.ReadFile(n.secret)
		if err == nil {
			err = os.WriteFile(filepath.Join(c.DataDir, secretFile), text, 0o600)
		}
		if err != nil {
			panic(err)
		}
	}
}

// TestNodes: clients of two nodes see each other's presence and exchange messages. A node that
// leaves takes its clients with it.
func TestNodes(t *testing.T) {
	nodes := newTestNodes(t, redistest.Start(t).URL())
	a, b := startServer(t, nodes.config("a")), newServer(t, nodes.config("b"))
	for _, s := range []*Server{a, b} {
		xmpptest.Eventually(t, "the nodes know each other", func() bool { return len(s.node.Others()) == 1 })
	}
	// A node that sends something before this one has read of it is known by its number first.
	xmpptest.Eventually(t, "the first node to know the name of the other", func() bool { return slices.Equal(a.clusterStatus().Others, []string{"b"}) })
	if c := a.clusterStatus(); c.Node != "a" || c.Number == 0 || !c.Reachable {
		t.Errorf("%+v", c)
	}
	romeo, juliet := connect(t, a).login("romeo", "r"), connect(t, b).login("juliet", "j")
	romeo.ask("<presence/>", "<presence from='romeo@localhost/r'")
	romeo.ask("<presence to='juliet@localhost' type='subscribe'/>", "")
	juliet.ask("<presence/>", "type='subscribe'")
	juliet.ask("<presence to='romeo@localhost' type='subscribed'/>", "")
	romeo.ask("", "<presence from='juliet@localhost/j'")
	romeo.ask("<message type='chat' to='juliet@localhost/j'><body>there</body></message>", "")
	juliet.ask("<message type='chat' to='romeo@localhost'><body>and back</body></message>", "there")
	romeo.ask("", "and back")
	if err := b.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if got := romeo.ask("", "type='unavailable'"); !strings.Contains(got, "juliet@localhost/j") {
		t.Errorf("%q", got)
	}
}

// TestClusterConfig: mistakes in the configuration of a node.
func TestClusterConfig(t *testing.T) {
	f := func(change func(*Config), want string) {
		t.Helper()
		c := Config{C2S: "127.0.0.1:0", DataDir: t.TempDir(), Store: "postgres://roost@localhost/roost", Cluster: cluster.Config{URL: "redis://localhost"}}
		change(&c)
		err := c.Validate()
		if want == "" && err == nil {
			return
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "sesame") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want %s", err, want)
		}
	}
	f(func(*Config) {}, "")
	f(func(c *Config) { c.Cluster.URL = "http://u:sesame@host" }, "invalid URL scheme")
	f(func(c *Config) { c.Cluster.Name = "two words" }, `"two words" is not a name`)
	f(func(c *Config) { c.Store = "" }, "all nodes share one store")
	f(func(c *Config) { c.Store = "sqlite:/srv/roost.db" }, "/srv/roost.db is a file of this machine")
}

// TestNodesDomains: a node knows which others serve other domains, in whatever order, also after
// they were changed without a restart.
func TestNodesDomains(t *testing.T) {
	nodes := newTestNodes(t, redistest.Start(t).URL())
	start := func(name string, domains ...string) *Server {
		configure := nodes.config(name)
		return startServer(t, func(c *Config) {
			configure(c)
			c.Domains = domains
		})
	}
	a, b := start("a", "localhost", "example.org"), start("b", "example.org", "localhost")
	differ := func(s *Server, want ...string) {
		t.Helper()
		xmpptest.Eventually(t, "the domains are compared", func() bool {
			c := s.clusterStatus()
			return len(c.Others) == 1 && slices.Equal(c.OtherDomains, want)
		})
	}
	differ(a)
	b.reload(t, func(c *Config) { c.Domains = []string{"localhost", "example.net"} })
	differ(a, "b")
	differ(b, "a")
	a.reload(t, func(c *Config) { c.Domains = []string{"example.net", "localhost"} })
	differ(a)
	differ(b)
}

// TestNodeRefused: a node whose secret or database is not that of the others does not start, nor does
// one whose name is taken; all errors say what to do. The same database may have several URLs.
func TestNodeRefused(t *testing.T) {
	nodes := newTestNodes(t, redistest.Start(t).URL())
	startServer(t, nodes.config("a"))
	f := func(name, want string, change func(*Config)) {
		t.Helper()
		cfg := Config{C2S: "127.0.0.1:0", DataDir: t.TempDir(), Session: session.Config{AllowPlaintext: true}}
		nodes.config(name)(&cfg)
		change(&cfg)
		_, err := New(context.Background(), cfg)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want %s", err, want)
		}
	}
	f("a", "change the name of this one", func(*Config) {})
	f("b", "use another database: give all of them the same --store", func(c *Config) { c.Store = pgtest.Shared(t).URL(t) })
	startServer(t, func(c *Config) {
		nodes.config("c")(c)
		c.Store += "&application_name=c"
	})
	f("b", "copy it from the data directory of one of them", func(c *Config) {
		if err := os.WriteFile(filepath.Join(c.DataDir, secretFile), slices.Repeat([]byte("t"), 32), 0o600); err != nil {
			t.Fatal(err)
		}
	})
}
