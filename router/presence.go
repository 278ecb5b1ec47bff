package router

import (
	"slices"
	"strconv"
	"strings"

	"roost/jid"
	"roost/session"
	"roost/stanza"
	"roost/store"
)

// presence handles a presence stanza (RFC 6121 sections 3 and 4).
func (r *Router) presence(t *session.Turn, s *session.Session, st *stanza.Stanza) bool {
	switch {
	case st.Type == stanza.UnknownType:
		// RFC 6121 section 4.7.1: an unknown type is <bad-request/>.
		r.Reply(t, s, st, stanza.BadRequest)
		return true
	case st.Type.IsSubscription():
		return r.subscription(t, s, st)
	case st.Type == stanza.Probe:
		return r.probe(t, s, st)
	case st.Type == stanza.Error:
		r.presenceError(t, s, st)
		return true
	case st.HasTo:
		r.directed(t, s, st)
		return true
	case st.Type == stanza.Unavailable:
		return r.unavailable(t, s, st)
	}
	return r.available(t, s, st)
}

// presenceError delivers an error to the resource that it is for, if any.
func (r *Router) presenceError(t *session.Turn, s *session.Session, st *stanza.Stanza) {
	if st.HasTo && st.To.Resource() != "" {
		if to := r.sessions.Find(st.To.BareString(), st.To.Resource()); to != nil {
			r.forward(t, s, to, st)
		}
	}
}

// available handles broadcast presence without a type (RFC 6121 sections 4.2
// and 4.4).
func (r *Router) available(t *session.Turn, s *session.Session, st *stanza.Stanza) bool {
	priority, ok := priorityOf(st)
	if !ok {
		r.Reply(t, s, st, stanza.BadRequest.WithText("The priority is not a number from -128 to 127."))
		return true
	}
	initial := !s.Available()
	// XEP-0160: messages wait for a resource with a non-negative priority.
	mail := priority >= 0 && (initial || s.Priority() < 0)
	ro, ok := r.cached(s.BareJID())
	if !ok && !t.MayBlock() {
		return false
	}
	if !ok {
		var err error
		if ro, err = r.rosterFor(s.JID().Bare()); err != nil {
			r.fault(t, s, st, "roster could not be read", err)
			return true
		}
	}
	b := stanza.AppendForward(t.Buf(), st, stanza.Edit{DropID: true, DropTo: true})
	p := r.sessions.SharePresence(b)
	t.Keep(b)
	ro = r.broadcast(t, s, ro, p, priority, st.ID, initial)
	if initial {
		r.fetchPresences(t, s, ro.Items)
	}
	requests := initial && len(ro.Requests) > 0
	mail = mail && s.Mail()
	switch {
	case !requests && !mail:
	case t.MayBlock():
		r.catchUp(t, s, requests, mail)
	default:
		r.sessions.Block(s, func(t *session.Turn) { r.catchUp(t, s, requests, mail) })
	}
	return true
}

// catchUp sends a resource that became available what the store has for it.
func (r *Router) catchUp(t *session.Turn, s *session.Session, requests, mail bool) {
	if requests {
		if err := r.sendRequests(t, s); err != nil {
			r.cfg.Logger.Error("subscription requests could not be read", "jid", s.FullJID(), "err", err)
		}
	}
	if mail {
		r.flush(t, s)
	}
}

// priorityOf reads the priority: "The value MUST be an integer between -128 and
// +127. If no priority is provided, the processing server or client MUST
// consider the priority to be zero" (RFC 6121 section 4.7.2.3).
func priorityOf(st *stanza.Stanza) (int8, bool) {
	el := st.Root.Child(stanza.NSClient, "priority")
	if !el.OK() {
		return 0, true
	}
	var buf [16]byte
	n, err := strconv.ParseInt(strings.TrimSpace(string(el.AppendText(buf[:0]))), 10, 8)
	return int8(n), err == nil
}

// broadcast sets a resource's presence and tells everybody who is to know: the
// contacts with a subscription and the account's own available resources,
// itself included (RFC 6121 section 4.2.2 and 4.4.2). A newcomer learns of the
// account's other resources. broadcast returns the roster as it was at that
// moment.
func (r *Router) broadcast(t *session.Turn, s *session.Session, ro *Roster, p *session.Presence, priority int8, id []byte, initial bool) *Roster {
	bare := s.BareJID()
	mu := r.order(bare)
	defer mu.Unlock()
	if !s.Bound() {
		// It was replaced meanwhile, and that was announced.
		r.sessions.ReleasePresence(p)
		return ro
	}
	s.SetPresence(p, priority)
	// Once more under the lock: a subscription approved at this moment is
	// either in the roster or is told of the presence that was just set.
	if newer, ok := r.cached(bare); ok {
		ro = newer
	}
	appendTo := func(b []byte, to string) []byte { return p.AppendXML(b, s.FullJID(), to, id) }
	r.toSubscribers(t, ro, appendTo)
	r.toOwn(t, s, appendTo)
	if initial {
		r.ownPresences(t, s)
	}
	return ro
}

// toSubscribers sends a presence to the available resources of all contacts
// that have a subscription to it.
func (r *Router) toSubscribers(t *session.Turn, ro *Roster, appendTo func([]byte, string) []byte) {
	for i := range ro.Items {
		if it := &ro.Items[i]; it.Subscription.HasFrom() {
			r.toAvailable(t, it.JID.BareString(), appendTo)
		}
	}
}

// toOwn sends a presence to all available resources of the account.
func (r *Router) toOwn(t *session.Turn, s *session.Session, appendTo func([]byte, string) []byte) {
	r.toAvailable(t, s.BareJID(), appendTo)
}

// toAvailable sends a stanza to all available resources of an account. RFC 6121
// section 8.5.2.1.2: presence goes to those with a negative priority too.
func (r *Router) toAvailable(t *session.Turn, bare string, appendTo func([]byte, string) []byte) {
	var b []byte
	for to := r.sessions.First(bare); to != nil; to = to.Next() {
		if !to.Available() || !to.Bound() {
			continue
		}
		if b == nil {
			b = appendTo(t.Buf(), bare)
		}
		to.SendBytes(t, b)
	}
	if b != nil {
		t.Keep(b)
	}
}

// ownPresences sends a newcomer the presence of the account's other resources.
func (r *Router) ownPresences(t *session.Turn, s *session.Session) {
	for other := r.sessions.First(s.BareJID()); other != nil; other = other.Next() {
		if other != s {
			r.sendPresence(t, other, s)
		}
	}
}

// sendPresence sends one resource's presence to another resource.
func (r *Router) sendPresence(t *session.Turn, of, to *session.Session) {
	p := of.Presence()
	if p == nil || !of.Bound() {
		return
	}
	b := p.AppendXML(t.Buf(), of.FullJID(), to.BareJID(), nil)
	to.SendBytes(t, b)
	t.Keep(b)
}

// fetchPresences gives a newcomer the presence of the contacts that it has a
// subscription to. RFC 6121 section 4.3: contacts on the same server need no
// probes, the server knows. They come at the pace of the client: a thousand
// contacts fill no outbox.
func (r *Router) fetchPresences(t *session.Turn, s *session.Session, items []store.RosterItem) {
	for i := range items {
		if !items[i].Subscription.HasTo() {
			continue
		}
		if r.full(t, s) {
			s.OnDrain(func(t *session.Turn) { r.goOnFetching(t, s, items[i:]) })
			return
		}
		r.presencesTo(t, items[i].JID.BareString(), s)
	}
}

// goOnFetching is fetchPresences for a client that has read what it was sent,
// with those of the contacts left that still are contacts.
func (r *Router) goOnFetching(t *session.Turn, s *session.Session, left []store.RosterItem) {
	if !s.Available() || !s.Bound() {
		return
	}
	if ro, ok := r.cached(s.BareJID()); ok {
		left = slices.DeleteFunc(slices.Clone(left), func(it store.RosterItem) bool {
			now, _ := ro.Item(it.JID.String())
			return !now.Subscription.HasTo()
		})
	}
	r.fetchPresences(t, s, left)
}

// full reports whether a client has a page or more to read before it is sent
// anything that can wait.
func (r *Router) full(t *session.Turn, s *session.Session) bool {
	if s.Conn().Queued() <= r.cfg.PageBytes {
		return false
	}
	t.Flush()
	return s.Conn().Queued() > r.cfg.PageBytes
}

// presencesTo sends the presence of an account's resources to one resource, in
// order with their changes, and returns how many there are.
func (r *Router) presencesTo(t *session.Turn, of string, to *session.Session) int {
	if r.sessions.First(of) == nil {
		return 0
	}
	mu := r.order(of)
	defer mu.Unlock()
	n := 0
	for x := r.sessions.First(of); x != nil; x = x.Next() {
		if x.Available() && x.Bound() {
			r.sendPresence(t, x, to)
			n++
		}
	}
	return n
}

// sendPresences sends the presence of an account's resources to the available
// resources of another account (RFC 6121 section 3.1.5).
func (r *Router) sendPresences(t *session.Turn, of, to string) {
	for s := r.sessions.First(to); s != nil; s = s.Next() {
		if s.Available() && s.Bound() {
			r.presencesTo(t, of, s)
		}
	}
}

// sendUnavailable tells the resources of an account that those of another are
// not available to them any more (RFC 6121 section 3.2.2).
func (r *Router) sendUnavailable(t *session.Turn, of, to string) {
	mu := r.order(of)
	defer mu.Unlock()
	for x := r.sessions.First(of); x != nil; x = x.Next() {
		if x.Available() && x.Bound() {
			r.toAvailable(t, to, func(b []byte, to string) []byte {
				return stanza.Head{Kind: stanza.Presence, Type: stanza.Unavailable, From: x.FullJID(), To: to}.AppendEmpty(b)
			})
		}
	}
}

// unavailable handles broadcast presence of type 'unavailable' (RFC 6121
// section 4.5): it goes where the available one went, to everybody who got
// directed presence, and back to the resource itself.
func (r *Router) unavailable(t *session.Turn, s *session.Session, st *stanza.Stanza) bool {
	ro, ok := r.cached(s.BareJID())
	if !ok {
		if !t.MayBlock() {
			return false
		}
		var err error
		if ro, err = r.rosterFor(s.JID().Bare()); err != nil {
			r.fault(t, s, st, "roster could not be read", err)
			return true
		}
	}
	mu := r.order(s.BareJID())
	defer mu.Unlock()
	if !s.Bound() {
		return true
	}
	appendTo := func(b []byte, to string) []byte {
		return stanza.AppendForward(b, st, stanza.Edit{From: s.FullJID(), To: to})
	}
	if s.Available() {
		r.noteLast(s, st)
	}
	r.leave(t, s, ro, appendTo, true)
	return true
}

// leave tells everybody that a resource is not available any more. The caller
// holds the account's order lock.
func (r *Router) leave(t *session.Turn, s *session.Session, ro *Roster, appendTo func([]byte, string) []byte, self bool) {
	wasAvailable := s.Available()
	if wasAvailable {
		r.toSubscribers(t, ro, appendTo)
		for to := r.sessions.First(s.BareJID()); to != nil; to = to.Next() {
			if to.Available() && to.Bound() && to != s {
				r.sendOne(t, to, appendTo)
			}
		}
		if self {
			r.sendOne(t, s, appendTo)
		}
	}
	for _, to := range s.ClearDirected() {
		j, err := jid.Parse(to)
		if err != nil || wasAvailable && r.wasTold(s, ro, j) {
			continue
		}
		r.toDirected(t, j, appendTo)
	}
	s.SetPresence(nil, 0)
}

// wasTold reports whether an address that got directed presence has learnt by
// the broadcast already that the resource is gone.
func (r *Router) wasTold(s *session.Session, ro *Roster, to jid.JID) bool {
	if to.BareString() != s.BareJID() && !ro.Subscribed(to.BareString()) {
		return false
	}
	if to.Resource() == "" {
		return true
	}
	x := r.sessions.Find(to.BareString(), to.Resource())
	return x != nil && x.Available()
}

func (r *Router) sendOne(t *session.Turn, to *session.Session, appendTo func([]byte, string) []byte) {
	b := appendTo(t.Buf(), to.BareJID())
	to.SendBytes(t, b)
	t.Keep(b)
}

// toDirected sends a presence to the address that directed presence was sent to.
func (r *Router) toDirected(t *session.Turn, to jid.JID, appendTo func([]byte, string) []byte) {
	if to.Resource() == "" {
		r.toAvailable(t, to.BareString(), appendTo)
		return
	}
	if x := r.sessions.Find(to.BareString(), to.Resource()); x != nil {
		b := appendTo(t.Buf(), to.String())
		x.SendBytes(t, b)
		t.Keep(b)
	}
}

// directed handles presence to somebody in particular (RFC 6121 section 4.6):
// it is delivered, and remembered, so that they learn when the sender goes.
func (r *Router) directed(t *session.Turn, s *session.Session, st *stanza.Stanza) {
	if st.To.Local() == "" {
		return // the server itself has no use for anybody's presence
	}
	to := st.To.Clone()
	if st.Type == stanza.Unavailable {
		s.RemoveDirected(to.String())
	} else if !s.AddDirected(to.String(), r.cfg.MaxDirected) {
		r.Reply(t, s, st, stanza.ResourceConstraint.WithText("Too much directed presence."))
		return
	}
	r.toDirected(t, to, func(b []byte, _ string) []byte {
		return stanza.AppendForward(b, st, stanza.Edit{From: s.FullJID()})
	})
}

// probe answers a presence probe that a client sent (RFC 6121 section 4.3.2).
func (r *Router) probe(t *session.Turn, s *session.Session, st *stanza.Stanza) bool {
	if !st.HasTo || st.To.Local() == "" {
		return true
	}
	contact := st.To.BareString()
	ro, ok := r.cached(contact)
	if !ok {
		if !t.MayBlock() {
			return false
		}
		var err error
		if ro, err = r.rosterFor(st.To.Bare().Clone()); err != nil {
			r.fault(t, s, st, "roster could not be read", err)
			return true
		}
	}
	if contact != s.BareJID() && !ro.Subscribed(s.BareJID()) {
		// The same for a stranger and for an account that does not exist.
		b := stanza.Head{Kind: stanza.Presence, Type: stanza.Unsubscribed, From: contact, To: s.BareJID()}.AppendEmpty(t.Buf())
		s.SendBytes(t, b)
		t.Keep(b)
		return true
	}
	if r.anyAvailable(contact) {
		r.presencesTo(t, contact, s)
		return true
	}
	if !t.MayBlock() {
		return false
	}
	r.sendLast(t, s, st.To.Bare())
	return true
}

func (r *Router) anyAvailable(bare string) bool {
	for s := r.sessions.First(bare); s != nil; s = s.Next() {
		if s.Available() && s.Bound() {
			return true
		}
	}
	return false
}

// sendLast tells when an account was last available: unavailable presence with
// a delay stamp.
func (r *Router) sendLast(t *session.Turn, s *session.Session, of jid.JID) {
	h := stanza.Head{Kind: stanza.Presence, Type: stanza.Unavailable, From: of.String(), To: s.BareJID()}
	last, err := r.LastOf(of)
	b := t.Buf()
	if err != nil {
		b = h.AppendEmpty(b)
	} else {
		b = h.AppendStart(b)
		b = appendStatus(b, last)
		b = stanza.AppendDelay(b, of.String(), last.At)
		b = append(b, "</presence>"...)
	}
	s.SendBytes(t, b)
	t.Keep(b)
}

// Bound reads what a resource that was bound will need when it becomes
// available: the roster, and whether messages wait. It implements
// session.Router.
func (r *Router) Bound(t *session.Turn, s *session.Session) bool {
	owner := s.JID().Bare()
	unlock := r.lockRosters(owner)
	defer unlock()
	if _, ok := r.cached(owner.String()); ok {
		s.SetMail() // not known
		return true
	}
	// The session is in the table already: of a message that is kept from now
	// on it will be told.
	state, err := r.cfg.Store.LoginState(r.ctx, owner)
	if err != nil {
		r.cfg.Logger.Error("roster could not be read", "jid", s.FullJID(), "err", err)
		s.SetMail()
		return true
	}
	if state.Roster.Version == 0 {
		return false
	}
	r.remember(owner, newRoster(state.Roster))
	if state.HasOffline {
		s.SetMail()
	}
	return true
}

// Left announces that a resource is gone without having said so (RFC 6121
// section 4.5.2): to its subscribers, its account's other resources and
// everybody it sent directed presence to. It implements session.Router.
func (r *Router) Left(t *session.Turn, s *session.Session) bool {
	ro := &Roster{}
	if s.Available() {
		cached, ok := r.cached(s.BareJID())
		if !ok && !t.MayBlock() {
			return false
		}
		if !ok {
			var err error
			if cached, err = r.rosterFor(s.JID().Bare()); err != nil {
				r.cfg.Logger.Error("roster could not be read", "jid", s.FullJID(), "err", err)
				cached = ro
			}
		}
		ro = cached
		r.noteLast(s, nil)
	}
	mu := r.order(s.BareJID())
	defer mu.Unlock()
	r.leave(t, s, ro, func(b []byte, to string) []byte {
		return stanza.Head{Kind: stanza.Presence, Type: stanza.Unavailable, From: s.FullJID(), To: to}.AppendEmpty(b)
	}, false)
	for i := range r.exts {
		if f := r.exts[i].OnLeft; f != nil {
			f(t, s)
		}
	}
	return true
}

var _ session.Router = (*Router)(nil)
