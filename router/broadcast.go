package router

import (
	"bytes"

	"roost/jid"
	"roost/session"
	"roost/stanza"
	"roost/store"
)

// broadcast is the presence of a resource that is being sent to everyone concerned (RFC
// 6121 sections 4.2.2, 4.4.2, 4.5.2): the subscribed contacts, the account's own available
// resources and, if the resource becomes unavailable, the entities that it sent directed
// presence to. It may exceed the budget of one turn, and then continues in later ones.
type broadcast struct {
	s    *session.Session  // nil: the resource is not on this node
	from jid.JID           // only then
	ro   *Roster           // at the time of the change
	p    *session.Presence // nil: unavailable, without content
	id   []byte
	next int  // index of the first item of ro that is not done yet
	told bool // the other nodes have been sent the presence

	// for a resource that becomes available
	initial, nonNegative bool

	// for a resource that becomes unavailable
	leaving   bool
	left      bool // the session has ended, so nothing is sent to itself
	available bool // it was available, or owed the end of one that was: subscribers have to be notified
	announced bool // subscribers have been notified
	directed  []string
	last      store.LastActivity // for other nodes, if it was available
}

// address is the full JID of the resource.
func (bc *broadcast) address() string {
	if bc.s == nil {
		return bc.from.String()
	}
	return bc.s.FullJID()
}

// appendTo appends the stanza as it is sent to an address.
func (bc *broadcast) appendTo(b []byte, to string) []byte {
	if bc.p == nil {
		return stanza.Head{Kind: stanza.Presence, Type: stanza.Unavailable, From: bc.s.FullJID(), To: to}.AppendEmpty(b)
	}
	return bc.p.AppendXML(b, bc.s.FullJID(), to, bc.id)
}

// broadcast sends the presence to everyone concerned, and then does what follows. On a loop
// it does as much as the turn's budget allows and leaves the rest to later turns.
func (r *Router) broadcast(t *session.Turn, bc *broadcast) {
	for !r.announce(t, bc) {
		if !t.MayBlock() {
			r.broadcastLater(t, bc)
			return
		}
		t.Pause()
	}
	if bc.leaving {
		r.hasLeft(t, bc)
		return
	}
	r.deliverPending(t, bc)
}

func (r *Router) broadcastLater(t *session.Turn, bc *broadcast) {
	rest := *bc
	rest.id = bytes.Clone(bc.id)
	resume := func(t *session.Turn) { r.broadcast(t, &rest) }
	if rest.left {
		r.sessions.Later(t, rest.s, resume)
		return
	}
	r.sessions.Yield(t, rest.s, resume)
}

// announce sends the presence to some of those concerned, and reports whether all are done.
// It holds the account's presence lock: between two calls the presence, the roster and the
// contacts' resources may change.
func (r *Router) announce(t *session.Turn, bc *broadcast) (done bool) {
	mu := r.lockPresence(bc.s.BareJID())
	defer mu.Unlock()
	if bc.leaving {
		return r.announceLeaving(t, bc)
	}
	if !bc.s.Bound() {
		return true // it has left, which is announced separately
	}
	if !r.announceToSubscribers(t, bc) {
		return false
	}
	r.toAvailable(t, bc.s.JID(), bc.s.JID(), nil, bc, bc.appendTo)
	return true
}

// announceToSubscribers sends the presence to the subscribed contacts.
func (r *Router) announceToSubscribers(t *session.Turn, bc *broadcast) (done bool) {
	now := bc.ro
	if !bc.leaving {
		// A contact that has lost the subscription in the meantime was sent unavailable
		// presence. That may be sent again, but available presence must not.
		now = r.currentRoster(bc.s, bc.ro)
	}
	list := blocklistOf(bc.s)
	r.broadcastElsewhere(t, bc, now, list)
	for ; bc.next < len(bc.ro.Items); bc.next++ {
		it := &bc.ro.Items[bc.next]
		if !it.Subscription.HasFrom() {
			continue
		}
		if t.Spent() {
			return false
		}
		t.CountContact()
		contact := it.JID.BareString()
		if now == bc.ro || now.Subscribed(contact) {
			r.toAvailable(t, bc.s.JID(), it.JID, list, bc, bc.appendTo)
		}
	}
	return true
}

// announceLeaving is announce for a resource that has become unavailable. A newer session
// may have its address by now: entities that received presence from that one must not be
// sent unavailable presence after it.
func (r *Router) announceLeaving(t *session.Turn, bc *broadcast) (done bool) {
	successor := r.resource(bc.s.JID())
	if successor == bc.s {
		successor = nil
	}
	replaced := successor != nil && successor.Available()
	if replaced {
		bc.ro = r.currentRoster(bc.s, bc.ro)
	}
	if bc.available && !bc.announced && !replaced {
		if !r.announceToSubscribers(t, bc) {
			return false
		}
		r.toAvailable(t, bc.s.JID(), bc.s.JID(), nil, bc, bc.appendTo)
		if !bc.left {
			r.sendOne(t, bc.s, bc.appendTo)
		}
	}
	bc.announced = bc.available || replaced
	for ; len(bc.directed) > 0; bc.directed = bc.directed[1:] {
		if t.Spent() {
			return false
		}
		t.CountContact()
		to, err := jid.Parse(bc.directed[0])
		if err != nil || bc.announced && r.wasNotified(bc.s, bc.ro, to) || successor != nil && sentTo(successor, bc.directed[0]) {
			continue
		}
		r.toDirected(t, bc.s.JID(), to, bc.appendTo)
	}
	return true
}
