package cluster

import (
	"context"
	"errors"
	"fmt"
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
