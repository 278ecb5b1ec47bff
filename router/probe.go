package router

import (
	"slices"

	"roost/jid"
	"roost/session"
	"roost/stanza"
)

// probe replies to a presence probe (RFC 6121 section 4.3.2,
// https://www.rfc-editor.org/rfc/rfc6121#section-4.3.2).
func (r *Router) probe(t *session.Turn, from Sender, st *stanza.Stanza) session.Work {
	if !st.HasTo || st.To.Local() == "" {
		return session.Done
	}
	contact := st.To.BareString()
	ro, barred, need, err := r.forProbe(t, from, st.To.Bare())
	switch {
	case need != session.Done:
		return need
	case err != nil:
		r.fault(t, from, st, "probe could not be answered", err)
		return session.Done
	case barred:
		// "For presence stanzas (including notifications, subscriptions, and probes), the
		// server MUST NOT respond and MUST NOT return an error"
		// (https://xmpp.org/extensions/xep-0191.html#block).
		return session.Done
	}
	subscribed := contact == bareOf(from) || ro.Subscribed(bareOf(from))
	unknown := !fromNode(from) && !r.isKnown(contact)
	if unknown && !t.MayBlock() {
		return session.Read // it was known a moment ago
	}
	if st.To.Resource() != "" {
		r.probeFull(t, from, st, ro, subscribed && unknown)
		return session.Done
	}
	switch {
	case subscribed && r.isAvailable(contact, r.placesFor(from, contact)):
		r.answerAvailable(t, from, st.To, ro)
	case r.probeDirected(t, from, st):
	case !subscribed:
		r.refuseProbe(t, from, st)
	case unknown: // any node may have it
		r.answerAvailable(t, from, st.To, ro)
	case !t.MayBlock():
		return session.Read
	default:
		r.sendLastActivity(t, from, st)
	}
	return session.Done
}

// probeFull replies to a probe to a full JID, here or on the node that has the resource. If that is
// unknown and the contact may be seen, there is no reply: the resource may be available, and the
// other nodes would reveal all of them.
func (r *Router) probeFull(t *session.Turn, from Sender, st *stanza.Stanza, ro *Roster, unknown bool) {
	if r.resource(st.To) == nil && (r.forwardElsewhere(t, from, st) || unknown) {
		return
	}
	r.probeResource(t, from, st, ro)
}

// isAvailable reports whether an account has available resources, here or at places on other nodes.
func (r *Router) isAvailable(account string, elsewhere []Place) bool {
	return r.HasRecipients(account, Available) || slices.ContainsFunc(elsewhere, func(p Place) bool { return p.Available })
}

// answerAvailable replies to a probe with the presence of an account's resources. A local
// client gets it as fast as it reads; remote senders have their own limits. If it is not known
// where the resources are, all nodes are asked, and nobody says that there are none.
func (r *Router) answerAvailable(t *session.Turn, from Sender, contact jid.JID, ro *Roster) {
	if s := local(from); s != nil {
		r.sendPresenceOf(t, s, contact.BareString())
		return
	}
	r.probeElsewhere(t, from, contact.BareString())
	mu := r.lockPresence(contact.BareString())
	defer mu.Unlock()
	if r.subscribedNow(ro, contact.BareString(), bareOf(from)) {
		r.eachPresence(t, contact, from.JID(), func(_ jid.JID, b []byte) { from.SendBytes(t, b) })
	}
}

// subscribedNow reports whether an account may see a contact's presence. ro is the
// contact's roster as it was read; if there is a newer one in memory, that one counts. So
// while the caller holds the contact's presence lock, it reveals no resource to an
// account that was already notified of the end of the subscription. If ro is nil, the account
// is a stranger, whatever is in memory.
func (r *Router) subscribedNow(ro *Roster, contact, account string) bool {
	if ro == nil {
		return false
	}
	if newer, ok := r.cached(contact); ok {
		ro = newer
	}
	return contact == account || ro.Subscribed(account)
}

// refuseProbe replies to a probe by an entity that may not see the contact's presence; the
// reply is the same if the account does not exist. RFC 6121 section 4.3.2, rule 1
// (https://www.rfc-editor.org/rfc/rfc6121#section-4.3.2): "the 'from' address MUST be the
// bare JID of the contact, since specifying a full JID would constitute a presence leak".
func (r *Router) refuseProbe(t *session.Turn, from Sender, st *stanza.Stanza) {
	answerProbe(t, from, st, stanza.Unsubscribed, st.To.BareString(), true)
}

// probeResource replies to a probe to a full JID. RFC 6121 section 4.3.2
// (https://www.rfc-editor.org/rfc/rfc6121#section-4.3.2): "the server MUST NOT return
// presence information about any resource except the resource specified by the 'to' address
// of the probe", and of that one "only the fact that the resource is available".
func (r *Router) probeResource(t *session.Turn, from Sender, st *stanza.Stanza, ro *Roster) {
	mu := r.lockPresence(st.To.BareString())
	defer mu.Unlock()
	subscribed := r.subscribedNow(ro, st.To.BareString(), bareOf(from))
	x := r.resource(st.To)
	switch {
	case x != nil && x.Available() && subscribed:
		// Section 4.3.2.1 (https://www.rfc-editor.org/rfc/rfc6121#section-4.3.2.1): an
		// available resource's presence does not have the id of the probe. It SHOULD have
		// its own id, which is not stored: see setPresence.
		answerProbe(t, from, st, stanza.Available, x.FullJID(), false)
	case x != nil && sentDirected(x, from):
		answerProbe(t, from, st, stanza.Available, x.FullJID(), true)
	case subscribed:
		answerProbe(t, from, st, stanza.Unavailable, st.To.String(), true)
	default:
		r.refuseProbe(t, from, st)
	}
}

// probeDirected replies to a probe on behalf of the contact's resources that have sent
// directed presence to the probing entity, and reports whether there are any. RFC 6121
// section 4.6.6 (https://www.rfc-editor.org/rfc/rfc6121#section-4.6.6): without a
// subscription "the server MUST check if the user has sent directed presence to the entity
// during its current session; if so, the server SHOULD answer the probe with only mere
// presence".
func (r *Router) probeDirected(t *session.Turn, from Sender, st *stanza.Stanza) bool {
	mu := r.lockPresence(st.To.BareString())
	defer mu.Unlock()
	found := false
	for x := range r.Recipients(st.To.BareString(), Connected) {
		if sentDirected(x, from) {
			answerProbe(t, from, st, stanza.Available, x.FullJID(), true)
			found = true
		}
	}
	return found
}

// sentDirected reports whether a resource has sent directed presence to a sender, or to the
// sender's bare JID.
func sentDirected(from *session.Session, to Sender) bool {
	return sentTo(from, address(to)) || sentTo(from, bareOf(to))
}

// answerProbe sends presence without content. RFC 6121 section 4.3.2.1
// (https://www.rfc-editor.org/rfc/rfc6121#section-4.3.2.1): without an available resource
// or a subscription "the contact's server SHOULD mirror the 'id' of the user's presence
// probe".
func answerProbe(t *session.Turn, to Sender, st *stanza.Stanza, typ stanza.Type, of string, mirror bool) {
	h := stanza.Head{Kind: stanza.Presence, Type: typ, From: of, To: bareOf(to)}
	if mirror {
		h.ID = string(st.ID)
	}
	b := h.AppendEmpty(t.GetBuf())
	to.SendBytes(t, b)
	t.PutBuf(b)
}

// sendLastActivity replies to a probe with the time when the account was last available:
// unavailable presence with a delay stamp (RFC 6121 section 4.3.2, rule 3).
func (r *Router) sendLastActivity(t *session.Turn, from Sender, st *stanza.Stanza) {
	of := st.To.Bare()
	h := stanza.Head{Kind: stanza.Presence, Type: stanza.Unavailable, ID: string(st.ID), From: of.String(), To: bareOf(from)}
	b := h.AppendEmpty(t.GetBuf())
	if last, err := r.LastActivity(of); err == nil {
		b = h.AppendStart(b[:0])
		b = appendStatus(b, last)
		b = stanza.AppendDelay(b, of.String(), last.At)
		b = append(b, "</presence>"...)
	}
	r.locate(t, of.String()) // it may have changed while this has waited for the store
	r.unlessAvailable(of, func() { from.SendBytes(t, b) })
	t.PutBuf(b)
}

// unlessAvailable calls f unless the account has become available in the meantime, or may have: its
// unavailable presence would arrive after the available one and override it.
func (r *Router) unlessAvailable(of jid.JID, f func()) {
	mu := r.lockPresence(of.String())
	defer mu.Unlock()
	if account := of.String(); r.isKnown(account) && !r.isAvailable(account, r.knownPlaces(account)) {
		f()
	}
}
