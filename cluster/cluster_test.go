package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"roost/cluster/clustertest"
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
	n, err := Open(context.Background(), config, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeNode(n) })
	return n, h
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
	_, err := Open(context.Background(), Config{URL: server.URL(), Name: "a", Lease: testLease}, new(clustertest.Recorder))
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

// TestURLErrors: errors of URLs say what is wrong, without the password.
func TestURLErrors(t *testing.T) {
	f := func(url, want string) {
		t.Helper()
		_, err := Open(context.Background(), Config{URL: url, Name: "a"}, new(clustertest.Recorder))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
	f("http://user:sesame@localhost", "invalid URL scheme: http")
	f("redis://user:sesame/%zz@localhost", "must be percent-encoded")
	f("redis://user:sesame@localhost/first", "invalid database number")
	f("redis://user:sesame@localhost?protocol=2", "must not ask for protocol=2")
	f("redis://user:sesame@127.0.0.1:1", "cannot connect to the Redis server at 127.0.0.1:1")
	f("redis://user:ses ame@localhost", "percent-encoded")
}

// registered registers a resource.
func registered(t testing.TB, n *Node, account, resource string) {
	t.Helper()
	if _, err := n.Register(context.Background(), account, resource, router.Registration{}); err != nil {
		t.Fatal(err)
	}
}
