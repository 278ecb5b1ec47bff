package router

import (
	"slices"

	"roost/jid"
	"roost/session"
	"roost/stanza"
)

// Which resources get a message of which several nodes are sent items. Sessions move while the
// items are on their way, so each item says which resources are reached by way of the others: the
// node leaves them out, wherever they are by then, and what is for a session that has left it
// follows that session. So each gets the message once.

// reached is a resource that a message reaches in another way than by the item that it is in.
type reached struct {
	resource string
	node     NodeID // that was sent an item for it
	takes    bool   // it takes the message, and may be all that does; otherwise it may get a carbon copy
}

// nodeMessage is what an itemMessage has besides the sender and the stanza.
type nodeMessage struct {
	flags   uint64
	hops    int
	id      int64     // in the store, otherwise 0
	reached []reached // in another way
	only    string    // the resource that it is for; "": all
}

// appendTo appends the fields of an item, with these flags.
func (m *nodeMessage) appendTo(b []byte, flags uint64) []byte {
	if len(m.reached) > 0 {
		flags |= messageReached
	}
	if m.only != "" {
		flags |= messageOnly
	}
	b = appendNumber(b, flags)
	b = appendNumber(b, uint64(m.hops))
	b = appendNumber(b, uint64(m.id))
	if len(m.reached) > 0 {
		b = appendNumber(b, uint64(len(m.reached)))
		for i := range m.reached {
			x := &m.reached[i]
			b = appendField(b, x.resource)
			b = appendNumber(b, uint64(x.node))
			b = appendFlag(b, x.takes)
		}
	}
	if m.only != "" {
		b = appendField(b, m.only)
	}
	return b
}

// nodeMessage reads what appendTo has appended.
func (f *fields) nodeMessage() (m nodeMessage) {
	m.flags, m.hops, m.id = f.number(), int(f.number()), int64(f.number())
	if m.flags&messageReached != 0 {
		for n := f.number(); n > 0 && !f.bad; n-- {
			m.reached = append(m.reached, reached{string(f.text()), NodeID(f.number()), f.flag()})
		}
	}
	if m.flags&messageOnly != 0 {
		m.only = string(f.text())
	}
	return m
}

// appendHere appends the resources of this node that a message was for. taken says whether one took
// it. A resource that another node has, too, has just been replaced there.
func (r *Router) appendHere(all []reached, here []*session.Session, places []Place, taken bool) []reached {
	for _, s := range here {
		if _, ok := findPlace(places, s.Resource()); !ok {
			all = append(all, reached{s.Resource(), r.nodes.Self(), taken && NonNegative(s)})
		}
	}
	return all
}

// appendPlaces appends the resources on the nodes for which on is true, each once. takes is true for
// those that take the message.
func appendPlaces(all []reached, places []Place, on func(NodeID) bool, takes func(*Place) bool) []reached {
	for i := range places {
		if p := &places[i]; on(p.Node) && findReached(all, p.Resource) == nil {
			all = append(all, reached{p.Resource, p.Node, takes(p)})
		}
	}
	return all
}

// findReached returns the entry of a resource, nil if there is none.
func findReached(all []reached, resource string) *reached {
	for i := range all {
		if all[i].resource == resource {
			return &all[i]
		}
	}
	return nil
}

// takesAlready reports whether the resource of a place takes the message by way of another item.
func takesAlready(all []reached, p *Place) bool {
	x := findReached(all, p.Resource)
	return x != nil && x.takes
}

// messageRecipients appends the connected resources of an account on this node that a message
// reaches by way of the item that it came in, or all if it did not come from another node. It notes
// those that have left, too.
func (r *Router) messageRecipients(dst []*session.Session, from Sender, account string) []*session.Session {
	n, ok := from.(*nodeSender)
	if !ok {
		for s := range r.Recipients(account, Connected) {
			dst = append(dst, s)
		}
		return dst
	}
	for s := range r.Recipients(account, Connected) {
		if n.reaches(s) {
			dst = append(dst, s)
		}
	}
	n.left = r.leftFor(n, dst, account) // after that: see taken
	return dst
}

// reaches reports whether the item that the message came in is for this resource.
func (n *nodeSender) reaches(s *session.Session) bool {
	if n.only != "" {
		return s.Resource() == n.only
	}
	x := findReached(n.reached, s.Resource())
	return x == nil || n.primary && !x.takes && NonNegative(s)
}

// leftFor returns the sessions of an account that have left this node lately, and that the message
// was for. here are those that it reaches here.
func (r *Router) leftFor(n *nodeSender, here []*session.Session, account string) []moved {
	all := r.moves.movedOf(account)
	if len(all) == 0 {
		return nil
	}
	if self := r.nodes.Self(); slices.ContainsFunc(n.reached, func(x reached) bool { return x.node == self }) {
		return nil // it was here before
	}
	return slices.DeleteFunc(all, func(x moved) bool {
		return n.only != "" && n.only != x.resource || findReached(n.reached, x.resource) != nil ||
			slices.ContainsFunc(here, func(s *session.Session) bool { return s.Resource() == x.resource })
	})
}

// placesBesides returns an account's places on other nodes, if they are in memory, without those
// of resources that were here when a message was delivered to them. While a session moves, it is in
// the tables of both nodes, and it may have left this one since.
func (r *Router) placesBesides(account string, here []*session.Session) (places []Place, ok bool) {
	places, ok = r.nodes.Cached(account)
	if len(places) == 0 {
		return nil, ok
	}
	for _, s := range here {
		i := slices.IndexFunc(places, func(p Place) bool { return p.Resource == s.Resource() })
		if i >= 0 && (r.moves.count.Load() > 0 || r.moves.where(account, s.Resource()) == places[i].Node) {
			places = slices.Delete(slices.Clone(places), i, i+1)
		}
	}
	return places, ok
}

// followMoved sends a message that came in an item for this node to the sessions that had left it:
// the sender's node may not have known. Each gets what it would have got here.
func (r *Router) followMoved(t *session.Turn, from *nodeSender, st *stanza.Stanza, m nodeMessage) {
	if m.hops >= maxHops {
		return
	}
	for _, x := range from.left {
		copied := nodeMessage{flags: m.flags & messageCopied, hops: m.hops + 1, id: m.id, only: x.resource}
		r.sendMessageItem(t, from, st, x.to, &copied)
	}
}

// followRecipient sends a message for the full JID of a session that has left this node lately to where
// it is now. One that was not delivered is not passed on in this way: it may have gone the same way
// before, and the error for it would go back by nodes from which its sender may have moved, too.
func (r *Router) followRecipient(t *session.Turn, from *nodeSender, st *stanza.Stanza, account string, id int64, hops int) bool {
	if from.undelivered || !st.HasTo || !st.To.IsFull() || hops >= maxHops || r.resource(st.To) != nil {
		return false
	}
	to := r.moves.where(account, st.To.Resource())
	if to == 0 || !slices.Contains(r.nodes.Others(), to) {
		return false // it has not moved, or that node has died
	}
	m := nodeMessage{flags: messagePrimary, id: id, hops: hops + 1, reached: from.reached}
	return r.sendMessageItem(t, from, st, to, &m)
}

// hasMessage reports whether a resource of this node takes messages that is said to have been sent
// the message before. The others are not said to any more, or, if they have moved, on their node.
func (r *Router) hasMessage(from *nodeSender, st *stanza.Stanza, account string) (has bool) {
	if len(from.reached) == 0 {
		return false
	}
	self, left, none := r.nodes.Self(), from.reached[:0], r.untaken.has(r.untakenKey(account, from, st))
	for _, x := range from.reached {
		if x.takes && x.node == self {
			if s := r.resourceOf(account, x.resource); s != nil && NonNegative(s) && !s.Ending() && !none {
				has = true
			} else if x.node = r.moves.where(account, x.resource); x.node == 0 {
				continue
			}
		}
		left = append(left, x)
	}
	from.reached = left
	return has
}

// askReached makes a node that was sent a copy of a message see to it, after no other resource has
// taken it: it knows whether the resource that the copy was for is still there. If not, the next
// one is asked, or the message is stored. The copy must have been handled before that, so the
// request takes the way that the copy has taken: by the sender's node, unless direct is true.
func (r *Router) askReached(t *session.Turn, from *nodeSender, st *stanza.Stanza, m nodeMessage, direct bool) (asked bool) {
	i := slices.IndexFunc(from.reached, func(x reached) bool { return x.takes })
	if i < 0 {
		return false
	}
	to, self := from.reached[i].node, r.nodes.Self()
	m.flags, m.reached = messagePrimary, from.reached
	if !direct && from.node != 0 && from.node != self {
		to, m.flags = from.node, messagePrimary|messageAsk
	}
	return to != self && r.sendMessageItem(t, from, st, to, &m)
}

// wasSent reports whether a session was sent a message that is in the store, and has not
// acknowledged it.
func wasSent(s *session.Session, id int64) bool {
	ids := s.AppendStoredUnacked(nil)
	return slices.Contains(unwrittens.Get(s).appendTo(ids), id)
}

// copyArrived delivers a message that another node sees to, to the resources of this node. id
// is that of a message in the store, otherwise 0; this node may have read it from there since.
func (r *Router) copyArrived(t *session.Turn, from *nodeSender, st *stanza.Stanza, account jid.JID, id int64) {
	if id != 0 {
		unlock := r.lockRosters(account)
		defer unlock()
	}
	var few [10]*session.Session
	here := r.messageRecipients(few[:0], from, account.String())
	switch {
	case id == 0:
	case from.only != "":
		here = slices.DeleteFunc(here, func(s *session.Session) bool { return wasSent(s, id) })
	case r.offlineSent(account)[id]:
		return
	}
	if taken, _ := r.deliverHere(t, from, st, account.String(), here, id); taken == NotTaken {
		r.untaken.add(r.untakenKey(account.String(), from, st))
		if id == 0 && len(from.left) == 0 {
			r.tellUntaken(t, from, st, account)
		}
	}
}
