package router

import (
	"roost/jid"
	"roost/session"
	"roost/stanza"
)

// message delivers a message (RFC 6121 section 8.5), and has the extensions see
// what has come of it.
func (r *Router) message(t *session.Turn, from Sender, st *stanza.Stanza, stage int, remote bool) (next int, need session.Work) {
	if stage == len(r.stages.incoming) {
		took, handled := r.deliverMessage(t, from, st, remote)
		if handled {
			return stage, session.Done
		}
		stage = r.deliveredStage(took)
	}
	return r.runDelivered(t, from, st, stage)
}

// deliverMessage delivers a message and reports whether a resource or a route took it, or
// whether it was refused or ignored.
func (r *Router) deliverMessage(t *session.Turn, from Sender, st *stanza.Stanza, remote bool) (took, handled bool) {
	if remote {
		took = r.forwardRemote(t, from, st)
		return took, !took
	}
	bare, isAccount := target(from, st)
	if !isAccount {
		// Nobody reads messages to the server itself.
		r.refuse(t, from, st)
		return false, true
	}
	if st.HasTo && st.To.IsFull() {
		// RFC 6121 section 8.5.3.1: a resource that matches gets it, whatever
		// its priority and whether it is available or not.
		if to := r.resource(st.To); to != nil && r.forward(t, from, to, st) {
			return true, false
		}
		if st.Type != stanza.Chat {
			r.refuse(t, from, st) // section 8.5.3.2.1
			return false, true
		}
		// RFC 6121 section 8.5.3.2.1: a chat message is treated as if it were
		// addressed to the bare JID.
	}
	return r.messageToBare(t, from, st, bare)
}

// refuse returns an error for a message that nobody gets, unless it is a headline.
func (r *Router) refuse(t *session.Turn, from Sender, st *stanza.Stanza) {
	if st.Type != stanza.Headline {
		r.Reply(t, from, st, stanza.ServiceUnavailable)
	}
}

// messageToBare delivers a message to the resources of an account (RFC 6121
// section 8.5.2).
func (r *Router) messageToBare(t *session.Turn, from Sender, st *stanza.Stanza, bare jid.JID) (took, handled bool) {
	switch st.Type {
	case stanza.Groupchat:
		// "the server MUST NOT deliver the stanza to any of the available
		// resources but instead MUST return a stanza error".
		r.Reply(t, from, st, stanza.ServiceUnavailable)
		return false, true
	case stanza.Error:
		return false, true // "MUST silently ignore the message"
	case stanza.Headline:
		return r.deliver(t, from, st, bare.String(), false), false
	}
	return r.deliver(t, from, st, bare.String(), r.cfg.HighestOnly), false
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
			b = stanza.AppendForward(t.GetBuf(), st, stanza.Edit{From: address(from)})
		}
		if to.SendBytes(t, b) {
			taken = true
		}
	}
	if b != nil {
		t.PutBuf(b)
	}
	return taken
}
