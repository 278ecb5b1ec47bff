package router

import (
	"slices"
	"sync"

	"roost/jid"
	"roost/session"
)

// A resource whose node has died may come back, on whatever node, while its contacts are told that
// it has left. They may have had its presence before that: it is announced again, so that it is the
// last. Nodes of contacts ask, too, because what they are sent by different nodes has no order.
// What is in memory may be outdated, so the directory is asked.

// askBack is called after contacts were told that resources have left with their node. It has those
// that are back announced again.
func (r *Router) askBack(left []jid.JID) {
	if r.nodes == nil || len(left) == 0 {
		return
	}
	accounts := make([]string, len(left))
	for i, from := range left {
		accounts[i] = from.BareString()
	}
	places, err := r.nodes.CurrentAll(r.ctx, accounts)
	if err != nil {
		r.nodesFailed("resources on other nodes could not be looked up", err)
		return
	}
	for i, from := range left {
		if back, ok := findPlace(places[i], from.Resource()); ok {
			r.nodes.Send(back.Node, accounts[i], appendField(appendKind(nil, itemAnnounce), from.String()))
		}
	}
}

// backQueue has the resources that askBack is to be called for. After the death of a node there are
// thousands at once, and the goroutines that handle what other nodes send must not wait for each: a
// worker asks for all that have come meanwhile together.
type backQueue struct {
	mu     sync.Mutex
	all    []jid.JID
	asking bool
}

// maxBack limits the resources in the queue: some 10 MB. maxAskedBack is how many are asked for at
// once.
const (
	maxBack      = 100_000
	maxAskedBack = 500
)

// askBackSoon has askBack called for a resource. If very many wait, it waits itself.
func (r *Router) askBackSoon(from jid.JID) {
	q := &r.back
	q.mu.Lock()
	full, start := len(q.all) >= maxBack, !q.asking
	if !full {
		q.all, q.asking = append(q.all, from), true
	}
	q.mu.Unlock()
	switch {
	case full:
		r.askBack([]jid.JID{from})
	case start:
		r.sessions.Go(session.Read, func(*session.Turn) { r.askAllBack() })
	}
}

// askAllBack calls askBack until the queue is empty.
func (r *Router) askAllBack() {
	for {
		q := &r.back
		q.mu.Lock()
		some := slices.Clone(q.all[:min(len(q.all), maxAskedBack)])
		if q.all = q.all[len(some):]; len(some) == 0 {
			q.all, q.asking = nil, false
		}
		q.mu.Unlock()
		if len(some) == 0 {
			return
		}
		r.guarded(nil, func() { r.askBack(some) })
	}
}
