package router

import "roost/jid"

// showPresence sends a client of another node the presence of an account's resources here. It may be
// what is in memory that does not allow that: the account has just approved the subscription, or
// unblocked the client, and what says so is in order with other items than the client's requests. Nobody
// asks again, so the store is read before the request is refused.
func (l *nodeLane) showPresence(to *nodeSender, of jid.JID) {
	r, account := l.r, of.BareString()
	if l.tryToShow(to, of, nil, 0) {
		return
	}
	r.evict(account)
	for range maxTries {
		seen := r.changesOf(account).Load()
		ro, err := r.Roster(of.Bare())
		if err != nil {
			r.nodesFailed("presence was not sent to a client of another node, because it could not be read whether that may see it", err)
			return
		}
		if l.tryToShow(to, of, ro, seen) {
			return
		}
	}
}

// tryToShow is a step of showPresence. ro is the roster that was read from the store, after the change
// counter was seen; if it has changed since, tryToShow returns false. If ro is nil, what is in memory
// decides, and tryToShow returns false if that does not allow the presence to be sent.
func (l *nodeLane) tryToShow(to *nodeSender, of jid.JID, ro *Roster, seen uint32) (done bool) {
	r, account := l.r, of.BareString()
	mu := r.lockPresence(account)
	defer mu.Unlock()
	switch isRead := ro != nil; {
	case !r.HasRecipients(account, Available):
		return true
	case isRead && r.changesOf(account).Load() != seen:
		return false
	case !r.mayShow(account, to.jid, ro):
		return isRead
	}
	head := appendField(appendKind(nil, itemShow), to.jid.String())
	for x := range r.Recipients(account, Available) {
		if p := x.Presence(); p != nil {
			item := appendField(append(l.turn.GetBuf(), head...), x.FullJID())
			item = p.AppendXML(item, x.FullJID(), to.jid.BareString(), nil)
			r.nodes.Send(to.node, account, item)
			l.turn.PutBuf(item)
		}
	}
	return true
}

// mayShow reports whether an address may see the presence of an account that is available here: by the
// account's roster ro, which has its blocklist, or, if that is nil, by what is in memory. The caller
// holds the account's presence lock.
func (r *Router) mayShow(account string, to jid.JID, ro *Roster) bool {
	switch {
	case account == to.BareString():
		return true
	case ro != nil:
		return ro.Subscribed(to.BareString()) && !ro.blocked.Blocks(to)
	}
	if now, ok := r.cached(account); ok && !now.Subscribed(to.BareString()) {
		return false
	}
	for x := range r.Recipients(account, Available) {
		if bars(x, to) {
			return false
		}
	}
	return true
}
