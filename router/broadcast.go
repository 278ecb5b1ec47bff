package router

import (
	"bytes"

	"roost/jid"
	"roost/session"
	"roost/stanza"
)

// broadcast is a presence on its way to everybody concerned (RFC 6121 sections
// 4.2.2, 4.4.2, 4.5.2): the contacts with a subscription, the account's own
// available resources, and for a resource that leaves those that got directed
// presence. It may be more than one turn can deliver, and then goes on in others.
type broadcast struct {
	s    *session.Session
	ro   *Roster           // when the presence changed
	p    *session.Presence // nil: unavailable, without content
	id   []byte
	next int // the first item of ro that is not done

	// of a resource that becomes available
	initial, mail bool

	// of one that becomes unavailable
	leaving   bool
	left      bool // the session has ended: nobody to send it to itself
	available bool // it was available, and subscribers have to be told
	told      bool // they have been
	directed  []string
}

// appendTo appends the stanza as an address gets it.
func (bc *broadcast) appendTo(b []byte, to string) []byte {
	if bc.p == nil {
		return stanza.Head{Kind: stanza.Presence, Type: stanza.Unavailable, From: bc.s.FullJID(), To: to}.AppendEmpty(b)
	}
	return bc.p.AppendXML(b, bc.s.FullJID(), to, bc.id)
}

// broadcast tells everybody, and then does what follows. On a loop it does as
// much as the turn's budget allows and leaves the rest to later turns.
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
	kept := *bc
	kept.id = bytes.Clone(bc.id)
	goOn := func(t *session.Turn) { r.broadcast(t, &kept) }
	if kept.left {
		r.sessions.Later(t, kept.s, goOn)
		return
	}
	r.sessions.Yield(t, kept.s, goOn)
}

// announce tells some of those concerned, and reports whether all have been told. It
// holds the account's presence lock: between two calls the presence, the roster and
// the contacts' resources may change.
func (r *Router) announce(t *session.Turn, bc *broadcast) (done bool) {
	mu := r.lockPresence(bc.s.BareJID())
	defer mu.Unlock()
	if bc.leaving {
		return r.announceLeaving(t, bc)
	}
	if !bc.s.Bound() {
		return true // it has left, and everybody is told that
	}
	if !r.announceToSubscribers(t, bc) {
		return false
	}
	r.toAvailable(t, bc.s.JID(), bc.s.JID(), bc.appendTo)
	return true
}

// announceToSubscribers tells the contacts that have a subscription.
func (r *Router) announceToSubscribers(t *session.Turn, bc *broadcast) (done bool) {
	now := bc.ro
	if !bc.leaving {
		// Who has lost the subscription meanwhile was told that the resource is
		// unavailable. That may be told again, but not the contrary.
		now = r.currentRoster(bc.s, bc.ro)
	}
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
			r.toAvailable(t, bc.s.JID(), it.JID, bc.appendTo)
		}
	}
	return true
}

// announceLeaving is announce for a resource that is not available any more. A newer
// session may have its address by now: what that one has said is not hidden from
// those who have heard it.
func (r *Router) announceLeaving(t *session.Turn, bc *broadcast) (done bool) {
	heir := r.resource(bc.s.JID())
	if heir == bc.s {
		heir = nil
	}
	replaced := heir != nil && heir.Available()
	if replaced {
		bc.ro = r.currentRoster(bc.s, bc.ro)
	}
	if bc.available && !bc.told && !replaced {
		if !r.announceToSubscribers(t, bc) {
			return false
		}
		r.toAvailable(t, bc.s.JID(), bc.s.JID(), bc.appendTo)
		if !bc.left {
			r.sendOne(t, bc.s, bc.appendTo)
		}
	}
	bc.told = bc.available || replaced
	for ; len(bc.directed) > 0; bc.directed = bc.directed[1:] {
		if t.Spent() {
			return false
		}
		t.CountContact()
		to, err := jid.Parse(bc.directed[0])
		if err != nil || bc.told && r.wasTold(bc.s, bc.ro, to) || heir != nil && sentTo(heir, bc.directed[0]) {
			continue
		}
		r.toDirected(t, bc.s.JID(), to, bc.appendTo)
	}
	return true
}
