package router

import (
	"roost/jid"
	"roost/session"
	"roost/stanza"
)

// presence handles a presence stanza (RFC 6121 sections 3 and 4).
func (r *Router) presence(t *session.Turn, from Sender, st *stanza.Stanza, remote bool) session.Work {
	switch {
	case st.Type == stanza.UnknownType:
		// RFC 6121 section 4.7.1 (https://www.rfc-editor.org/rfc/rfc6121#section-4.7.1): an
		// unknown type is <bad-request/>.
		r.Reply(t, from, st, stanza.BadRequest)
		return session.Done
	case st.Type.IsSubscription():
		return r.subscription(t, from, st)
	case remote && (st.Type == stanza.Probe || st.Type == stanza.Error):
		r.forwardRemote(t, from, st)
		return session.Done
	}
	if st.HasTo {
		if need := r.locateTarget(t, from, st); need != session.Done {
			return need
		}
	}
	switch {
	case st.Type == stanza.Probe:
		return r.probe(t, from, st)
	case st.Type == stanza.Error:
		r.presenceError(t, from, st)
		return session.Done
	case st.HasTo:
		r.directed(t, from, st, remote)
		return session.Done
	}
	return r.ownPresence(t, from, st)
}

// ownPresence handles broadcast presence, which only resources of this server send here.
func (r *Router) ownPresence(t *session.Turn, from Sender, st *stanza.Stanza) session.Work {
	s := local(from)
	switch {
	case s == nil:
		r.Reply(t, from, st, stanza.BadRequest.WithText("The stanza has no 'to' address."))
		return session.Done
	case st.Type == stanza.Unavailable:
		return r.unavailable(t, s, st)
	}
	return r.available(t, s, st)
}

// presenceError delivers an error to the resource that it is addressed to, if any.
func (r *Router) presenceError(t *session.Turn, from Sender, st *stanza.Stanza) {
	if st.HasTo && st.To.Resource() != "" {
		to := r.resource(st.To)
		if to == nil {
			r.forwardElsewhere(t, from, st)
		} else if !bars(to, from.JID()) {
			r.forward(t, from, to, st)
		}
	}
}

// available handles broadcast presence without a type (RFC 6121 sections 4.2 and 4.4).
func (r *Router) available(t *session.Turn, s *session.Session, st *stanza.Stanza) session.Work {
	priority, ok := st.Priority()
	if !ok {
		r.Reply(t, s, st, stanza.BadRequest.WithText("The priority must be an integer from -128 to 127."))
		return session.Done
	}
	initial := !s.Available()
	// XEP-0160: messages are stored until a resource has a non-negative priority.
	nonNegative := priority >= 0 && (initial || s.Priority() < 0)
	ro, need, err := r.tryOwnRoster(t, s)
	switch {
	case need != session.Done:
		return need
	case err != nil:
		r.fault(t, s, st, "roster could not be read", err)
		return session.Done
	}
	if need = r.locateContacts(t, s, ro); need != session.Done {
		return need
	}
	bc := broadcast{s: s, ro: ro, id: st.ID, initial: initial, nonNegative: nonNegative}
	if r.setPresence(t, &bc, st, priority) {
		r.broadcast(t, &bc)
	}
	return session.Done
}

// setPresence makes a resource available. It returns false if the resource was replaced in
// the meantime, which was announced then.
func (r *Router) setPresence(t *session.Turn, bc *broadcast, st *stanza.Stanza, priority int8) bool {
	// Without its id, which differs between clients: the bytes are shared by all sessions
	// that sent the same presence.
	b := stanza.AppendForward(t.GetBuf(), st, stanza.Edit{DropID: true, DropTo: true})
	bc.p = r.sessions.SharePresence(b)
	t.PutBuf(b)
	mu := r.lockPresence(bc.s.BareJID())
	defer mu.Unlock()
	if !bc.s.Bound() {
		r.sessions.ReleasePresence(bc.p)
		return false
	}
	bc.s.SetPresence(bc.p, priority)
	owesEnd.Clear(bc.s)
	r.updateElsewhere(bc.s, true, priority)
	bc.ro = r.currentRoster(bc.s, bc.ro)
	return true
}

// deliverPending sends a resource that became available everything that is pending for it:
// the presence of others, requests, messages.
func (r *Router) deliverPending(t *session.Turn, bc *broadcast) {
	s := bc.s
	if bc.initial {
		r.sendContactPresence(t, s, bc.ro)
	}
	if bc.initial || bc.nonNegative {
		r.runAvailable(t, s, Availability{Initial: bc.initial, NonNegative: bc.nonNegative, Roster: bc.ro}, 0)
	}
}

// toAvailable sends a stanza to all available resources of an account, or to a remote bare
// JID by a route. RFC 6121 section 8.5.2.1.2
// (https://www.rfc-editor.org/rfc/rfc6121#section-8.5.2.1.2): presence also goes to
// resources with a negative priority. Those that the sender or the recipient has blocked
// get nothing; list is the sender's. Of a broadcast, those whose client is inactive get
// nothing yet; bc is nil for other presence.
func (r *Router) toAvailable(t *session.Turn, from, to jid.JID, list *Blocklist, bc *broadcast, appendTo func([]byte, string) []byte) {
	to = to.Bare()
	if r.isRemote(to) {
		if !list.Blocks(to) {
			r.toRemote(t, from, to, appendTo)
		}
		return
	}
	if bc == nil {
		r.availableElsewhere(t, from, to, list, appendTo)
	}
	r.toAvailableHere(t, from, to, list, bc, appendTo)
}

// toAvailableHere is toAvailable for the resources of this node.
func (r *Router) toAvailableHere(t *session.Turn, from, to jid.JID, list *Blocklist, bc *broadcast, appendTo func([]byte, string) []byte) {
	var b []byte
	for s := range r.Recipients(to.String(), Available) {
		if bars(s, from) || list != nil && list.Blocks(s.JID()) && s.BareJID() != from.BareString() {
			continue
		}
		if bc != nil && s.Inactive() && r.holdPresence(t, bc, s, appendTo) {
			continue
		}
		sendHeldFirst(t, s) // unavailable presence of the same sender may be held
		if b == nil {
			b = appendTo(t.GetBuf(), to.String())
		}
		s.SendBytes(t, b)
	}
	if b != nil {
		t.PutBuf(b)
	}
}

// toRemote sends a presence to a remote address by a route.
func (r *Router) toRemote(t *session.Turn, from, to jid.JID, appendTo func([]byte, string) []byte) *stanza.ErrorReply {
	b := appendTo(t.GetBuf(), to.String())
	defer t.PutBuf(b)
	return r.sendRemote(t, from, to, b)
}

// OnBind reads what a bound resource will need when it becomes available: the roster, and
// whether messages are stored. It implements session.Router.
func (r *Router) OnBind(t *session.Turn, s *session.Session, policy session.ConflictPolicy) *stanza.ErrorReply {
	if e := r.registerElsewhere(t, s, policy); e != nil {
		return e
	}
	known, ok := r.lookUp(s)
	if !ok {
		return stanza.NotAuthorized
	}
	for i := range r.stages.bound {
		r.guarded(s, func() { r.stages.bound[i].f(t, s, known) })
	}
	return nil
}

// Unlinked implements session.Router.
func (r *Router) Unlinked(s *session.Session) {
	if r.nodes != nil {
		r.nodes.Unregister(s.BareJID(), s.Resource())
	}
}

// lookUp reads the data of a resource's account. It returns false if there is no such
// account.
func (r *Router) lookUp(s *session.Session) (known Known, ok bool) {
	owner := s.JID().Bare()
	if ro, ok := r.cached(owner.String()); ok {
		r.learnBlocklist(s, ro)
		r.noteUse(s, ro)
		return known, !s.AuthenticatedBefore(ro.Generation)
	}
	// The session is already in the table, so a message that is stored from now on sets its
	// offlinePending.
	seen := r.changesOf(owner.String()).Load()
	state, err := r.config().Store.LoginState(r.ctx, owner)
	if err != nil {
		r.LogError("roster could not be read", s.FullJID(), err)
		return known, true
	}
	if state.Roster.Version == 0 || s.AuthenticatedBefore(state.Roster.Generation) {
		return known, false // or the name belongs to another account now
	}
	ro := newRoster(state.Roster)
	ro.used.Store(int64(state.Used))
	r.remember(owner, ro, seen)
	r.learnBlocklist(s, ro)
	r.noteUse(s, ro)
	return Known{Store: true, HasOffline: state.HasOffline}, true
}

var _ session.Router = (*Router)(nil)
