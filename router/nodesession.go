package router

import (
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"roost/jid"
	"roost/session"
	"roost/stanza"
)

// How a session moves to the node where its client resumes it (XEP-0198 section 5,
// https://xmpp.org/extensions/xep-0198.html#resumption). The client's node asks those that
// have resources of the account, and looks for what a stopped node has saved (nodesaved.go). The one that has the session ends its connection and sends
// its data; the client's node puts it in its tables, takes over its entry in the directory,
// and says that it has taken it; then what has arrived at the old node meanwhile follows, and
// the client is attached. docs/decisions/0060-moving-sessions.md has the reasons, and what
// happens when a node dies in between.

// Fetch implements session.Router.
func (r *Router) Fetch(f *session.Fetch) bool {
	if r.nodes == nil {
		return false
	}
	r.sessions.Go(session.Read, func(*session.Turn) { r.fetch(f) })
	return true
}

func (r *Router) fetch(f *session.Fetch) {
	x := r.moves.begin(f, r.fetchOver)
	if !r.askNodes(x) {
		r.fetchSaved(x, true)
		return
	}
	time.AfterFunc(savedAfter, func() {
		if r.moves.fetch(x.number) != nil && x.Session() == nil {
			r.fetchSaved(x, false)
		}
	})
}

// askNodes asks the nodes that may have a session, and were not asked before. It returns false
// if there are none.
func (r *Router) askNodes(x *fetching) bool {
	account := x.Account()
	places, err := r.nodes.Current(r.ctx, account)
	if err != nil {
		r.nodesFailed("a session cannot be looked for on other nodes", err)
	}
	ask := nodesOf(nil, places, anyPlace)
	for _, n := range r.moves.leaving(account) {
		if !slices.Contains(ask, n) {
			ask = append(ask, n)
		}
	}
	if others := r.nodes.Others(); (len(ask) == 0 || r.moves.allRefused(x)) && len(others) <= maxAskedAll {
		ask = others // one may know what an ended session had handled
	}
	if ask = r.moves.ask(x, ask); len(ask) == 0 {
		return false
	}
	item := appendNumber(appendKind(nil, itemFetch), uint64(r.nodes.Self()))
	item = appendNumber(item, x.number)
	item = appendField(item, account)
	item = appendField(item, x.ID())
	for _, n := range ask {
		if !r.nodes.Send(n, account, item) {
			r.fetchRefused(x, n, 0, false)
		}
	}
	return true
}

// fetchOver is called when the client has waited for long enough.
func (r *Router) fetchOver(x *fetching) {
	r.moves.end(x)
	r.attach(x) // what is missing follows
	x.NotFound(0, false)
}

// attach has the client resume the session that has arrived. Stored messages have waited until
// it has what it was sent where it was.
func (r *Router) attach(x *fetching) {
	x.Attach()
	if s := x.Session(); s != nil && offlinePending.Has(s) {
		_ = r.restoreOffline(s, nil)
	}
}

// fetchRefused handles that a node does not have the session.
func (r *Router) fetchRefused(x *fetching, node NodeID, h uint32, known bool) {
	switch last := r.moves.refused(x, node); {
	case known && x.Session() == nil:
		r.notFetched(x, h, known)
	case last:
		r.fetchSaved(x, true)
	}
}

func (r *Router) notFetched(x *fetching, h uint32, known bool) {
	r.moves.end(x)
	x.NotFound(h, known)
}

// noSession handles itemNoSession.
func (l *nodeLane) noSession(node NodeID, f *fields) {
	number, h, known := f.number(), uint32(f.number()), f.flag()
	if x := l.r.moves.fetch(number); x != nil && !f.bad {
		l.r.fetchRefused(x, node, h, known)
	}
}

// session handles itemSession.
func (l *nodeLane) session(node NodeID, account string, f *fields) {
	r, number := l.r, f.number()
	data := slices.Clone(f.b)
	x := r.moves.fetch(number)
	if x == nil || x.Account() != account {
		r.replyTaken(node, account, number, addressIn(data), false)
		return
	}
	r.sessions.Go(session.Write, func(t *session.Turn) {
		taken := false
		r.guarded(nil, func() { taken = r.takeSession(t, x, node, data) })
		if !taken {
			r.moves.end(x)
		}
		r.replyTaken(node, account, number, addressIn(data), taken)
		if !taken {
			x.NotFound(0, false)
		}
	})
}

// addressIn returns the full JID in a session's data, "" if that is damaged.
func addressIn(data []byte) string {
	full, _, err := session.StanzasOf(data)
	if err != nil {
		return ""
	}
	return full.String()
}

// takeSession puts a session that has come from another node in the tables, and takes over
// its entry in the directory. It returns false if the session must remain where it is.
func (r *Router) takeSession(t *session.Turn, x *fetching, node NodeID, data []byte) (taken bool) {
	if err := r.CatchUp(t, x.Event()); err != nil {
		r.LogError("cannot read account events; a session was not resumed", x.Account(), err)
		return false
	}
	r.moves.count.Add(1)
	defer r.moves.count.Add(-1)
	var o *origin
	s, err := x.Arrive(t, data, func(s *session.Session) {
		o = origins.Make(s)
		o.node = node
	})
	if err != nil {
		r.notResumed("a session of another node was not resumed", x.Account(), err)
		return false
	}
	account := s.BareJID()
	r.moves.forget(account, s.Resource())
	got, err := r.nodes.Register(r.ctx, account, s.Resource(), Registration{From: node, MaxResources: anyResources})
	missing := false
	switch {
	case err != nil: // it is registered when the directory is back
		o.left.Store(true)
		r.nodesFailed("a resource could not be registered with the cluster", err)
	case got.Taken || got.Full:
		x.Cancel()
		return false
	default:
		if missing = r.hasMoved(t, s, &got); missing {
			offlinePending.Set(s) // others have not found the resource, and may have stored messages
		}
	}
	r.observeReturned(s, got.Places, missing)
	r.unregisterGone(s)
	// From now on, what is in memory has the new entry: see cachedPlaces.
	if _, err := r.nodes.Current(r.ctx, account); err != nil {
		r.nodesFailed("resources on other nodes could not be looked up", err)
	}
	r.moves.arrived(x, node)
	if _, err := r.CurrentAccount(s); errors.Is(err, stanza.NotAuthorized) {
		s.Close(session.ErrNotAuthorized) // since the session was looked for
	}
	r.learnKept(s)
	x.timer.Reset(fetchLimit)
	return true
}

// origin is the node that a session has come from, as long as the session's entry in the
// directory may be one of that node.
type origin struct {
	node NodeID
	left atomic.Bool // takeSession could not take the entry over: that is left to registerAgain
}

var origins = session.NewSlot[origin]()

// hasMoved is called when the entry of a session that has come from another node is one of this
// node. It reports whether there was no entry.
func (r *Router) hasMoved(t *session.Turn, s *session.Session, got *Registered) (missing bool) {
	origins.Drop(s)
	if missing = got.Replaced.Node == 0 && !got.Known; missing {
		r.announceAgain(t, s)
	}
	return missing
}

// unregisterGone removes the entry of a session that has left while it was registered.
func (r *Router) unregisterGone(s *session.Session) {
	r.sessions.IfUnlinked(s, func() { r.nodes.Unregister(s.BareJID(), s.Resource()) })
}

// announceAgain sends the presence of a session that was not in the directory any more: its
// contacts may have been told that it is unavailable.
func (r *Router) announceAgain(t *session.Turn, s *session.Session) {
	p := s.Presence()
	if p == nil {
		return
	}
	ro, err := r.Roster(s.JID().Bare())
	if err != nil {
		r.nodesFailed("the contacts of a resource are not told that it is back", err)
		return
	}
	r.locateAll(t, ro)
	r.locate(t, s.BareJID())
	mu := r.lockPresence(s.BareJID())
	r.updateElsewhere(s, true, int8(s.Priority()))
	mu.Unlock()
	r.broadcast(t, &broadcast{s: s, ro: ro, p: p})
}

// replyTaken tells a node whether its session is here now. As long as that node lives it has
// to be told: it keeps what arrives for the session. It may be one that has just joined, and is
// not among the others yet.
func (r *Router) replyTaken(node NodeID, account string, number uint64, full string, taken bool) {
	item := appendNumber(appendKind(nil, itemTaken), uint64(r.nodes.Self()))
	item = appendNumber(item, number)
	item = appendField(item, full)
	r.sendTaken(node, account, appendFlag(item, taken))
}

func (r *Router) sendTaken(node NodeID, account string, item []byte) {
	if r.ctx.Err() == nil && !r.nodes.Send(node, account, item) {
		time.AfterFunc(retryTaken, func() { r.sendTaken(node, account, item) })
	}
}

// rest handles itemRest.
func (l *nodeLane) rest(account string, f *fields) {
	number, last, pending := f.number(), f.flag(), f.flag()
	x := l.r.moves.fetch(number)
	if x == nil {
		l.late(f.b)
		if owner, err := jid.Parse(account); err == nil && pending && last {
			l.r.deliverStored(l.turn, owner)
		}
		return
	}
	if len(f.b) > 0 {
		refused, err := x.Fill(l.turn, f.b)
		if err != nil {
			l.r.nodesFailed("stanzas for a session that has moved here are lost", err)
		}
		for i := range refused {
			l.unacked(&refused[i])
		}
	}
	if last {
		if s := x.Session(); pending && s != nil {
			offlinePending.Set(s) // messages may have been stored after its data was made
		}
		l.r.moves.end(x)
		l.r.attach(x)
	}
}

// late handles the rest of a session whose client did not wait for it.
func (l *nodeLane) late(data []byte) {
	full, all, err := session.StanzasOf(data)
	if err != nil {
		return // there is none
	}
	s := l.r.resource(full)
	for i := range all {
		if s == nil || all[i].ID != 0 || !s.SendUnacked(l.turn, &all[i]) {
			l.unacked(&all[i])
		}
	}
}

// relayed handles itemRelay.
func (l *nodeLane) relayed(f *fields) {
	full, stored, stamped := f.address(), int64(f.number()), f.flag()
	if f.bad {
		return
	}
	u := session.Unacked{Stanza: f.b, Sent: l.turn.Now(), Stamped: stamped, ID: stored}
	if s := l.r.resource(full); s == nil || stored != 0 || !s.SendUnacked(l.turn, &u) {
		l.unacked(&u)
	}
}

// unacked handles a stanza that was sent to a session that has moved, and that it was not sent
// here: messages go where those to the resource go now. Those that are in the store are read
// from there, if they have not been already.
func (l *nodeLane) unacked(u *session.Unacked) {
	r, text := l.r, u.Stanza
	if u.Stamped {
		text, _ = stanza.CutDelay(text)
	}
	st, done, ok := readItem(text)
	if !ok {
		return
	}
	defer done()
	j, err := jid.ParseBytes(st.Root.Attr("from"))
	if err != nil {
		return
	}
	from := &nodeSender{r: r, jid: j.Clone()}
	account, isAccount := target(from, st)
	from.key = account.String()
	switch {
	case !isAccount:
	case u.ID != 0:
		r.deliverStored(l.turn, account)
	case st.Kind == stanza.Message && !isCarbon(st) && !isChatState(st):
		r.messageArrived(l.turn, from, st, account, 0, 0)
	case st.Kind == stanza.IQ && st.Type.IsRequest():
		r.Reply(l.turn, from, st, stanza.ServiceUnavailable)
	}
}
