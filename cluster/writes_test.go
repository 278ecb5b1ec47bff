package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"roost/internal/redistest"
	"roost/internal/xmpptest"
	"roost/router"
)

// TestHangWithChanges: registrations fail soon if Redis does not respond, also behind changes that
// wait until it does. Bug: they waited, too, and each held up a goroutine that binds resources.
func TestHangWithChanges(t *testing.T) {
	server := redistest.Start(t)
	n, _ := open(t, server.URL(), "a", func(c *Config) { c.Lease = 10 * time.Second })
	registered(t, n, "a@x", "r")
	server.Stop()
	n.Update("a@x", "r", true, 1)
	xmpptest.Eventually(t, "the change is on its way", func() bool {
		n.writes.mu.Lock()
		defer n.writes.mu.Unlock()
		return n.writes.waiting == 1
	})
	const logins = 10
	failed := make(chan error, logins)
	for i := range logins {
		go func() {
			_, err := n.Register(context.Background(), fmt.Sprintf("u%d@x", i), "r", router.Registration{})
			failed <- err
		}()
	}
	for range logins {
		if err := <-failed; !errors.Is(err, router.ErrNoDirectory) {
			t.Errorf("%v", err)
		}
	}
	unreachable(t, n)
	// One that has begun before the engine was known to be out of reach.
	o := &op{kind: opRegister, account: "b@x", resource: "r", done: make(chan struct{})}
	if !n.writes.add(o) {
		t.Fatal("there is no space in the queue")
	}
	if <-o.done; !errors.Is(o.err, router.ErrNoDirectory) {
		t.Errorf("%v", o.err)
	}
	n.Update("a@x", "r", true, 2)
	server.Continue()
	xmpptest.Eventually(t, "the queue is empty", func() bool { return n.Stats().WriteBytes == 0 })
	if p := stored(t, n, "a@x", "r"); p.Priority != 2 {
		t.Errorf("the priority is %d", p.Priority)
	}
}

// TestScriptsLost: if one server of a Redis Cluster has lost the scripts, what others have executed in
// the same pipeline is not executed again after what followed it. Bug: a resource was removed from the
// directory after it had been registered anew.
func TestScriptsLost(t *testing.T) {
	servers := redistest.StartCluster(t, 2, 0)
	n, _ := open(t, servers[0].URL(), "a")
	there, lost := accountOn(t, servers, 0), accountOn(t, servers, 1)
	registered(t, n, there, "r")
	registered(t, n, lost, "r")
	if got := command(t, servers[1].Addr, "SCRIPT FLUSH"); got != "+OK" {
		t.Fatal(got)
	}
	again := &op{kind: opRegister, account: there, resource: "r", done: make(chan struct{})}
	n.writes.mu.Lock() // so that they are in one batch
	for _, o := range []*op{
		{kind: opUpdate, account: lost, resource: "r", available: true, priority: 1},
		{kind: opUnregister, account: there, resource: "r"},
		again,
		{kind: opUpdate, account: there, resource: "r", available: true, priority: 2},
	} {
		n.writes.append(o)
	}
	n.writes.mu.Unlock()
	<-again.done
	xmpptest.Eventually(t, "the queue is empty", func() bool { return n.Stats().WriteBytes == 0 })
	for account, priority := range map[string]int8{lost: 1, there: 2} {
		if got := stored(t, n, account, "r"); got != (router.Place{Resource: "r", Node: n.Self(), Available: true, Priority: priority}) {
			t.Errorf("%s: %+v, want the priority %d", account, got, priority)
		}
	}
}

// accountOn returns an account whose resources are on a server of a Redis Cluster of two.
func accountOn(t *testing.T, servers []*redistest.Server, server int) string {
	t.Helper()
	for i := range 100 {
		account := fmt.Sprintf("u%d@x", i)
		if !strings.HasPrefix(command(t, servers[server].Addr, "HLEN "+accountKey(account)), "-MOVED") {
			return account
		}
	}
	t.Fatal("all accounts are on the other server")
	return ""
}

// TestOvertakes: a registration overtakes the changes of its resource, and nothing else.
func TestOvertakes(t *testing.T) {
	var before []*op
	for _, resource := range []string{"r", "other"} {
		for kind := opRegister; kind <= opForget; kind++ {
			before = append(before, &op{kind: kind, account: "a@x", resource: resource})
		}
	}
	want := append([]*op{before[0]}, before[len(before)/2:]...)
	if got := (&op{account: "a@x", resource: "r"}).overtakes(slices.Clone(before)); !slices.Equal(got, want) {
		t.Errorf("%d operations remain, want %d", len(got), len(want))
	}
}

// stored returns what the directory has of a resource, the zero Place if it is not there.
func stored(t *testing.T, n *Node, account, resource string) router.Place {
	t.Helper()
	c := n.engine.client
	var text string
	xmpptest.Eventually(t, "the directory can be read", func() (ok bool) {
		var err error
		text, err = c.Do(context.Background(), c.B().Hget().Key(accountKey(account)).Field(resource).Build()).ToString()
		return err == nil || rueidis.IsRedisNil(err)
	})
	p, _, _ := entry(resource, text)
	return p
}
