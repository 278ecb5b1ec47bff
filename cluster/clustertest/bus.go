package clustertest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"roost/internal/xmpptest"
	"roost/router"
)

// order: items of an account arrive once and in order, whatever else is sent; and the buffer
// of an item can be used again.
func order(t *testing.T, c *Cluster) {
	const accounts, items = 7, 400
	var senders sync.WaitGroup
	for from := range 2 {
		for a := range accounts {
			senders.Go(func() {
				buf := make([]byte, 0, 64)
				for i := range items {
					buf = fmt.Appendf(buf[:0], "%d %d", from, i)
					if !c.Nodes[from].Send(c.Nodes[2].Self(), fmt.Sprintf("u%d@example.org", a), buf) {
						t.Error("the queue is full")
					}
				}
			})
		}
	}
	senders.Wait()
	next := make(map[string]int)
	for _, item := range c.Handlers[2].WaitItems(t, 2*accounts*items) {
		from := slices.IndexFunc(c.Nodes, func(n router.Nodes) bool { return n.Self() == item.Node })
		key := fmt.Sprintf("%s %d", item.Account, from)
		if want := fmt.Sprintf("%d %d", from, next[key]); item.Text != want {
			t.Fatalf("%s: %q, want %q", item.Account, item.Text, want)
		}
		next[key]++
	}
	if len(next) != 2*accounts {
		t.Errorf("items of %d accounts, want %d", len(next), 2*accounts)
	}
	xmpptest.Eventually(t, "all items are flushed", func() bool { return c.Handlers[2].Unflushed() == 0 })
}

// sizes: items of all sizes arrive as they were sent.
func sizes(t *testing.T, c *Cluster) {
	var want []string
	for _, size := range []int{0, 1, 127, 128, 70_000, 300_000, 1} {
		text := string(make([]byte, size))
		want = append(want, text)
		if !c.Nodes[0].Send(c.Nodes[1].Self(), account, []byte(text)) {
			t.Fatal("the queue is full")
		}
	}
	for i, item := range c.Handlers[1].WaitItems(t, len(want)) {
		if item.Text != want[i] || item.Account != account || item.Node != c.Nodes[0].Self() {
			t.Errorf("item %d of %d bytes, want %d", i, len(item.Text), len(want[i]))
		}
	}
}

// nobody: a node does not send to itself, nor to no node.
func nobody(t *testing.T, c *Cluster) {
	if c.Nodes[0].Send(c.Nodes[0].Self(), account, nil) || c.Nodes[0].Send(0, account, nil) {
		t.Error("an item was accepted that has no other node")
	}
}

// death: the resources of a node that has died are removed, each is reported once, and those
// that are elsewhere in the meantime are not.
func death(t *testing.T, c *Cluster) {
	const resources = 300
	dead := c.Nodes[2].Self()
	for i := range resources {
		a := fmt.Sprintf("u%d@example.org", i)
		c.mustRegister(t, 2, a, "r", router.Registration{})
		c.Nodes[2].Update(a, "r", true, int8(i%100))
	}
	c.mustRegister(t, 2, account, "moved", router.Registration{})
	c.mustRegister(t, 0, account, "moved", router.Registration{Replace: true})
	c.mustRegister(t, 2, account, "left", router.Registration{})
	c.Nodes[2].Unregister(account, "left")
	c.wait(t, 1, account, "moved@0")
	last := fmt.Sprintf("u%d@example.org", resources-1)
	c.wait(t, 1, last, fmt.Sprintf("r@2:%d", (resources-1)%100))
	c.Kill(2)
	deaths := func() (all []Death) { return append(c.Handlers[0].Deaths(), c.Handlers[1].Deaths()...) }
	xmpptest.Eventually(t, "all deaths are reported", func() bool { return len(deaths()) >= resources })
	for _, n := range c.Nodes[:2] {
		xmpptest.Eventually(t, "the node is not among the others", func() bool { return len(n.Others()) == 1 })
	}
	seen := make(map[string]bool)
	for _, d := range deaths() {
		var i int
		if _, err := fmt.Sscanf(d.Account, "u%d@", &i); err != nil || seen[d.Account] || d.Node != dead ||
			d.Place != (router.Place{Resource: "r", Node: dead, Available: true, Priority: int8(i % 100)}) {
			t.Errorf("%+v", d)
		}
		seen[d.Account] = true
	}
	for i := range resources {
		c.check(t, i%2, fmt.Sprintf("u%d@example.org", i), "")
	}
	c.check(t, 1, account, "moved@0")
}

// deadRegistration: resources of a node that has died neither refuse others nor count.
func deadRegistration(t *testing.T, c *Cluster) {
	c.mustRegister(t, 2, account, "orchard", router.Registration{})
	c.Kill(2)
	xmpptest.Eventually(t, "the node is not among the others", func() bool { return len(c.Nodes[0].Others()) == 1 })
	if got := c.mustRegister(t, 0, account, "orchard", router.Registration{MaxResources: 1}); got.Taken || got.Full || got.Replaced.Node != 0 {
		t.Errorf("%+v", got)
	}
	c.check(t, 1, account, "orchard@0")
}

// takeover: what a node that has died had not handled is returned to a survivor.
func takeover(t *testing.T, c *Cluster) {
	hold, held := make(chan struct{}), make(chan struct{}, 1)
	c.Handlers[2].Hold = func(string) {
		select {
		case held <- struct{}{}:
		default:
		}
		<-hold
	}
	defer close(hold)
	const items = 100
	for i := range items {
		c.Nodes[0].Send(c.Nodes[2].Self(), account, fmt.Append(nil, i))
		if i == 0 {
			<-held
		}
	}
	dead := c.Nodes[2].Self()
	c.Kill(2)
	returned := func() []Item { return append(c.Handlers[0].Returned(), c.Handlers[1].Returned()...) }
	xmpptest.Eventually(t, "all items are returned", func() bool { return len(returned()) >= items })
	var got []string
	for i, item := range returned() {
		if item.Node != dead || item.Account != account || i == 0 && !item.Again {
			t.Errorf("%+v", item)
		}
		got = append(got, item.Text)
	}
	slices.Sort(got)
	if got = slices.Compact(got); len(got) != items || len(returned()) != items {
		t.Errorf("%d different items of %d were returned, want %d", len(got), len(returned()), items)
	}
}

// lateSend: what is sent to a node that was cleaned up is returned, and was not handled.
func lateSend(t *testing.T, c *Cluster) {
	dead := c.Nodes[2].Self()
	c.Kill(2)
	xmpptest.Eventually(t, "the node is not among the others", func() bool { return len(c.Nodes[0].Others()) == 1 })
	for i := range 10 {
		c.Nodes[0].Send(dead, account, fmt.Append(nil, i))
	}
	xmpptest.Eventually(t, "all items are returned", func() bool {
		return len(c.Handlers[0].Returned())+len(c.Handlers[1].Returned()) >= 10
	})
	if _, err := c.Nodes[0].Places(context.Background(), []string{account}); err != nil {
		t.Error(err)
	}
}
