// Package memnodes connects routers in one process as the nodes of a cluster, without an
// engine, for tests.
package memnodes

import (
	"context"
	"slices"
	"strings"
	"sync"

	"roost/router"
)

// Cluster is the directory and the bus.
type Cluster struct {
	mu      sync.Mutex
	idle    sync.Cond
	last    router.NodeID
	nodes   map[router.NodeID]*Node
	places  map[string][]router.Place // by account
	pending int                       // items that are not handled yet
	forget  bool
	late    bool
	hold    bool     // updates wait
	held    []func() // that wait
}

// New returns a cluster without nodes.
func New() *Cluster {
	c := &Cluster{nodes: make(map[router.NodeID]*Node), places: make(map[string][]router.Place)}
	c.idle.L = &c.mu
	return c
}

// Forgetful makes Wait clear what nodes know without asking, so that whatever needs to know
// where resources are has to wait for it.
func (c *Cluster) Forgetful() { c.forget = true }

// LearnLate makes each node know of those that join after it only when they have sent it
// something, as in the time until it reads who is there.
func (c *Cluster) LearnLate() { c.late = true }

// Wait waits until all items are handled.
func (c *Cluster) Wait() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.pending > 0 {
		c.idle.Wait()
	}
	for _, n := range c.nodes {
		clear(n.asked)
	}
}

// Places returns an account's resources on all nodes.
func (c *Cluster) Places(account string) []router.Place {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.places[account])
}

// Node is a node; it implements router.Nodes.
type Node struct {
	c       *Cluster
	id      router.NodeID
	handler router.NodeHandler
	items   []item
	wake    sync.Cond
	closed  bool
	cut     bool
	held    bool
	heldFor map[string][]item // by account: see HoldFor
	holding bool              // see HoldSent
	sent    []func()          // that wait
	done    chan struct{}
	asked   map[string]bool        // with Forgetful: what was asked since the last call of Wait
	heard   map[router.NodeID]bool // with LearnLate: who has sent this node something
}

type item struct {
	from    router.NodeID
	account string
	b       []byte
}

// Join adds a node. Close removes it.
func (c *Cluster) Join(h router.NodeHandler) *Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	n := &Node{c: c, id: c.last, handler: h, done: make(chan struct{}), asked: make(map[string]bool), heard: make(map[router.NodeID]bool)}
	n.wake.L = &c.mu
	c.nodes[n.id] = n
	go n.run()
	return n
}

func (n *Node) run() {
	defer close(n.done)
	lane := n.handler.NewLane()
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	for {
		for (len(n.items) == 0 || n.held) && !n.closed {
			n.wake.Wait()
		}
		if len(n.items) == 0 || n.held {
			return
		}
		x := n.items[0]
		n.items = n.items[1:]
		n.heard[x.from] = true
		n.c.mu.Unlock()
		lane.Item(x.from, x.account, x.b)
		for i := range x.b {
			x.b[i] = '!' // it is borrowed
		}
		lane.Flush()
		n.c.mu.Lock()
		if n.c.pending--; n.c.pending == 0 {
			n.c.idle.Broadcast()
		}
	}
}

// Close ends the node after it has handled what it was sent, unless that is held. Another node
// takes over the rest, and learns of the resources that the node still has.
func (n *Node) Close() {
	n.c.mu.Lock()
	n.closed = true
	delete(n.c.nodes, n.id)
	n.wake.Signal()
	n.c.mu.Unlock()
	<-n.done
	n.c.mu.Lock()
	n.die(func() {})
}

// Kill ends the node as if its process had died: what it has not handled is taken over by
// another node, which also learns of its resources.
func (n *Node) Kill() {
	n.c.mu.Lock()
	n.closed = true
	n.die(func() { <-n.done })
}

// Cut separates the node from the others for longer than a lease: to them it has died, but
// its clients stay.
func (n *Node) Cut() {
	n.c.mu.Lock()
	n.cut = true
	n.die(func() {})
}

// Heal ends Cut.
func (n *Node) Heal() {
	n.c.mu.Lock()
	n.cut = false
	n.c.last++
	n.id = n.c.last
	n.c.nodes[n.id] = n
	n.c.mu.Unlock()
	n.Repeat(router.LostPresence)
}

// Repeat has the handler register again, as after an outage.
func (n *Node) Repeat(lost router.Lost) { n.handler.Rejoined(context.Background(), lost) }

// die has another node take over what this one had. The caller holds mu, which die unlocks.
// It then calls wait.
func (n *Node) die(wait func()) {
	left, id := n.items, n.id
	n.items = nil
	n.c.pending -= len(left)
	delete(n.c.nodes, n.id)
	var heir *Node
	for _, other := range n.c.nodes {
		if heir == nil || other.id < heir.id {
			heir = other
		}
	}
	var died []router.Death
	for account, all := range n.c.places {
		for _, p := range all {
			if p.Node == n.id {
				died = append(died, router.Death{Account: account, Place: p})
			}
		}
		n.c.set(account, slices.DeleteFunc(slices.Clone(all), func(p router.Place) bool { return p.Node == n.id }))
	}
	n.wake.Signal()
	if n.c.pending == 0 {
		n.c.idle.Broadcast()
	}
	n.c.mu.Unlock()
	wait()
	if heir == nil {
		return
	}
	heir.handler.Died(id, died)
	for _, x := range left {
		heir.handler.Undelivered(id, x.account, x.b, true)
	}
}

// set replaces an account's places. The caller holds mu.
func (c *Cluster) set(account string, places []router.Place) {
	if len(places) == 0 {
		delete(c.places, account)
		return
	}
	c.places[account] = places
}

// elsewhere returns the places of an account on other nodes. The caller holds mu.
func (n *Node) elsewhere(account string) []router.Place {
	return slices.DeleteFunc(slices.Clone(n.c.places[account]), func(p router.Place) bool { return p.Node == n.id })
}

// Cached implements router.Nodes.
func (n *Node) Cached(account string) (places []router.Place, ok bool) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	if n.cut || n.c.forget && !n.asked[account] {
		return nil, false
	}
	return n.elsewhere(account), true
}

// Places implements router.Nodes.
func (n *Node) Places(_ context.Context, accounts []string) ([][]router.Place, error) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	if n.cut {
		return nil, router.ErrNoDirectory
	}
	all := make([][]router.Place, len(accounts))
	for i, account := range accounts {
		all[i] = n.elsewhere(account)
		n.asked[strings.Clone(account)] = true
	}
	return all, nil
}

// Current implements router.Nodes.
func (n *Node) Current(_ context.Context, account string) ([]router.Place, error) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	if n.cut {
		return nil, router.ErrNoDirectory
	}
	return n.elsewhere(account), nil
}

// CurrentAll implements router.Nodes.
func (n *Node) CurrentAll(ctx context.Context, accounts []string) (all [][]router.Place, err error) {
	for _, account := range accounts {
		places, err := n.Current(ctx, account)
		if err != nil {
			return nil, err
		}
		all = append(all, places)
	}
	return all, nil
}

// Register implements router.Nodes.
func (n *Node) Register(_ context.Context, account, resource string, r router.Registration) (got router.Registered, err error) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	if n.cut {
		return got, router.ErrNoDirectory
	}
	for _, p := range n.elsewhere(account) {
		if p.Resource == resource {
			got.Replaced = p
		} else {
			got.Places = append(got.Places, p)
		}
	}
	entry := router.Place{Resource: strings.Clone(resource), Node: n.id}
	if r.From != 0 && got.Replaced.Node == r.From {
		entry.Available, entry.Priority = got.Replaced.Available, got.Replaced.Priority
	}
	switch {
	case got.Replaced.Node != 0 && !r.Replace && got.Replaced.Node != r.From:
		return router.Registered{Taken: true}, nil
	case got.Replaced.Node == 0 && r.MaxResources > 0 && r.Here+len(got.Places) >= r.MaxResources:
		return router.Registered{Full: true}, nil
	}
	if i := slices.IndexFunc(n.c.places[account], func(p router.Place) bool { return p.Resource == resource && p.Node == n.id }); i >= 0 {
		got.Known, entry = true, n.c.places[account][i]
	}
	account = strings.Clone(account)
	n.c.set(account, append(n.without(account, resource), entry))
	return got, nil
}

// without returns an account's places except one. The caller holds mu.
func (n *Node) without(account, resource string) []router.Place {
	return slices.DeleteFunc(slices.Clone(n.c.places[account]), func(p router.Place) bool { return p.Resource == resource })
}

// Update implements router.Nodes.
func (n *Node) Update(account, resource string, available bool, priority int8) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	if n.c.hold {
		account, resource := strings.Clone(account), strings.Clone(resource)
		n.c.held = append(n.c.held, func() { n.Update(account, resource, available, priority) })
		return
	}
	all := slices.Clone(n.c.places[account])
	for i := range all {
		if p := &all[i]; p.Resource == resource && p.Node == n.id {
			p.Available, p.Priority = available, priority
		}
	}
	n.c.set(account, all)
}

// Unregister implements router.Nodes.
func (n *Node) Unregister(account, resource string) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	n.c.set(strings.Clone(account), slices.DeleteFunc(slices.Clone(n.c.places[account]), func(p router.Place) bool {
		return p.Resource == resource && p.Node == n.id
	}))
}

// Send implements router.Nodes.
func (n *Node) Send(to router.NodeID, account string, b []byte) bool {
	n.c.mu.Lock()
	if to == n.id { // as package cluster
		n.c.mu.Unlock()
		return false
	}
	if n.holding {
		account, b := strings.Clone(account), slices.Clone(b)
		n.sent = append(n.sent, func() { n.Send(to, account, b) })
		n.c.mu.Unlock()
		return true
	}
	other := n.c.nodes[to]
	if other == nil || n.cut {
		n.c.mu.Unlock()
		go n.handler.Undelivered(to, strings.Clone(account), slices.Clone(b), false)
		return true
	}
	defer n.c.mu.Unlock()
	x := item{n.id, strings.Clone(account), slices.Clone(b)}
	if held, ok := other.heldFor[account]; ok {
		other.heldFor[x.account] = append(held, x)
		return true
	}
	other.items = append(other.items, x)
	n.c.pending++
	other.wake.Signal()
	return true
}

// Self implements router.Nodes.
func (n *Node) Self() router.NodeID {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	return n.id
}

// Others implements router.Nodes.
func (n *Node) Others() (all []router.NodeID) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	for id := range n.c.nodes {
		if id != n.id && !n.cut && (!n.c.late || id < n.id || n.heard[id]) {
			all = append(all, id)
		}
	}
	slices.Sort(all)
	return all
}

var _ router.Nodes = (*Node)(nil)
