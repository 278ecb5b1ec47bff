package router

import (
	"errors"

	"roost/jid"
	"roost/session"
	"roost/stanza"
	"roost/store"
)

// message delivers a message (RFC 6121 section 8.5).
func (r *Router) message(t *session.Turn, from Sender, st *stanza.Stanza) session.Work {
	bare, isAccount := target(from, st)
	if !isAccount {
		// Nobody reads messages to the server itself.
		if st.Type != stanza.Headline {
			r.Reply(t, from, st, stanza.ServiceUnavailable)
		}
		return session.Done
	}
	if st.HasTo && st.To.IsFull() {
		// RFC 6121 section 8.5.3.1: a resource that matches gets it, whatever
		// its priority and whether it is available or not.
		if to := r.resource(st.To); to != nil && r.forward(t, from, to, st) {
			return session.Done
		}
		if st.Type != stanza.Chat {
			r.noResource(t, from, st)
			return session.Done
		}
		// RFC 6121 section 8.5.3.2.1: a chat message is treated as if it were
		// addressed to the bare JID.
	}
	return r.messageToBare(t, from, st, bare)
}

// noResource answers a message other than chat to a full JID that nobody has
// (RFC 6121 section 8.5.3.2.1).
func (r *Router) noResource(t *session.Turn, from Sender, st *stanza.Stanza) {
	if st.Type != stanza.Headline {
		r.Reply(t, from, st, stanza.ServiceUnavailable)
	}
}

// messageToBare delivers a message to the resources of an account (RFC 6121
// section 8.5.2).
func (r *Router) messageToBare(t *session.Turn, from Sender, st *stanza.Stanza, bare jid.JID) session.Work {
	switch st.Type {
	case stanza.Groupchat:
		// "the server MUST NOT deliver the stanza to any of the available
		// resources but instead MUST return a stanza error".
		r.Reply(t, from, st, stanza.ServiceUnavailable)
		return session.Done
	case stanza.Error:
		return session.Done // "MUST silently ignore the message"
	case stanza.Headline:
		r.deliver(t, from, st, bare.String(), false)
		return session.Done
	}
	if r.deliver(t, from, st, bare.String(), r.cfg.HighestOnly) {
		return session.Done
	}
	if !storable(st) {
		return session.Done
	}
	if !t.MayWrite() {
		return session.Write
	}
	r.keep(t, from, st, bare)
	return session.Done
}

// deliver sends a message to the available resources of an account that have a
// non-negative priority, all or only those with the highest, and reports
// whether any took it. RFC 6121 section 8.5.2.1.1: "the server MUST NOT deliver
// the stanza to any available resource with a negative priority".
func (r *Router) deliver(t *session.Turn, from Sender, st *stanza.Stanza, bare string, highestOnly bool) bool {
	least := 0
	if highestOnly {
		for to := range r.Recipients(bare, Available) {
			least = max(least, to.Priority())
		}
	}
	var b []byte
	taken := false
	for to := range r.Recipients(bare, NonNegative) {
		if to.Priority() < least {
			continue
		}
		if b == nil {
			b = stanza.AppendForward(t.Buf(), st, stanza.Edit{From: address(from)})
		}
		if to.SendBytes(t, b) {
			taken = true
		}
	}
	if b != nil {
		t.Keep(b)
	}
	return taken
}

// storable reports whether a message is worth keeping for later: one with a
// body, or with anything else that is more than a passing chat state (XEP-0160,
// XEP-0085).
func storable(st *stanza.Stanza) bool {
	if st.Root.Child("urn:xmpp:hints", "no-store").OK() {
		return false
	}
	for el := st.Root.First(); el.OK(); el = el.Next() {
		switch string(el.Space()) {
		case "http://jabber.org/protocol/chatstates", "urn:xmpp:hints":
			continue
		case stanza.NSClient:
			if string(el.Local()) == "thread" {
				continue
			}
		}
		return true
	}
	return false
}

// keep stores a message for an account that no resource of took it. An account
// that does not exist is treated like one that does: RFC 6120 section 13.10.2,
// a stranger does not learn which accounts exist.
func (r *Router) keep(t *session.Turn, from Sender, st *stanza.Stanza, bare jid.JID) {
	if r.cfg.MaxOffline < 0 {
		r.Reply(t, from, st, stanza.ServiceUnavailable)
		return
	}
	b := stanza.AppendForward(t.Buf(), st, stanza.Edit{From: address(from)})
	m := store.NewMessage{From: from.JID(), Stanza: b, Received: t.Now()}
	err := r.cfg.Store.AppendOffline(r.ctx, bare, m, r.offlineQuota())
	t.Keep(b)
	switch {
	case err == nil:
		r.flushLate(t, bare)
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrQuota):
		r.notKept(t, from, st, bare, err)
	default:
		r.fault(t, from, st, "message could not be kept", err)
	}
}

// notKept answers a message for which there is no space, or no account. RFC 6121
// section 8.1: "a server SHOULD return an error if the originating entity is in
// the user's roster (when the error would reveal whether the user's account
// exists)"; for anybody else both are silence, after the same one call of the store
// as for a message that is kept.
func (r *Router) notKept(t *session.Turn, from Sender, st *stanza.Stanza, bare jid.JID, err error) {
	if errors.Is(err, store.ErrContactQuota) || bare.String() == bareOf(from) {
		r.Reply(t, from, st, stanza.ServiceUnavailable)
	}
}
