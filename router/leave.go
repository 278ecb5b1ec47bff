package router

import (
	"roost/jid"
	"roost/session"
	"roost/stanza"
	"roost/store"
)

// How a resource becomes unavailable, and directed presence, whose recipients are
// remembered for that.

// sendUnavailable sends the resources of an account unavailable presence of another
// account's resources (RFC 6121 section 3.2.2,
// https://www.rfc-editor.org/rfc/rfc6121#section-3.2.2).
func (r *Router) sendUnavailable(t *session.Turn, key string, of, to jid.JID) {
	r.tellPair(itemUnavailable, of.BareString(), key, of, to)
	r.sendUnavailableHere(t, of, to)
}

// sendUnavailableHere is sendUnavailable for the resources of this node.
func (r *Router) sendUnavailableHere(t *session.Turn, of, to jid.JID) {
	mu := r.lockPresence(of.BareString())
	defer mu.Unlock()
	for x := range r.Recipients(of.BareString(), Available) {
		r.toAvailable(t, x.JID(), to, blocklistOf(x), nil, unavailableOf(x))
	}
}

// unavailable handles broadcast presence of type 'unavailable' (RFC 6121 section 4.5,
// https://www.rfc-editor.org/rfc/rfc6121#section-4.5): it is sent to everyone who got the
// available presence, to everyone who got directed presence, and back to the resource
// itself.
func (r *Router) unavailable(t *session.Turn, s *session.Session, st *stanza.Stanza) session.Work {
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
	bc := broadcast{s: s, ro: ro, leaving: true, id: st.ID}
	b := stanza.AppendForward(t.GetBuf(), st, stanza.Edit{DropID: true, DropTo: true})
	bc.p = r.sessions.SharePresence(b)
	t.PutBuf(b)
	defer r.sessions.ReleasePresence(bc.p) // its bytes remain valid
	if r.unsetPresence(&bc) {
		if bc.available {
			bc.last = r.noteLastActivity(s, st)
		}
		r.broadcast(t, &bc)
	}
	return session.Done
}

// unsetPresence makes a resource unavailable before anyone is notified: from then on its
// presence is sent to no one. It returns false if the resource was replaced in the
// meantime, which was announced then.
func (r *Router) unsetPresence(bc *broadcast) bool {
	mu := r.lockPresence(bc.s.BareJID())
	defer mu.Unlock()
	if !bc.left && !bc.s.Bound() {
		return false
	}
	bc.available = concernsContacts(bc.s)
	owesEnd.Clear(bc.s)
	if bc.available {
		bc.ro = r.currentRoster(bc.s, bc.ro)
	}
	bc.directed = r.takeDirected(bc.s)
	bc.s.SetPresence(nil, 0)
	if !bc.left {
		r.updateElsewhere(bc.s, false, 0)
	}
	return true
}

// currentRoster returns an account's roster under its presence lock: a subscription that is
// being approved is either in it, or its subscriber is sent the new presence.
func (r *Router) currentRoster(s *session.Session, ro *Roster) *Roster {
	if newer, ok := r.cached(s.BareJID()); ok && !s.AuthenticatedBefore(newer.Generation) {
		return newer
	}
	return ro
}

// wasNotified reports whether the broadcast has already notified an address that got
// directed presence.
func (r *Router) wasNotified(s *session.Session, ro *Roster, to jid.JID) bool {
	if to.BareString() != s.BareJID() && !ro.Subscribed(to.BareString()) {
		return false
	}
	if to.Resource() == "" {
		return true
	}
	if x := r.resource(to); x != nil {
		return x.Available()
	}
	p, ok := findPlace(r.knownPlaces(to.BareString()), to.Resource())
	return ok && p.Available
}

func (r *Router) sendOne(t *session.Turn, to *session.Session, appendTo func([]byte, string) []byte) {
	b := appendTo(t.GetBuf(), to.BareJID())
	to.SendBytes(t, b)
	t.PutBuf(b)
}

// toDirected sends a presence to an address that got directed presence. It returns the
// error of a route that refuses it.
func (r *Router) toDirected(t *session.Turn, from, to jid.JID, appendTo func([]byte, string) []byte) *stanza.ErrorReply {
	if r.isRemote(to) {
		return r.toRemote(t, from, to, appendTo)
	}
	if to.Resource() == "" {
		r.toAvailable(t, from, to, nil, nil, appendTo)
		return nil
	}
	x := r.resource(to)
	if x == nil {
		r.directedElsewhere(t, from, to, appendTo)
	} else if !bars(x, from) {
		sendHeldFirst(t, x)
		b := appendTo(t.GetBuf(), to.String())
		x.SendBytes(t, b)
		t.PutBuf(b)
	}
	return nil
}

// directed handles directed presence (RFC 6121 section 4.6,
// https://www.rfc-editor.org/rfc/rfc6121#section-4.6): it is delivered, and its address is
// remembered, to notify it when the sender becomes unavailable. A sender's own server does
// this for a remote sender.
func (r *Router) directed(t *session.Turn, from Sender, st *stanza.Stanza, remote bool) {
	if !remote && st.To.Local() == "" {
		return // the server itself ignores presence
	}
	s := local(from)
	if s == nil {
		r.deliverDirected(t, from, st)
		return
	}
	// Under the lock, because no addresses must be added after the resource has left.
	mu := r.lockPresence(s.BareJID())
	defer mu.Unlock()
	if !s.Bound() {
		return
	}
	if st.Type == stanza.Unavailable {
		removeDirected(s, st.To.String())
	} else if !r.addDirected(s, st.To.Clone().String()) {
		r.Reply(t, from, st, stanza.ResourceConstraint.WithText("Too much directed presence."))
		return
	}
	r.deliverDirected(t, from, st)
}

func (r *Router) deliverDirected(t *session.Turn, from Sender, st *stanza.Stanza) {
	e := r.toDirected(t, from.JID(), st.To, func(b []byte, _ string) []byte {
		return stanza.AppendForward(b, st, stanza.Edit{From: address(from)})
	})
	if e != nil {
		r.Reply(t, from, st, e)
	}
}

// OnUnavailable announces that a resource has left without sending unavailable presence
// (RFC 6121 section 4.5.2, https://www.rfc-editor.org/rfc/rfc6121#section-4.5.2): to its
// subscribers, its account's other resources and everyone it sent directed presence to. It
// implements session.Router.
func (r *Router) OnUnavailable(t *session.Turn, s *session.Session) bool {
	ro, last := &Roster{}, store.LastActivity{}
	if !r.settleOwed(t, s) {
		return false
	}
	if concernsContacts(s) {
		own, need, err := r.tryOwnRoster(t, s)
		switch {
		case need != session.Done:
			return false
		case err != nil:
			r.LogError("roster could not be read", s.FullJID(), err)
		default:
			if r.locateContacts(t, s, own) != session.Done {
				return false
			}
			ro = own
		}
		last = r.noteLastActivity(s, nil)
	}
	r.left(t, s, ro, last)
	return true
}

// left announces that a resource has left, to ro's subscribers too if they have to be told.
func (r *Router) left(t *session.Turn, s *session.Session, ro *Roster, last store.LastActivity) {
	bc := broadcast{s: s, ro: ro, leaving: true, left: true, last: last}
	r.unsetPresence(&bc)
	r.broadcast(t, &bc)
}

// hasLeft is called when everyone has been notified that a resource is unavailable.
func (r *Router) hasLeft(t *session.Turn, bc *broadcast) {
	if !bc.left {
		return
	}
	for i := range r.stages.left {
		r.guarded(bc.s, func() { r.stages.left[i].f(t, bc.s) })
	}
}
