package router

import (
	"slices"

	"roost/jid"
	"roost/session"
	"roost/stanza"
)

// nodeLane handles what other nodes send.
type nodeLane struct {
	r      *Router
	turn   *session.Turn
	item   []byte // that is being handled
	passed bool   // another node has passed it on

	// Of itemReached.
	only    string
	reached []reached
}

var _ NodeHandler = (*Router)(nil)

// NewLane implements NodeHandler.
func (r *Router) NewLane() NodeLane { return &nodeLane{r: r, turn: r.sessions.NewTurn()} }

// Flush implements NodeLane.
func (l *nodeLane) Flush() { l.turn.End() }

// Item implements NodeLane.
func (l *nodeLane) Item(from NodeID, account string, item []byte) {
	if len(item) == 0 {
		return
	}
	l.r.guarded(nil, func() {
		l.item, l.passed, l.only, l.reached = item, false, "", nil
		f := &fields{b: item[1:]}
		l.handle(from, account, itemKind(item[0]), f)
		if f.bad {
			l.r.nodesFailed("an item of another node was not understood: do all nodes run the same version?", errItem)
		}
	})
}

func (l *nodeLane) handle(from NodeID, account string, kind itemKind, f *fields) {
	switch kind {
	case itemMessage:
		l.message(from, f)
	case itemSent:
		l.sent(from, account, f)
	case itemRefused:
		l.refused(from, account, f)
	case itemReached:
		l.reachedOtherwise(from, account, f)
	case itemForward:
		l.forward(from, account, f)
	case itemDeliver:
		l.deliver(from, account, f)
	case itemBroadcast:
		l.broadcast(from, account, f)
	case itemAvailable:
		l.available(from, account, f)
	case itemProbe:
		l.probe(from, account, f)
	case itemShow:
		l.show(from, account, f)
	case itemSubscription:
		l.subscription(from, account, f)
	case itemPush:
		l.push(from, account, f)
	case itemRoster:
		l.roster(from, f)
	case itemPresences:
		l.presences(from, account, f)
	case itemUnavailable:
		l.unavailable(from, account, f)
	case itemBlocklist:
		l.blocklist(from, account, f)
	case itemStored:
		l.stored(from, account, f)
	case itemObserve:
		l.r.observeAll(account, nil)
	case itemKick:
		l.kick(from, account, f)
	case itemReply:
		l.reply(account, f)
	case itemAnnounce:
		l.announce(f)
	case itemFetch:
		l.fetchSession(f)
	case itemSession:
		l.session(from, account, f)
	case itemNoSession:
		l.noSession(from, f)
	case itemTaken:
		l.taken(f)
	case itemRest:
		l.rest(account, f)
	case itemRelay:
		l.relayed(f)
	case itemPassed:
		l.passedOn(account, f)
	case itemEnd:
		l.end(from, account, f)
	default:
		f.fail()
	}
}

// sender reads a sender in an item of a node.
func (l *nodeLane) sender(node NodeID, f *fields) *nodeSender {
	if n := NodeID(f.number()); n != 0 {
		node = n
	}
	j := f.address()
	return &nodeSender{r: l.r, node: node, jid: j, key: j.BareString()}
}

// stanza reads a stanza, which is the last field.
func (l *nodeLane) stanza(f *fields) (st *stanza.Stanza, done func(), ok bool) {
	if st, done, ok = readItem(f.b); !ok {
		f.fail()
	}
	return st, done, ok
}

// sent handles itemSent.
func (l *nodeLane) sent(node NodeID, key string, f *fields) {
	from := l.sender(node, f)
	if st, done, ok := l.stanza(f); ok {
		defer done()
		l.toOthers(node, key, from, func() { l.r.runSentHere(l.turn, from, st) })
	}
}

// refused handles itemRefused.
func (l *nodeLane) refused(node NodeID, key string, f *fields) {
	from := l.sender(node, f)
	e := &stanza.ErrorReply{Type: string(f.text()), Condition: string(f.text()), Text: string(f.text()), Extra: string(f.text())}
	if st, done, ok := l.stanza(f); ok {
		defer done()
		l.toOthers(node, key, from, func() { l.r.runRefusedHere(l.turn, from, st, e) })
	}
}

// presences handles itemPresences.
func (l *nodeLane) presences(node NodeID, key string, f *fields) {
	of, to := f.address(), f.address()
	if f.bad {
		return
	}
	l.r.sendPresencesHere(of, to)
	l.passOn(node, to.BareString(), key, l.item)
}

// unavailable handles itemUnavailable.
func (l *nodeLane) unavailable(node NodeID, key string, f *fields) {
	of, to := f.address(), f.address()
	if f.bad {
		return
	}
	l.r.sendUnavailableHere(l.turn, of, to)
	l.passOn(node, of.BareString(), key, l.item)
}

// forward handles itemForward: an iq, or presence that is not broadcast.
func (l *nodeLane) forward(node NodeID, key string, f *fields) {
	from := l.sender(node, f)
	st, done, ok := l.stanza(f)
	if !ok {
		return
	}
	defer done()
	if st.HasTo {
		from.key = st.To.BareString()
		if l.r.resource(st.To) == nil && l.passOnTo(st.To, node, key, l.item) {
			return
		}
	}
	switch st.Kind {
	case stanza.IQ:
		l.r.iq(l.turn, from, st)
	case stanza.Presence:
		l.r.presence(l.turn, from, st, false)
	}
}

// stored handles itemStored. A resource that has moved away before its node was told is told
// where it is now.
func (l *nodeLane) stored(node NodeID, key string, f *fields) {
	owner := f.address()
	if f.bad {
		return
	}
	l.r.deliverStoredHere(l.turn, owner)
	l.passOn(node, owner.String(), key, l.item)
}

// deliver handles itemDeliver.
func (l *nodeLane) deliver(node NodeID, key string, f *fields) {
	to := f.address()
	switch s := l.r.resource(to); {
	case s == nil && l.passOnTo(to, node, key, l.item):
	case s != nil:
		s.SendBytes(l.turn, f.b)
	case l.r.isRemote(to):
		if from, err := jid.ParseBytes(stanza.From(f.b)); err == nil {
			l.r.sendRemote(l.turn, from, to, f.b)
		}
	}
}

// Undelivered implements NodeHandler.
func (r *Router) Undelivered(to NodeID, account string, item []byte, again bool) {
	if len(item) == 0 {
		return
	}
	t := r.sessions.NewTurn()
	defer t.End()
	r.guarded(nil, func() {
		l := &nodeLane{r: r, turn: t}
		l.undelivered(to, account, itemKind(item[0]), &fields{b: item[1:]}, again)
	})
}

// announce handles itemAnnounce.
func (l *nodeLane) announce(f *fields) {
	if s := l.r.resource(f.address()); s != nil {
		l.repeatPresence(s)
	}
}

// repeatPresence sends the presence of a resource to other nodes again, if it is available.
func (l *nodeLane) repeatPresence(s *session.Session) {
	ro, err := l.r.ownRoster(s)
	if err != nil {
		l.r.nodesFailed("presence was not sent to other nodes again", err)
		return
	}
	l.r.locateContacts(l.turn, s, ro)
	l.r.announceElsewhere(l.turn, s, ro)
}

func (l *nodeLane) undelivered(to NodeID, account string, kind itemKind, f *fields, again bool) {
	r, t := l.r, l.turn
	switch kind {
	case itemMessage:
		l.undeliveredMessage(to, f)
	case itemForward:
		from := l.sender(0, f)
		if st, done, ok := l.stanza(f); ok {
			defer done()
			if st.Kind == stanza.IQ {
				r.Reply(t, from, st, stanza.RemoteServerTimeout)
			}
		}
	case itemStored:
		r.untold.add(account) // if the node has not died
	case itemKick: // it has ended with its node
		f.address()
		r.requests.finish(f.number(), false)
	case itemEnd:
		r.notEnded(to, account)
	case itemPush:
		l.undeliveredPush(f)
	case itemPassed:
		if f.number(); len(f.b) > 0 {
			l.undelivered(to, account, itemKind(f.b[0]), &fields{b: f.b[1:]}, again)
		}
	default:
		l.undeliveredMove(to, account, kind, f, again)
	}
}

// undeliveredMessage sends a message to someone else, stores it, or replies with an error. The node
// did not get what else it was sent, either.
func (l *nodeLane) undeliveredMessage(to NodeID, f *fields) {
	m := f.nodeMessage()
	m.reached = slices.DeleteFunc(m.reached, func(x reached) bool { return x.node == to })
	from := l.messageSender(0, f, &m)
	from.undelivered = true
	if from.node == to {
		from.node = 0
	}
	item := f.b
	st, done, ok := l.stanza(f)
	if !ok {
		return
	}
	defer done()
	switch account, isAccount := target(from, st); {
	case !isAccount:
	case m.flags&messageLost != 0:
		message, received := stanza.CutDelay(slices.Clone(item))
		l.r.storeLost(l.turn, from, st, account, message, received)
	case m.flags&messagePrimary != 0:
		l.r.messageArrived(l.turn, from, st, account, m.id, m.hops)
	case m.flags&messageCopied == 0 && m.id == 0:
		l.r.takeOver(account.String(), forwarded(from, st))
		l.r.tellUntaken(l.turn, from, st, account)
	}
}
