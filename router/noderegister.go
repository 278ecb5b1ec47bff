package router

import (
	"errors"
	"sync"
	"time"

	"roost/jid"
	"roost/session"
	"roost/stanza"
)

// The directory of a cluster has every resource, so that a conflict is found on whatever
// node the two clients are.

var errItem = errors.New("unknown kind of item, or a field is missing")

var errTooMany = stanza.ResourceConstraint.WithText("Too many clients of this account are connected.")

// kickLimit is how long a client that takes the resource of one on another node waits for
// the announcement of that one's end.
var kickLimit = 5 * time.Second // only tests change it

// maxKicking is how many clients wait at the same time: half of the workers for reads, because each
// has one, which others need for their logins. When a node dies, very many bind their resources again
// within its lease.
func (r *Router) maxKicking() int32 { return max(1, int32(r.sessions.ReadWorkers()/2)) }

// registerElsewhere enters a resource in the directory. If another node has it, policy
// decides; the old session has ended when registerElsewhere returns. A session whose client is not
// connected gives up its resource, and its place if the account has too many, whatever the policy is:
// a client that cannot resume its session must not be locked out by it.
func (r *Router) registerElsewhere(t *session.Turn, s *session.Session, policy session.ConflictPolicy) *stanza.ErrorReply {
	if r.nodes == nil {
		return nil
	}
	reg := Registration{Replace: policy == session.KickOld, MaxResources: r.sessions.MaxResources(), Here: r.othersHere(s)}
	got, err := r.nodes.Register(r.ctx, s.BareJID(), s.Resource(), reg)
	if err == nil && (got.Full && r.makeRoom(t, s, &reg) || got.Taken && r.takeWaiting(s, &reg)) {
		got, err = r.nodes.Register(r.ctx, s.BareJID(), s.Resource(), reg)
	}
	switch {
	case err != nil: // it is registered when the directory is back
		r.nodesFailed("a resource could not be registered with the cluster", err)
	case got.Full:
		return errTooMany
	case got.Taken:
		return stanza.Conflict
	}
	r.replace(s, &got)
	if len(got.Places) > 0 {
		Observe(s) // those resources may have asked for copies
	}
	return nil
}

// owesEnd is set for a session that has replaced an available one on another node of whose end contacts
// may not have been told, because that node has not said so: it may have died, and whoever removes what
// it has left does not find the entry. If the session ends without having been available, its own end
// takes the place of that one.
var owesEnd = session.NewFlag("the end of the session that it replaced may not have been announced")

// replace ends the session that s has replaced in the directory.
func (r *Router) replace(s *session.Session, got *Registered) {
	if got.Replaced.Available || got.Died.Available {
		owesEnd.Set(s) // before the request, because s may be replaced while that waits
	}
	if n := got.Replaced.Node; n != 0 && r.kick(n, s.BareJID(), s.FullJID(), "") {
		owesEnd.Clear(s)
	}
}

// settleOwed has the end of a session not stand for that of another one if one on another node has
// the address and is available. It returns false if the turn must not block, and the directory has
// to be asked.
func (r *Router) settleOwed(t *session.Turn, s *session.Session) bool {
	switch {
	case !owesEnd.Has(s) || s.Available() || r.nodes == nil:
	case !t.MayBlock():
		return false
	case r.succeeded(s):
		owesEnd.Clear(s)
	}
	return true
}

// concernsContacts reports whether contacts have to be told when a session ends.
func concernsContacts(s *session.Session) bool { return s.Available() || owesEnd.Has(s) }

// othersHere returns how many other resources of a session's account are on this node.
func (r *Router) othersHere(s *session.Session) (n int) {
	for x := range r.Recipients(s.BareJID(), Everyone) {
		if x != s {
			n++
		}
	}
	return n
}

// takeWaiting ends the session on another node that has the resource of s, if its client is not
// connected. It returns false if it has not, and otherwise changes reg for the next attempt.
func (r *Router) takeWaiting(s *session.Session, reg *Registration) bool {
	places, err := r.nodes.Current(r.ctx, s.BareJID())
	if err != nil {
		r.nodesFailed("resources on other nodes could not be looked up", err)
		return false
	}
	p, ok := findPlace(places, s.Resource())
	reg.Replace = ok && r.kick(p.Node, s.BareJID(), s.BareJID(), s.Resource())
	return reg.Replace
}

// makeRoom is takeWaiting for any resource of the account, on this node or another one.
func (r *Router) makeRoom(t *session.Turn, s *session.Session, reg *Registration) bool {
	if r.endWaiting(t, s.BareJID(), "") {
		reg.Here = r.othersHere(s)
		return true
	}
	places, err := r.nodes.Current(r.ctx, s.BareJID())
	if err != nil {
		r.nodesFailed("resources on other nodes could not be looked up", err)
		return false
	}
	end := time.Now().Add(kickLimit)
	for _, n := range nodesOf(nil, places, anyPlace) {
		if time.Now().After(end) {
			return false
		}
		if r.kick(n, s.BareJID(), s.BareJID(), "") {
			reg.MaxResources++ // that one may still be in the directory
			return true
		}
	}
	return false
}

// endWaiting ends the oldest of an account's sessions on this node whose clients are not connected,
// or that with a resource, unless it is "". It returns false if there is none.
func (r *Router) endWaiting(t *session.Turn, account, resource string) bool {
	var oldest *session.Session // the newest come first
	for x := range r.Recipients(account, (*session.Session).Detached) {
		if resource == "" || x.Resource() == resource {
			oldest = x
		}
	}
	if oldest != nil {
		r.sessions.Displace(t, oldest)
	}
	return oldest != nil
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
	all  map[uint64]chan bool
}

// begin returns the number of a new request, and a channel that gets its result.
func (q *nodeRequests) begin() (id uint64, result <-chan bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.all == nil {
		q.all = make(map[uint64]chan bool)
	}
	q.last++
	c := make(chan bool, 1)
	q.all[q.last] = c
	return q.last, c
}

// finish ends a request, and reports whether it had not ended before.
func (q *nodeRequests) finish(id uint64, result bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := q.all[id]
	if c == nil {
		return false
	}
	c <- result
	delete(q.all, id)
	return true
}

// kick ends the session on another node that has a full JID, and waits until its end was
// announced: unavailable presence must not follow the available presence of the session that
// replaces it. If address is the account, it ends a session whose client is not connected: that with a
// resource, or any. It reports whether the node has said in time that it did. If too many wait already,
// it does not wait, and does not end a session that is in nobody's way.
func (r *Router) kick(node NodeID, account, address, resource string) (ended bool) {
	id, result := r.requests.begin()
	defer r.requests.finish(id, false)
	defer r.kicking.Add(-1)
	if r.kicking.Add(1) > r.maxKicking() {
		if address == account {
			return false // without the result, the client is refused
		}
		resource = noWait
		r.requests.finish(id, false)
	}
	item := appendNumber(appendField(appendKind(nil, itemKick), address), id)
	if !r.nodes.Send(node, account, appendField(item, resource)) {
		return false
	}
	limit := time.NewTimer(kickLimit)
	defer limit.Stop()
	select {
	case ended = <-result:
	case <-limit.C:
	case <-r.ctx.Done():
	}
	return ended
}

// noWait is in the place of the resource if the address is a full JID and the new session does not
// wait: then the end of the old one is not announced, because contacts would take it for that of the
// new one. The new one owes it then, unless the old one itself owed one: then its entry did not say that
// it was available.
const noWait = "-"

// EndElsewhere implements session.Router.
func (r *Router) EndElsewhere(t *session.Turn, s *session.Session, which func(resource string) bool) {
	for _, p := range r.askPlaces(t, s.BareJID()) {
		if full, err := s.JID().Bare().WithResource(p.Resource); err == nil && which(p.Resource) {
			item := appendField(appendKind(nil, itemKick), full.String())
			r.nodes.Send(p.Node, s.BareJID(), appendNumber(item, 0))
		}
	}
}

// kick handles itemKick. The session with a full JID is ended in the lane: it may be moving to the node
// that has sent this, and what that sends next depends on the order. That of an account is ended by a
// worker, because that may have to read a roster, and what else nodes send must not wait for the store:
// one for writes, because clients that bind here wait for such replies of other nodes on those for reads.
func (l *nodeLane) kick(node NodeID, account string, f *fields) {
	r, j, id, resource := l.r, f.address(), f.number(), ""
	if len(f.b) > 0 { // otherwise it ends any session with this address
		resource = string(f.text())
	}
	switch s := r.boundHere(j); {
	case f.bad:
	case s != nil:
		announced := (resource != noWait || owesEnd.Has(s)) && r.mayAnnounceEnd(s)
		r.displace(l.turn, s, announced)
		l.turn.Flush()
		r.replyToKick(node, account, id, announced)
	case !j.IsFull() && r.HasRecipients(j.String(), (*session.Session).Detached):
		r.sessions.Go(session.Write, func(t *session.Turn) {
			ended := r.endWaiting(t, j.String(), resource)
			t.Flush()
			r.replyToKick(node, account, id, ended)
		})
	case !j.IsFull() || !l.passOnTo(j, node, account, l.item):
		r.replyToKick(node, account, id, false)
	}
}

// mayAnnounceEnd reports whether contacts can be told of the end of a session whose address one on
// another node has. If that one is available already, they would take it for that one's: its client
// waits for the end of this one, but not for longer than kickLimit, in which this node may not have run.
func (r *Router) mayAnnounceEnd(s *session.Session) bool {
	return !s.Available() || !r.succeeded(s)
}

// replyToKick tells a node whether a session was ended, and that announced if it was for a full JID. id
// is 0 if nobody waits for that.
func (r *Router) replyToKick(node NodeID, account string, id uint64, ended bool) {
	if id != 0 {
		item := appendNumber(appendKind(nil, itemReply), id)
		r.nodes.Send(node, account, appendFlag(item, ended))
	}
}

// boundHere returns the session of this node that has a full JID, also one that is being bound.
func (r *Router) boundHere(full jid.JID) *session.Session {
	for s := range r.Recipients(full.BareString(), Everyone) {
		if s.Resource() == full.Resource() {
			return s
		}
	}
	return nil
}

// reply handles itemReply. If nobody waits for it any more, the account's resources here may have become
// available just before the other node has told contacts of the end of one with the same address.
func (l *nodeLane) reply(account string, f *fields) {
	id := f.number()
	ended := len(f.b) > 0 && f.flag()
	if f.bad || l.r.requests.finish(id, ended) || !ended {
		return
	}
	for s := range l.r.Recipients(account, Available) {
		l.repeatPresence(s)
	}
}
