package router

import (
	"slices"
	"sync"

	"roost/jid"
	"roost/session"
)

// A resource whose node has died may come back, on any node, while its contacts are being told that
// it has left. They may get its new presence before that, so it is announced again, to be the last
// that they get. The contacts' nodes also ask for that, because what different nodes send them has
// no order. They ask the directory, because what they have in memory may be outdated.

// askBack is called after contacts were told that resources have left with their node. It makes
// the nodes of those that are back announce them again.
func (r *Router) askBack(left []jid.JID) error {
	if r.nodes == nil || len(left) == 0 {
		return nil
	}
	accounts := make([]string, len(left))
	for i, from := range left {
		accounts[i] = from.BareString()
	}
	places, err := r.nodes.CurrentAll(r.ctx, accounts)
	if err != nil {
		r.nodesFailed("resources on other nodes could not be looked up", err)
		return err
	}
	for i, from := range left {
		if back, ok := findPlace(places[i], from.Resource()); ok {
			r.nodes.Send(back.Node, accounts[i], appendField(appendKind(nil, itemAnnounce), from.String()))
		}
	}
	return nil
}

// backQueue holds the resources for which askBack has to be called. After the death of a node there
// are thousands at once, and the goroutines that handle what other nodes send must not wait for each
// one: a worker asks for many together, including those that were added while it waited.
type backQueue struct {
	mu     sync.Mutex
	all    []jid.JID
	asking bool
}

// maxBack limits the number of resources in the queue, to some 10 MB. maxAskedBack is how many are
// asked for at once.
const (
	maxBack      = 100_000
	maxAskedBack = 500
)

// askBackSoon makes a worker call askBack for a resource, or calls it itself if the queue is full.
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
		_ = r.askBack([]jid.JID{from})
	case start:
		r.sessions.Go(session.Read, func(*session.Turn) { r.askAllBack() })
	}
}

// askAllBack calls askBack until the queue is empty, or the directory cannot be read: then it is called
// again later.
func (r *Router) askAllBack() {
	for {
		some := r.back.take()
		if len(some) == 0 {
			return
		}
		var err error
		r.guarded(nil, func() { err = r.askBack(some) })
		if err != nil {
			r.back.putBack(some)
			r.retryLater(r.askAllBack)
			return
		}
	}
}

// take removes some resources from the queue, and ends asking if there are none.
func (q *backQueue) take() (some []jid.JID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	some = slices.Clone(q.all[:min(len(q.all), maxAskedBack)])
	if q.all = q.all[len(some):]; len(some) == 0 {
		q.all, q.asking = nil, false
	}
	return some
}

// putBack undoes take.
func (q *backQueue) putBack(some []jid.JID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.all = append(some, q.all...)
}
