package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"roost/cluster/clustertest"
	"roost/internal/logring"
	"roost/internal/redistest"
	"roost/internal/xmpptest"
	"roost/router"
)

// testLease is short, because tests wait for its end. None depends on how long that takes.
const testLease = 2 * time.Second

// open starts a node that ends after the test.
func open(t testing.TB, url, name string, change ...func(*Config)) (*Node, *clustertest.Recorder) {
	t.Helper()
	config := Config{URL: url, Name: name, Lease: testLease, Logger: testLogger(t)}
	for _, f := range change {
		f(&config)
	}
	h := new(clustertest.Recorder)
	n, err := start(config, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeNode(n) })
	return n, h
}

// start makes a node join.
func start(config Config, h router.NodeHandler) (*Node, error) {
	n, err := New(config, h)
	if err != nil {
		return nil, err
	}
	return n, n.Start(context.Background())
}

// hold returns a channel that is closed by release, or at the end of the test. Nodes whose handlers wait
// for it must be opened before: their ends wait for the handlers.
func hold(t testing.TB) (held <-chan struct{}, release func()) {
	c := make(chan struct{})
	release = sync.OnceFunc(func() { close(c) })
	t.Cleanup(release)
	return c, release
}

// dialRedis returns a client of a server, for what a test does or looks at there itself.
func dialRedis(t testing.TB, server *redistest.Server) rueidis.Client {
	t.Helper()
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{server.Addr}, DisableCache: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// testLogger logs to the test.
func testLogger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

// closeNode closes a node, and does not wait for an engine that may not be there.
func closeNode(n *Node) {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	n.Close(ctx)
}

// kill ends a node as if its process had died: its lease stays until it is over.
func kill(n *Node) {
	n.engine.close()
	n.cancel()
}

// TestNodes runs the tests of router.Nodes.
func TestNodes(t *testing.T) {
	server := redistest.Start(t)
	clusters := 0
	clustertest.Run(t, func(t *testing.T, count int) *clustertest.Cluster {
		clusters++
		c := new(clustertest.Cluster)
		all := make([]*Node, count)
		for i := range count {
			n, h := open(t, fmt.Sprintf("%s/%d", server.URL(), clusters%16), fmt.Sprintf("n%d", i))
			c.Nodes, c.Handlers, all[i] = append(c.Nodes, n), append(c.Handlers, h), n
		}
		c.Kill = func(i int) { kill(all[i]) }
		for _, n := range all {
			xmpptest.Eventually(t, "all nodes know each other", func() bool { return len(n.Others()) == count-1 })
		}
		return c
	})
}

// TestName: a second node with the same name is refused while the first runs, and waits for
// the lease of one that has crashed.
func TestName(t *testing.T) {
	server := redistest.Start(t)
	first, _ := open(t, server.URL(), "a")
	_, err := start(Config{URL: server.URL(), Name: "a", Lease: testLease}, new(clustertest.Recorder))
	if err == nil || !strings.Contains(err.Error(), `another node with the name "a" is running`) {
		t.Fatalf("%v", err)
	}
	kill(first)
	second, _ := open(t, server.URL(), "a")
	if second.Self() == first.Self() {
		t.Error("the second run has the same epoch")
	}
	open(t, server.URL(), "b")
}

// TestShared: a node that is configured in another way than those that run cannot join.
func TestShared(t *testing.T) {
	server := redistest.Start(t)
	config := func(name, shared string) Config {
		return Config{URL: server.URL(), Name: name, Shared: shared, Lease: testLease}
	}
	first, err := start(config("a", "one"), new(clustertest.Recorder))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := start(config("b", "two"), new(clustertest.Recorder)); !errors.Is(err, ErrDiffers) {
		t.Errorf("%v", err)
	}
	third, err := start(config("c", "one"), new(clustertest.Recorder))
	if err != nil {
		t.Fatal(err)
	}
	closeNode(third)
	closeNode(first)
	open(t, server.URL(), "b", func(c *Config) { c.Shared = "two" })
}

// TestURLErrors: errors of URLs say what is wrong, without the password.
func TestURLErrors(t *testing.T) {
	f := func(url, want string) {
		t.Helper()
		_, err := start(Config{URL: url, Name: "a"}, new(clustertest.Recorder))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
	f("http://user:sesame@localhost", "invalid URL scheme: http")
	f("redis://user:sesame/%zz@localhost", "must be percent-encoded")
	f("redis://user:sesame@localhost/first", "invalid database number")
	f("redis://user:sesame@localhost?protocol=2", "must not ask for protocol=2")
	f("redis://user:ses ame@localhost", "percent-encoded")
}

// TestNames: the names that a node may have.
func TestNames(t *testing.T) {
	f := func(name string, want bool) {
		t.Helper()
		if err := CheckName(name); (err == nil) != want {
			t.Errorf("%q: %v", name, err)
		}
	}
	f("a", true)
	f("xmpp-1.example.org", true)
	f(strings.Repeat("a", 64), true)
	f("", false)
	f(strings.Repeat("a", 65), false)
	f("two words", false)
	f("line\n", false)
	f("höst", false)
}

// TestStartWithoutEngine: a node starts without its Redis server, and joins when it can.
func TestStartWithoutEngine(t *testing.T) {
	server := redistest.Start(t)
	server.Kill()
	n, h := open(t, server.URL(), "a")
	if _, err := n.Register(context.Background(), "a@x", "r", router.Registration{}); !errors.Is(err, router.ErrNoDirectory) {
		t.Errorf("a registration: %v", err)
	}
	if s := n.Stats(); s.Reachable || s.Nodes != 0 || n.Self() != 0 || n.Others() != nil {
		t.Errorf("%+v, node %d", s, n.Self())
	}
	n.Update("a@x", "r", true, 1)
	server.Restart()
	xmpptest.Eventually(t, "everything is to be registered", func() bool { return h.Rejoins() == 1 })
	registered(t, n, "a@x", "r")
	other, _ := open(t, server.URL(), "b")
	waitPlaces(t, other, "a@x", 1)
	if s := n.Stats(); !s.Reachable || n.Self() == 0 {
		t.Errorf("%+v, node %d", s, n.Self())
	}
}

// TestStartLate: a node that is started without the Redis server and whose name another has
// says so, and joins when that has ended.
func TestStartLate(t *testing.T) {
	server := redistest.Start(t)
	network := redistest.StartProxy(t, server.Addr)
	network.Cut()
	log := logring.New(100)
	late, _ := open(t, network.URL(), "a", func(c *Config) { c.Logger = slog.New(log.Handler(c.Logger.Handler())) })
	first, _ := open(t, server.URL(), "a")
	network.Mend()
	xmpptest.Eventually(t, "the log says that the name is taken", func() bool {
		return slices.ContainsFunc(log.Lines(), func(l logring.Line) bool { return strings.Contains(l.Text, "another node has the name") })
	})
	if late.Self() != 0 {
		t.Error("two nodes have the same name")
	}
	closeNode(first)
	xmpptest.Eventually(t, "the node joins", func() bool { return late.Self() != 0 })
}

// registered registers a resource.
func registered(t testing.TB, n *Node, account, resource string) {
	t.Helper()
	if _, err := n.Register(context.Background(), account, resource, router.Registration{}); err != nil {
		t.Fatal(err)
	}
}

// TestUntilRenewal: a lease is renewed four times in its time, and sooner if another one may be
// over, but not at once again and again.
func TestUntilRenewal(t *testing.T) {
	f := func(first, want time.Duration) {
		t.Helper()
		if got := untilRenewal(10*time.Second, first); got != want {
			t.Errorf("with %v left of another lease: %v, want %v", first, got, want)
		}
	}
	f(10*time.Second, 2500*time.Millisecond)
	f(time.Second, 1005*time.Millisecond)
	f(200*time.Millisecond, 205*time.Millisecond)
	f(time.Millisecond, 100*time.Millisecond)
}
