package router

import (
	"slices"
	"time"

	"roost/jid"
	"roost/session"
	"roost/stanza"
)

// The old node of a session that moves: see nodesession.go.

// fetchSession handles itemFetch.
func (l *nodeLane) fetchSession(f *fields) {
	r := l.r
	node, number, account, id := NodeID(f.number()), f.number(), string(f.text()), string(f.text())
	if f.bad {
		return
	}
	passed := l.passed
	r.moves.whenRestored(func() { r.depart(node, number, account, id, passed) })
}

// depart sends a node the session of an account that has this resumption ID, or says that it is
// not here. passed says whether the request has come by way of a third node.
func (r *Router) depart(node NodeID, number uint64, account, id string, passed bool) {
	r.sessions.Depart(account, id, func(_ *session.Turn, d *session.Departure, data []byte) {
		full := d.Session().FullJID()
		r.moves.depart(full, &departing{Departure: d, to: node, self: r.nodes.Self(), number: number, list: blocklistOf(d.Session())}, func() { r.checkDeparture(full, number) })
		item := appendNumber(appendKind(nil, itemSession), number)
		if !r.nodes.Send(node, account, append(item, data...)) {
			r.undoDeparture(full, number)
			r.refuseSession(node, number, account, 0, false)
		}
	}, func(h uint32, known bool, moving *session.Session) {
		if moving != nil && !passed {
			if d := r.moves.departure(moving.FullJID()); d != nil && d.to != node {
				item := appendNumber(appendKind(nil, itemFetch), uint64(node))
				item = appendNumber(item, number)
				item = appendField(item, account)
				if r.pass(d.to, node, account, appendField(item, id)) {
					return
				}
			}
		}
		r.refuseSession(node, number, account, h, known)
	})
}

// refuseSession tells a node that the session it has asked for is not here.
func (r *Router) refuseSession(node NodeID, number uint64, account string, h uint32, known bool) {
	item := appendNumber(appendKind(nil, itemNoSession), number)
	item = appendNumber(item, uint64(h))
	r.nodes.Send(node, account, appendFlag(item, known))
}

// taken handles itemTaken.
func (l *nodeLane) taken(f *fields) {
	r, t := l.r, l.turn
	_, number, full, taken := f.number(), f.number(), f.address(), f.flag()
	if f.bad {
		return
	}
	if !taken {
		r.undoDeparture(full.String(), number)
		return
	}
	d := r.moves.settle(full.String(), number)
	if d == nil {
		return
	}
	defer r.moves.count.Add(-1)
	account := full.BareString()
	r.moves.remember(account, full.Resource(), d.to)
	if _, err := r.nodes.Current(r.ctx, account); err != nil { // see cachedPlaces
		r.nodesFailed("resources on other nodes could not be looked up", err)
	}
	rest := func(data []byte, last bool) {
		item := appendNumber(appendKind(nil, itemRest), number)
		item = appendFlag(item, last)
		item = appendFlag(item, mayReadStored(d.Session()))
		if item = append(item, data...); !r.nodes.Send(d.to, account, item) {
			l.undeliveredRest(data)
		}
	}
	r.deleteAcked(full.Bare())
	if blocklistOf(d.Session()) != d.list {
		r.nodes.Send(d.to, account, changeItem(rosterChange{account: account, blocklist: true})) // it was sent with the earlier one
	}
	still := d.Leave(t, func(data []byte) { rest(data, false) })
	rest(nil, true)
	if !still {
		r.endMoved(d.to, full)
	}
	r.takeDirected(d.Session())
}

// endMoved ends a session on the node that has taken it, because another client has bound the
// resource before this node knew that. If that was here, the new session gets the entry back, and
// contacts, which were told of the end of the old one then, are not told again.
func (r *Router) endMoved(to NodeID, full jid.JID) {
	item := appendNumber(appendField(appendKind(nil, itemKick), full.String()), 0)
	if s := r.boundHere(full); s != nil {
		if _, err := r.nodes.Register(r.ctx, s.BareJID(), s.Resource(), Registration{Replace: true}); err != nil {
			r.nodesFailed("a resource could not be registered with the cluster", err)
		}
		mu := r.lockPresence(s.BareJID())
		r.updateElsewhere(s, s.Available(), int8(s.Priority()))
		mu.Unlock()
		r.unregisterGone(s)
		item = appendField(item, noWait)
	}
	r.nodes.Send(to, full.BareString(), item)
}

// deleteAcked deletes the messages of an account that clients have acknowledged and that are
// still in the store: other nodes do not know that they must not be sent.
func (r *Router) deleteAcked(owner jid.JID) {
	if ids := r.undeleted.appendIDs(nil, owner); len(ids) > 0 {
		if err := r.config().Store.DeleteOffline(r.ctx, owner, ids); err != nil {
			r.nodesFailed("delivered messages could not be deleted before their resource has moved; they may be sent again", err)
		}
	}
}

// undoDeparture keeps a session here that another node has not taken.
func (r *Router) undoDeparture(full string, number uint64) {
	if d := r.moves.settle(full, number); d != nil {
		r.moves.count.Add(-1)
		d.Undo(func(*session.Turn) { r.stays(d.Session()) })
	}
}

// stays is called when a session that another node has not taken waits for its client here
// again. It was left out by registerAgain and deliverOffline while it was moving.
func (r *Router) stays(s *session.Session) {
	if mayReadStored(s) {
		_ = r.restoreOffline(s, nil)
	}
	r.sessions.Go(session.Write, func(t *session.Turn) {
		if r.registerAgain(r.ctx, t, s, LostEntries) {
			r.exchangeSoon(s)
		}
	})
}

// endDeparture ends a session of which it is not known whether another node has taken it. If it
// has, the session stays available there.
func (r *Router) endDeparture(d *departing) {
	r.moves.count.Add(-1)
	if r.ctx.Err() != nil {
		d.End()
		return
	}
	r.sessions.Go(session.Write, func(*session.Turn) {
		defer d.End()
		if r.succeeded(d.Session()) {
			r.endSilently(d.Session())
		}
	})
}

// checkDeparture ends a session that another node was sent if that node has died since, or if
// this one was treated as dead: then the reply is lost. It waits once more after that: the other
// node may have to register the session again, too.
func (r *Router) checkDeparture(full string, number uint64) {
	d := r.moves.departure(full)
	switch {
	case d == nil || d.number != number || r.ctx.Err() != nil:
	case slices.Contains(r.nodes.Others(), d.to) && !d.lapsed:
		d.lapsed = d.self != r.nodes.Self()
		d.timer.Reset(departCheck)
	case r.moves.settle(full, number) != nil:
		r.endDeparture(d)
	}
}

// undeliveredRest hands on stanzas for a session that has moved, and that they cannot follow.
func (l *nodeLane) undeliveredRest(data []byte) {
	if _, all, err := session.StanzasOf(data); err == nil {
		for i := range all {
			l.unacked(&all[i])
		}
	}
}

// Relay implements session.Router.
func (r *Router) Relay(s *session.Session, b []byte, stored int64, stamped bool) bool {
	to := r.moves.where(s.BareJID(), s.Resource())
	if to == 0 {
		return false
	}
	key := s.BareJID()
	if from, err := jid.ParseBytes(stanza.From(b)); err == nil {
		key = from.BareString()
	}
	item := appendField(appendKind(nil, itemRelay), s.FullJID())
	item = appendNumber(item, uint64(stored))
	item = appendFlag(item, stamped)
	return r.nodes.Send(to, key, append(item, b...))
}

// Departing implements session.Router. A session that moves becomes active, as it does when
// its client resumes it: what is held for it must not change while it moves. For the inactive
// clients of the other node its presence changes now: what is known of the changes before is by
// the clock of this node.
func (r *Router) Departing(t *session.Turn, s *session.Session) {
	s.SetPresenceStamp(uint16(r.changesSeen.ticks.Load()))
	if !s.Inactive() {
		return
	}
	if _, changed := sendHeldLast(t, s); changed {
		missed.Make(s).since = noSince // the other node does not know which contacts have changed since
	}
}

// pass sends an item that has come from a node for a session that has moved to where that
// session is.
func (r *Router) pass(to, from NodeID, account string, item []byte) bool {
	b := appendNumber(appendKind(nil, itemPassed), uint64(from))
	return r.nodes.Send(to, account, append(b, item...))
}

// passOn passes an item for an account on if sessions of it have moved away lately: the node
// that has sent it may not have known. It is called after the item was handled here, for those that leave
// meanwhile. It returns the nodes, without those to which it was passed on before.
func (l *nodeLane) passOn(from NodeID, account, key string, item []byte, before ...NodeID) (nodes []NodeID) {
	if l.passed {
		return nil
	}
	for _, to := range l.r.moves.movedTo(account) {
		if to != from && !slices.Contains(before, to) {
			l.r.pass(to, from, key, item)
			nodes = append(nodes, to)
		}
	}
	return nodes
}

// passOnTo passes an item for a resource on if that has moved away lately, and reports whether it
// did.
func (l *nodeLane) passOnTo(full jid.JID, from NodeID, key string, item []byte) bool {
	if l.passed {
		return false
	}
	to := l.r.moves.where(full.BareString(), full.Resource())
	return to != 0 && to != from && l.r.pass(to, from, key, item)
}

// passedOn handles itemPassed.
func (l *nodeLane) passedOn(account string, f *fields) {
	from := NodeID(f.number())
	if f.bad || len(f.b) == 0 {
		f.fail()
		return
	}
	l.item, l.passed = f.b, true
	inner := &fields{b: f.b[1:]}
	l.handle(from, account, itemKind(f.b[0]), inner)
	f.bad = inner.bad
}

// undeliveredMove handles an item about the move of a session that was not delivered.
func (l *nodeLane) undeliveredMove(to NodeID, account string, kind itemKind, f *fields, again bool) {
	r := l.r
	switch kind {
	case itemFetch:
		switch node, number := NodeID(f.number()), f.number(); {
		case f.bad:
		case node != r.nodes.Self():
			r.refuseSession(node, number, account, 0, false)
		default:
			if x := r.moves.fetch(number); x != nil {
				r.fetchRefused(x, to, 0, false)
			}
		}
	case itemSession:
		number := f.number()
		switch full := addressIn(f.b); {
		case !again: // it was not handled
			r.undoDeparture(full, number)
		default:
			if d := r.moves.settle(full, number); d != nil {
				r.endDeparture(d)
			}
		}
	case itemTaken:
		item := append(appendKind(nil, itemTaken), f.b...)
		node, number := NodeID(f.number()), f.number()
		switch x := r.moves.fetch(number); {
		case node != r.nodes.Self():
		case slices.Contains(r.nodes.Others(), to):
			time.AfterFunc(retryTaken, func() { r.sendTaken(to, account, item) })
		case x != nil: // nothing follows
			r.moves.end(x)
			r.attach(x)
		}
	case itemRest:
		f.number()
		f.flag()
		f.flag()
		l.undeliveredRest(f.b)
	case itemRelay:
		f.address()
		u := session.Unacked{ID: int64(f.number()), Stamped: f.flag(), Sent: l.turn.Now()}
		if u.Stanza = f.b; !f.bad {
			l.unacked(&u)
		}
	}
}
