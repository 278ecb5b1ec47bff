package router

import (
	"slices"

	"roost/jid"
	"roost/session"
	"roost/stanza"
)

// Messages between nodes. The node of the sender decides which nodes get a message. One of
// them sees to it that someone gets it, or else stores it or replies with an error: the
// sender's, if a resource there has taken the message, otherwise one that has such a
// resource. Each node applies the rules of RFC 6121 section 8.5 to its own resources.

// hasPlace reports whether another node has a resource.
func (r *Router) hasPlace(full jid.JID) bool {
	if r.nodes == nil {
		return false
	}
	_, ok := findPlace(r.knownPlaces(full.BareString()), full.Resource())
	return ok
}

// messageElsewhere sends a message for a full JID to the node that has the resource, and
// reports whether there is one. id is that of a message that is in the store, otherwise 0.
func (r *Router) messageElsewhere(t *session.Turn, from Sender, st *stanza.Stanza, account string, id int64) bool {
	places := r.placesFor(from, account)
	p, ok := findPlace(places, st.To.Resource())
	return ok && r.sendMessageItem(t, from, st, p.Node, messagePrimary, 0, id)
}

// deliverElsewhere is deliver for the resources of other nodes, after those of this one have
// taken the message, or have not. It reports whether another node sees to the message now.
func (r *Router) deliverElsewhere(t *session.Turn, from Sender, st *stanza.Stanza, account string, id int64, taken Taken) (handled bool) {
	places := r.placesFor(from, account)
	if len(places) == 0 {
		return false
	}
	return r.sendMessageItems(t, from, st, places, id, taken == NotTaken, 0)
}

// sendMessageItems sends a message for an account to the nodes of places. If primary is true,
// one of them has to see to it; sendMessageItems reports whether one does.
func (r *Router) sendMessageItems(t *session.Turn, from Sender, st *stanza.Stanza, places []Place, id int64, primary bool, hops int) (handled bool) {
	least := 0
	if account, _ := target(from, st); r.config().HighestOnly {
		least = r.leastPriority(account.String(), st)
	}
	takes := func(p *Place) bool { return isNonNegative(p) && int(p.Priority) >= least }
	var few [4]NodeID
	takers := nodesOf(few[:0], places, takes)
	for _, n := range takers {
		flags := uint64(0)
		if primary && !handled {
			flags = messagePrimary
		}
		if r.sendMessageItem(t, from, st, n, flags, hops, id) {
			handled = handled || flags == messagePrimary
		}
	}
	for _, n := range nodesOf(nil, places, anyPlace) {
		if !slices.Contains(takers, n) {
			r.sendMessageItem(t, from, st, n, messageCopied, 0, 0)
		}
	}
	return handled
}

// sendMessageItem sends a message to a node, and reports whether there was space in the
// queue.
func (r *Router) sendMessageItem(t *session.Turn, from Sender, st *stanza.Stanza, to NodeID, flags uint64, hops int, id int64) bool {
	if r.strangers.limitsMessages() {
		if account, isAccount := target(from, st); isAccount && r.strangers.hasAddressed(t, from, account) {
			flags |= messageNoted
		}
	}
	item := appendKind(t.GetBuf(), itemMessage)
	item = appendNumber(item, flags)
	item = appendNumber(item, uint64(hops))
	item = appendNumber(item, uint64(id))
	item = appendSender(item, from)
	item = stanza.AppendForward(item, st, stanza.Edit{From: address(from)})
	t.CountDelivery(len(item))
	ok := r.nodes.Send(to, bareOf(from), item)
	t.PutBuf(item)
	return ok
}

// message handles itemMessage.
func (l *nodeLane) message(node NodeID, f *fields) {
	r, t := l.r, l.turn
	flags, hops, id := f.number(), int(f.number()), int64(f.number())
	from := l.sender(node, f)
	st, done, ok := l.stanza(f)
	if !ok {
		return
	}
	defer done()
	account, isAccount := target(from, st)
	if !isAccount {
		return
	}
	from.key = account.String()
	if flags&messageNoted != 0 {
		r.strangers.addressed.add(r.strangers.pair(bareOf(from), account.String()), t.Now())
	}
	switch {
	case flags&messageCopied != 0:
		for s := range r.Recipients(account.String(), Connected) {
			if !bars(s, from.JID()) {
				r.runRecipient(t, from, s, st, false)
			}
		}
	case flags&messagePrimary == 0:
		r.copyArrived(t, from, st, account, id)
	default:
		r.messageArrived(t, from, st, account, id, hops)
	}
}

// messageArrived handles a message that this node has to see to.
func (r *Router) messageArrived(t *session.Turn, from *nodeSender, st *stanza.Stanza, account jid.JID, id int64, hops int) {
	r.locate(t, account.String()) // for copies to other nodes
	taken, handled := NotTaken, false
	if id != 0 {
		taken, handled = r.arrivedDurably(t, from, st, account, id)
	} else {
		taken, handled = r.deliverMessage(t, from, st, false)
	}
	if handled {
		return
	}
	if taken == NotTaken && hops < maxHops && r.passOn(t, from, st, account, id, hops+1) {
		return
	}
	switch {
	case taken != NotTaken:
		countMessage(t, st, messageDelivered)
	case id != 0:
		countMessage(t, st, messageStored)
		r.deliverStored(t, account)
		return
	}
	for stage, need := r.deliveredStage(taken), session.Write; need != session.Done; {
		stage, need = r.runDelivered(t, from, st, stage)
	}
}

// arrivedDurably is deliverAppended for a message that another node has stored. This node may
// have read it from the store since, and the client may even have acknowledged it.
func (r *Router) arrivedDurably(t *session.Turn, from Sender, st *stanza.Stanza, account jid.JID, id int64) (taken Taken, handled bool) {
	unlock := r.lockRosters(account) // no page is being sent
	defer unlock()
	if r.offlineSent(account)[id] { // before the store is read: then it is deleted
		return TakenByOne, true
	}
	msgs, _, err := r.config().Store.Offline(r.ctx, account, id-1, 1)
	switch {
	case err != nil:
		r.nodesFailed("a stored message could not be read, it is sent later", err)
		return NotTaken, false
	case len(msgs) == 0 || msgs[0].ID != id:
		return TakenByOne, true
	}
	return r.deliverUnsent(t, from, st, account, id), false
}

// copyArrived delivers a message that another node sees to, to the resources of this node. id
// is that of a message in the store, otherwise 0; this node may have read it from there since.
func (r *Router) copyArrived(t *session.Turn, from Sender, st *stanza.Stanza, account jid.JID, id int64) {
	if id != 0 {
		unlock := r.lockRosters(account)
		defer unlock()
		if r.offlineSent(account)[id] {
			return
		}
	}
	r.deliverHere(t, from, st, account.String(), id)
}

// passOn sends a message on if its recipient has moved to another node in the meantime.
func (r *Router) passOn(t *session.Turn, from Sender, st *stanza.Stanza, account jid.JID, id int64, hops int) bool {
	places, err := r.nodes.Current(r.ctx, account.String())
	if err != nil {
		return false
	}
	if st.HasTo && st.To.IsFull() {
		if p, ok := findPlace(places, st.To.Resource()); ok {
			return r.sendMessageItem(t, from, st, p.Node, messagePrimary, hops, id)
		}
	}
	return len(places) > 0 && r.sendMessageItems(t, from, st, places, id, true, hops)
}
