// Package clustertest has the tests that every implementation of router.Nodes must pass.
package clustertest

import (
	"context"
	"slices"
	"sync"
	"testing"

	"roost/internal/xmpptest"
	"roost/router"
)

// Item is an item that was handled or returned.
type Item struct {
	Node    router.NodeID // that has sent it, or to which it was sent
	Account string
	Text    string
	Again   bool // of one that was returned
}

// Death is a resource of a node that has died.
type Death struct {
	Node    router.NodeID
	Account string
	Place   router.Place
}

// Recorder is a router.NodeHandler that records its calls.
type Recorder struct {
	Hold      func(account string) // if set, is called before an item is recorded, and may block
	HoldDeath func(account string) // the same for Died

	mu          sync.Mutex
	items       []Item
	unflushed   int
	undelivered []Item
	died        []Death
	rejoined    int
	lost        router.Lost
}

// NewLane implements router.NodeHandler.
func (r *Recorder) NewLane() router.NodeLane { return &lane{r: r} }

// lane is a router.NodeLane.
type lane struct {
	r         *Recorder
	unflushed int // owned by the goroutine that uses it
}

func (l *lane) Item(from router.NodeID, account string, item []byte) {
	if l.r.Hold != nil {
		l.r.Hold(account)
	}
	l.unflushed++
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	l.r.unflushed++
	l.r.items = append(l.r.items, Item{Node: from, Account: account, Text: string(item)})
}

func (l *lane) Flush() {
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	l.r.unflushed -= l.unflushed
	l.unflushed = 0
}

// Unflushed returns how many items were handled and not flushed.
func (r *Recorder) Unflushed() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.unflushed
}

// Undelivered implements router.NodeHandler.
func (r *Recorder) Undelivered(to router.NodeID, account string, item []byte, again bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.undelivered = append(r.undelivered, Item{to, account, string(item), again})
}

// Died implements router.NodeHandler.
func (r *Recorder) Died(node router.NodeID, all []router.Death) {
	for _, d := range all {
		if r.HoldDeath != nil {
			r.HoldDeath(d.Account)
		}
		r.mu.Lock()
		r.died = append(r.died, Death{node, d.Account, d.Place})
		r.mu.Unlock()
	}
}

// Rejoined implements router.NodeHandler.
func (r *Recorder) Rejoined(_ context.Context, lost router.Lost) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost = max(r.lost, lost)
	if lost >= router.LostEntries {
		r.rejoined++
	}
}

// Items returns what was handled.
func (r *Recorder) Items() []Item {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.items)
}

// Returned returns what was not delivered.
func (r *Recorder) Returned() []Item {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.undelivered)
}

// Deaths returns the resources whose nodes have died.
func (r *Recorder) Deaths() []Death {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.died)
}

// Rejoins returns how often the registrations were lost.
func (r *Recorder) Rejoins() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rejoined
}

// Lost returns the most that was lost until now, 0 for nothing.
func (r *Recorder) Lost() router.Lost {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost
}

// WaitItems waits until n items were handled, and returns all.
func (r *Recorder) WaitItems(t testing.TB, n int) []Item {
	t.Helper()
	xmpptest.Eventually(t, "the items arrive", func() bool { return len(r.Items()) >= n })
	return r.Items()
}
