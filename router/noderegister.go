package router

import (
	"errors"
	"sync"
	"time"

	"roost/session"
	"roost/stanza"
)

// The directory of a cluster has every resource, so that a conflict is found on whatever
// node the two clients are.

var errItem = errors.New("unknown kind of item, or a field is missing")

var errTooMany = stanza.ResourceConstraint.WithText("Too many clients of this account are connected.")

// kickLimit is how long a client that takes the resource of one on another node waits for
// the announcement of that one's end.
const kickLimit = 5 * time.Second

// registerElsewhere enters a resource in the directory. If another node has it, policy
// decides; the old session has ended when registerElsewhere returns.
func (r *Router) registerElsewhere(t *session.Turn, s *session.Session, policy session.ConflictPolicy) *stanza.ErrorReply {
	if r.nodes == nil {
		return nil
	}
	here := 0
	for x := range r.Recipients(s.BareJID(), Everyone) {
		if x != s {
			here++
		}
	}
	got, err := r.nodes.Register(r.ctx, s.BareJID(), s.Resource(), Registration{
		Replace: policy == session.KickOld, MaxResources: r.sessions.MaxResources(), Here: here,
	})
	switch {
	case err != nil: // it is registered when the directory is back
		r.nodesFailed("a resource could not be registered with the cluster", err)
	case got.Full:
		return errTooMany
	case got.Taken:
		return stanza.Conflict
	}
	if n := got.Replaced.Node; n != 0 {
		r.kick(n, s)
	}
	if len(got.Places) > 0 {
		Observe(s) // those resources may have asked for copies
	}
	return nil
}

// updateElsewhere changes a resource's entry in the directory. The caller holds the presence
// lock.
func (r *Router) updateElsewhere(s *session.Session, available bool, priority int8) {
	if r.nodes != nil {
		r.nodes.Update(s.BareJID(), s.Resource(), available, priority)
	}
}

// nodeRequests are requests to other nodes that wait for their reply.
type nodeRequests struct {
	mu   sync.Mutex
	last uint64
	all  map[uint64]chan struct{}
}

// begin returns the number of a new request, and a channel that is closed when it is
// finished.
func (q *nodeRequests) begin() (id uint64, done <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.all == nil {
		q.all = make(map[uint64]chan struct{})
	}
	q.last++
	c := make(chan struct{})
	q.all[q.last] = c
	return q.last, c
}

// finish ends a request, if it has not ended.
func (q *nodeRequests) finish(id uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if c := q.all[id]; c != nil {
		close(c)
		delete(q.all, id)
	}
}

// kick ends the session on another node that has the address of s, and waits until its end
// was announced: unavailable presence must not follow the available presence of s.
func (r *Router) kick(node NodeID, s *session.Session) {
	id, done := r.requests.begin()
	defer r.requests.finish(id)
	item := appendField(appendKind(nil, itemKick), s.FullJID())
	if !r.nodes.Send(node, s.BareJID(), appendNumber(item, id)) {
		return
	}
	limit := time.NewTimer(kickLimit)
	defer limit.Stop()
	select {
	case <-done:
	case <-limit.C:
	case <-r.ctx.Done():
	}
}

// EndElsewhere implements session.Router.
func (r *Router) EndElsewhere(t *session.Turn, s *session.Session, which func(resource string) bool) {
	for _, p := range r.askPlaces(t, s.BareJID()) {
		if full, err := s.JID().Bare().WithResource(p.Resource); err == nil && which(p.Resource) {
			item := appendField(appendKind(nil, itemKick), full.String())
			r.nodes.Send(p.Node, s.BareJID(), appendNumber(item, 0))
		}
	}
}

// kick handles itemKick.
func (l *nodeLane) kick(node NodeID, account string, f *fields) {
	full, id := f.address(), f.number()
	if f.bad {
		return
	}
	found := false
	for s := range l.r.Recipients(full.BareString(), Everyone) {
		if s.Resource() == full.Resource() {
			found = true
			l.r.sessions.Displace(l.turn, s)
		}
	}
	if !found && l.passOnTo(full, node, account, l.item) {
		return
	}
	if id == 0 {
		return // nobody waits
	}
	l.turn.Flush()
	l.r.nodes.Send(node, account, appendNumber(appendKind(nil, itemReply), id))
}
