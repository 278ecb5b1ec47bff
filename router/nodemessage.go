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
	return ok && r.sendMessageItem(t, from, st, p.Node, &nodeMessage{flags: messagePrimary, id: id})
}

// deliverElsewhere is deliver for the resources of other nodes, after those of this one, here, have
// taken the message, or have not. It reports whether another node sees to the message now.
func (r *Router) deliverElsewhere(t *session.Turn, from Sender, st *stanza.Stanza, account string, here []*session.Session, id int64, taken Taken) (handled bool) {
	if r.nodes == nil || fromNode(from) {
		return false
	}
	places, _ := r.placesBesides(account, here)
	if len(places) == 0 {
		return false
	}
	var few [8]reached
	m := nodeMessage{id: id, reached: r.appendHere(few[:0], here, places, taken != NotTaken)}
	return r.sendMessageItems(t, from, st, places, m, taken == NotTaken)
}

// copyElsewhere lets the resources of other nodes have a copy of a message that a resource of this
// one has taken. here are those of this node.
func (r *Router) copyElsewhere(t *session.Turn, from Sender, st *stanza.Stanza, account string, here []*session.Session) {
	places, ok := r.placesBesides(account, here)
	nodes := nodesOf(nil, places, anyPlace)
	if !ok {
		nodes = r.nodes.Others()
	}
	for _, n := range nodes {
		m := nodeMessage{flags: messageCopied, reached: r.appendHere(nil, here, places, false)}
		m.reached = appendPlaces(m.reached, places, func(other NodeID) bool { return other != n }, isNonNegative)
		r.sendMessageItem(t, from, st, n, &m)
	}
}

// sendMessageItems sends a message for an account to the nodes of places, except for resources that
// it reaches otherwise. If primary is true, one of them has to see to it; sendMessageItems reports
// whether one does.
func (r *Router) sendMessageItems(t *session.Turn, from Sender, st *stanza.Stanza, places []Place, m nodeMessage, primary bool) (handled bool) {
	least := 0
	account, _ := target(from, st)
	if r.config().HighestOnly {
		least = r.leastPriority(account.String(), st)
	}
	takes := func(p *Place) bool { return isNonNegative(p) && int(p.Priority) >= least }
	var few, fewSent [4]NodeID
	var fewReached [8]reached
	before, sent := m.reached, fewSent[:0]
	send := func(n NodeID, flags uint64, on func(NodeID) bool) (ok bool) {
		m.flags, m.reached = flags, appendPlaces(append(fewReached[:0], before...), places, on, takes)
		return r.sendMessageItem(t, from, st, n, &m)
	}
	takers := nodesOf(few[:0], places, func(p *Place) bool { return takes(p) && !takesAlready(before, p) })
	for i, n := range takers {
		if i == 0 && primary {
			continue // see below
		}
		if send(n, 0, func(other NodeID) bool { return other != n }) {
			sent = append(sent, n)
		} else if !primary {
			r.takeOver(account.String(), forwarded(from, st))
		}
	}
	for _, n := range nodesOf(nil, places, func(p *Place) bool { return findReached(before, p.Resource) == nil }) {
		if !slices.Contains(takers, n) && send(n, messageCopied, func(other NodeID) bool { return other != n }) {
			sent = append(sent, n)
		}
	}
	if !primary {
		return false
	}
	// The one that sees to the message gets it last: it is told who was sent a copy. If it cannot be
	// sent the message, one that was becomes the one.
	return slices.ContainsFunc(takers, func(n NodeID) bool {
		return send(n, messagePrimary, func(other NodeID) bool { return slices.Contains(sent, other) })
	})
}

// sendMessageItem sends a message to a node, and reports whether there was space in the
// queue.
func (r *Router) sendMessageItem(t *session.Turn, from Sender, st *stanza.Stanza, to NodeID, m *nodeMessage) bool {
	flags := m.flags
	if r.strangers.limitsMessages() {
		if account, isAccount := target(from, st); isAccount && r.strangers.hasAddressed(t, from, account) {
			flags |= messageNoted
		}
	}
	item := m.appendTo(appendKind(t.GetBuf(), itemMessage), flags)
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
	m := f.nodeMessage()
	from := l.messageSender(node, f, &m)
	item := f.b
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
	if m.flags&messageNoted != 0 {
		r.strangers.addressed.add(r.strangers.pair(bareOf(from), account.String()), t.Now())
	}
	switch {
	case m.flags&messageLost != 0:
		r.lostArrived(t, from, st, account, item)
		return
	case m.flags&messageCopied != 0:
		r.carbonsArrived(t, from, st, account)
	case m.flags&messagePrimary == 0:
		r.copyArrived(t, from, st, account, m.id)
	case m.flags&messageAsk != 0 && r.askReached(t, from, st, m, true):
		return
	case r.messageArrived(t, from, st, account, m.id, m.hops) != TakenByAll:
		return
	}
	r.followMoved(t, from, st, m)
}

// messageSender is sender for a message.
func (l *nodeLane) messageSender(node NodeID, f *fields, m *nodeMessage) *nodeSender {
	from := l.sender(node, f)
	from.primary, from.reached, from.only = m.flags&messagePrimary != 0, m.reached, m.only
	return from
}

// carbonsArrived lets the resources of this node have a copy of a message that another one has taken.
func (r *Router) carbonsArrived(t *session.Turn, from *nodeSender, st *stanza.Stanza, account jid.JID) {
	var few [10]*session.Session
	for _, s := range r.messageRecipients(few[:0], from, account.String()) {
		if !bars(s, from.JID()) {
			r.runRecipient(t, from, s, st, false)
		}
	}
}

// messageArrived handles a message that this node has to see to, and returns who of this node has it.
func (r *Router) messageArrived(t *session.Turn, from *nodeSender, st *stanza.Stanza, account jid.JID, id int64, hops int) (taken Taken) {
	if r.followRecipient(t, from, st, account.String(), id, hops) {
		return NotTaken
	}
	r.locate(t, account.String()) // for copies to other nodes
	has := r.hasMessage(from, st, account.String())
	handled := false
	if id != 0 {
		taken, handled = r.arrivedDurably(t, from, st, account, id)
	} else {
		taken, handled = r.deliverMessage(t, from, st, false)
	}
	if handled {
		return NotTaken
	}
	if taken == NotTaken && has {
		taken = TakenByAll
		r.takeOver(account.String(), forwarded(from, st)) // the others have not taken it
	}
	if taken == NotTaken && hops < maxHops && r.passOn(t, from, st, account, id, hops+1) {
		return NotTaken
	}
	switch {
	case taken != NotTaken:
		countMessage(t, st, messageDelivered)
	case id != 0:
		countMessage(t, st, messageStored)
		r.deliverStored(t, account)
		return NotTaken
	}
	for stage, need := r.deliveredStage(taken), session.Write; need != session.Done; {
		stage, need = r.runDelivered(t, from, st, stage)
	}
	return taken
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

// passOn sends a message on if its recipient has moved to another node in the meantime, or if a
// resource of another node was sent it, too.
func (r *Router) passOn(t *session.Turn, from *nodeSender, st *stanza.Stanza, account jid.JID, id int64, hops int) bool {
	m := nodeMessage{flags: messagePrimary, id: id, hops: hops, reached: from.reached}
	places, err := r.nodes.Current(r.ctx, account.String())
	if err != nil {
		return false
	}
	if st.HasTo && st.To.IsFull() {
		if p, ok := findPlace(places, st.To.Resource()); ok && !takesAlready(from.reached, &p) {
			return r.sendMessageItem(t, from, st, p.Node, &m)
		}
	}
	if r.sendMessageItems(t, from, st, places, m, true) {
		return true
	}
	none := func(*Place) bool { return false }
	from.reached = appendPlaces(from.reached, places, func(NodeID) bool { return true }, none)
	return r.askReached(t, from, st, m, false)
}
