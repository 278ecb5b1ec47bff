package clustertest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"roost/internal/xmpptest"
	"roost/router"
)

// Cluster is a new cluster of two or more nodes.
type Cluster struct {
	Nodes    []router.Nodes
	Handlers []*Recorder // of the nodes
	Kill     func(i int) // ends a node without a word to the others; a handler may still run
}

// Run tests an implementation. start starts a cluster of n nodes, which ends after the test.
func Run(t *testing.T, start func(t *testing.T, n int) *Cluster) {
	for _, test := range []struct {
		name string
		f    func(t *testing.T, c *Cluster)
	}{
		{"Register", register},
		{"Conflict", conflict},
		{"TakeFrom", takeFrom},
		{"Full", full},
		{"Update", update},
		{"Unregister", unregister},
		{"Many", many},
		{"Changes", changes},
		{"Order", order},
		{"Sizes", sizes},
		{"Nobody", nobody},
		{"Death", death},
		{"DeadRegistration", deadRegistration},
		{"Takeover", takeover},
		{"LateSend", lateSend},
	} {
		t.Run(test.name, func(t *testing.T) { test.f(t, start(t, 3)) })
	}
}

const account = "romeo@example.org"

// mustRegister registers a resource on node i.
func (c *Cluster) mustRegister(t *testing.T, i int, account, resource string, r router.Registration) router.Registered {
	t.Helper()
	reg, err := c.Nodes[i].Register(context.Background(), account, resource, r)
	if err != nil {
		t.Fatalf("node %d: %s/%s: %v", i, account, resource, err)
	}
	return reg
}

// places describes places in the order of their resources.
func (c *Cluster) places(places []router.Place) string {
	var all []string
	for _, p := range places {
		node := slices.IndexFunc(c.Nodes, func(n router.Nodes) bool { return n.Self() == p.Node })
		text := fmt.Sprintf("%s@%d", p.Resource, node)
		if p.Available {
			text += fmt.Sprintf(":%d", p.Priority)
		}
		all = append(all, text)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// check compares what node i reads from the directory.
func (c *Cluster) check(t *testing.T, i int, account, want string) {
	t.Helper()
	got, err := c.Nodes[i].Current(context.Background(), account)
	if err != nil {
		t.Fatal(err)
	}
	if text := c.places(got); text != want {
		t.Fatalf("node %d has %q for %s, want %q", i, text, account, want)
	}
}

// wait waits until node i knows a change.
func (c *Cluster) wait(t *testing.T, i int, account, want string) {
	t.Helper()
	xmpptest.Eventually(t, fmt.Sprintf("node %d has %q", i, want), func() bool {
		got, err := c.Nodes[i].Current(context.Background(), account)
		return err == nil && c.places(got) == want
	})
}

// register: others find a resource, the node itself does not, and a registration returns
// the other places.
func register(t *testing.T, c *Cluster) {
	if got := c.mustRegister(t, 0, account, "orchard", router.Registration{}); got.Places != nil || got.Replaced.Node != 0 || got.Taken || got.Full {
		t.Errorf("%+v", got)
	}
	c.check(t, 0, account, "")
	c.check(t, 1, account, "orchard@0")
	if got := c.mustRegister(t, 1, account, "balcony", router.Registration{}); c.places(got.Places) != "orchard@0" {
		t.Errorf("%+v", got)
	}
	c.check(t, 0, account, "balcony@1")
	c.check(t, 2, account, "balcony@1 orchard@0")
	c.check(t, 2, "juliet@example.org", "")
	all, err := c.Nodes[2].CurrentAll(context.Background(), []string{"juliet@example.org", account})
	if err != nil || len(all) != 2 || len(all[0]) != 0 || c.places(all[1]) != "balcony@1 orchard@0" {
		t.Errorf("%+v, %v", all, err)
	}
}

// conflict: a resource of another node is refused or replaced.
func conflict(t *testing.T, c *Cluster) {
	c.mustRegister(t, 0, account, "orchard", router.Registration{})
	c.Nodes[0].Update(account, "orchard", true, -3)
	c.wait(t, 1, account, "orchard@0:-3")
	if got := c.mustRegister(t, 1, account, "orchard", router.Registration{}); !got.Taken || got.Replaced.Node != 0 {
		t.Errorf("%+v", got)
	}
	c.check(t, 2, account, "orchard@0:-3")
	got := c.mustRegister(t, 1, account, "orchard", router.Registration{Replace: true})
	if got.Taken || c.places([]router.Place{got.Replaced}) != "orchard@0:-3" || len(got.Places) != 0 {
		t.Errorf("%+v", got)
	}
	c.check(t, 2, account, "orchard@1")
	// What the node did not know yet changes nothing.
	c.Nodes[0].Update(account, "orchard", true, 5)
	c.Nodes[0].Unregister(account, "orchard")
	c.mustRegister(t, 0, account, "later", router.Registration{})
	c.check(t, 2, account, "later@0 orchard@1")
	// A resource of the same node is registered again, and stays as it is.
	c.Nodes[1].Update(account, "orchard", true, 7)
	if got := c.mustRegister(t, 1, account, "orchard", router.Registration{}); got.Taken || got.Replaced.Node != 0 {
		t.Errorf("%+v", got)
	}
	c.check(t, 2, account, "later@0 orchard@1:7")
}

// takeFrom: a resource is taken from one node only, as it is there.
func takeFrom(t *testing.T, c *Cluster) {
	c.mustRegister(t, 0, account, "orchard", router.Registration{})
	c.Nodes[0].Update(account, "orchard", true, -3)
	c.wait(t, 1, account, "orchard@0:-3")
	if got := c.mustRegister(t, 1, account, "orchard", router.Registration{From: c.Nodes[2].Self()}); !got.Taken {
		t.Errorf("from another node: %+v", got)
	}
	c.check(t, 2, account, "orchard@0:-3")
	got := c.mustRegister(t, 1, account, "orchard", router.Registration{From: c.Nodes[0].Self()})
	if got.Taken || c.places([]router.Place{got.Replaced}) != "orchard@0:-3" {
		t.Errorf("%+v", got)
	}
	c.check(t, 2, account, "orchard@1:-3")
	if got := c.mustRegister(t, 1, account, "balcony", router.Registration{From: c.Nodes[0].Self()}); got.Taken || got.Replaced.Node != 0 {
		t.Errorf("from a node that does not have it: %+v", got)
	}
	c.check(t, 2, account, "balcony@1 orchard@1:-3")
}

// full: the limit of resources counts those of all nodes.
func full(t *testing.T, c *Cluster) {
	c.mustRegister(t, 0, account, "a", router.Registration{MaxResources: 3})
	c.mustRegister(t, 0, account, "b", router.Registration{MaxResources: 3, Here: 1})
	if got := c.mustRegister(t, 1, account, "c", router.Registration{MaxResources: 3, Here: 1}); !got.Full {
		t.Errorf("%+v", got)
	}
	c.check(t, 2, account, "a@0 b@0")
	// One that takes the place of another does not need one of its own.
	if got := c.mustRegister(t, 1, account, "b", router.Registration{MaxResources: 2, Replace: true}); got.Full || c.places([]router.Place{got.Replaced}) != "b@0" {
		t.Errorf("%+v", got)
	}
	if got := c.mustRegister(t, 1, account, "d", router.Registration{Here: 1}); got.Full {
		t.Errorf("without a limit: %+v", got)
	}
	c.check(t, 2, account, "a@0 b@1 d@1")
}

// update: the availability and the priority change, in the order of the calls.
func update(t *testing.T, c *Cluster) {
	c.mustRegister(t, 0, account, "orchard", router.Registration{})
	for _, priority := range []int8{0, 127, -128, 1} {
		c.Nodes[0].Update(account, "orchard", true, priority)
		c.wait(t, 1, account, fmt.Sprintf("orchard@0:%d", priority))
	}
	for i := range 200 {
		c.Nodes[0].Update(account, "orchard", true, int8(i))
	}
	c.Nodes[0].Update(account, "orchard", false, 0)
	c.mustRegister(t, 0, account, "last", router.Registration{})
	c.check(t, 1, account, "last@0 orchard@0")
	// A resource that is not registered stays so.
	c.Nodes[0].Update(account, "other", true, 1)
	c.mustRegister(t, 0, account, "last", router.Registration{})
	c.check(t, 1, account, "last@0 orchard@0")
}

// unregister: a resource is no longer found.
func unregister(t *testing.T, c *Cluster) {
	c.mustRegister(t, 0, account, "orchard", router.Registration{})
	c.mustRegister(t, 1, account, "balcony", router.Registration{})
	c.Nodes[1].Unregister(account, "orchard") // it has none
	c.Nodes[0].Unregister(account, "orchard")
	c.wait(t, 2, account, "balcony@1")
	c.Nodes[1].Unregister(account, "balcony")
	c.wait(t, 2, account, "")
}

// many: lookups of many accounts come in order, known and unknown ones.
func many(t *testing.T, c *Cluster) {
	const n = 2500
	accounts := make([]string, n)
	errs := make(chan error, n)
	for i := range accounts {
		accounts[i] = fmt.Sprintf("u%d@example.org", i)
		go func() {
			if i%3 == 0 {
				errs <- nil
				return
			}
			_, err := c.Nodes[i%2].Register(context.Background(), accounts[i], "r", router.Registration{})
			errs <- err
		}()
	}
	for range accounts {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second time, they may be in memory
		all, err := c.Nodes[2].Places(context.Background(), accounts)
		if err != nil {
			t.Fatal(err)
		}
		for i, places := range all {
			want := fmt.Sprintf("r@%d", i%2)
			if i%3 == 0 {
				want = ""
			}
			if got := c.places(places); got != want {
				t.Fatalf("%s: %q, want %q", accounts[i], got, want)
			}
		}
	}
}

// changes: what is in memory follows the directory, also that there was nothing.
func changes(t *testing.T, c *Cluster) {
	cached := func(want string) {
		t.Helper()
		xmpptest.Eventually(t, fmt.Sprintf("%q is in memory", want), func() bool {
			if _, err := c.Nodes[2].Places(context.Background(), []string{account}); err != nil {
				t.Fatal(err)
			}
			got, ok := c.Nodes[2].Cached(account)
			return ok && c.places(got) == want
		})
	}
	for i := range 100 {
		cached("")
		c.mustRegister(t, i%2, account, "r", router.Registration{})
		cached(fmt.Sprintf("r@%d", i%2))
		c.Nodes[i%2].Update(account, "r", true, 4)
		cached(fmt.Sprintf("r@%d:4", i%2))
		c.Nodes[i%2].Unregister(account, "r")
	}
	cached("")
}
