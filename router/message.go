package router

import (
	"roost/jid"
	"roost/session"
	"roost/stanza"
)

// message delivers a message (RFC 6121 section 8.5,
// https://www.rfc-editor.org/rfc/rfc6121#section-8.5), and informs the extensions of the
// outcome.
func (r *Router) message(t *session.Turn, from Sender, st *stanza.Stanza, stage int, remote bool) (next int, need session.Work) {
	if stage == len(r.stages.incoming) {
		if need = r.locateTarget(t, from, st); need != session.Done {
			return stage, need
		}
		durable := !remote && r.isDurable(from, st)
		if durable && !t.MayWrite() {
			return stage, session.Write
		}
		limited, need := r.strangers.message(t, from, st)
		if need != session.Done {
			return stage, need
		}
		r.runSent(t, from, st)
		if limited != nil {
			countMessage(t, st, messageRefused)
			r.Reply(t, from, st, limited)
			return stage, session.Done
		}
		var taken Taken
		var handled bool
		if durable {
			taken, handled = r.deliverDurably(t, from, st)
		} else {
			taken, handled = r.deliverMessage(t, from, st, remote)
		}
		if handled || taken == takenElsewhere {
			return stage, session.Done
		}
		if taken != NotTaken && taken != TakenByStore {
			countMessage(t, st, messageDelivered)
		} // else it is counted where it is stored
		stage = r.deliveredStage(taken)
	}
	return r.runDelivered(t, from, st, stage)
}

// deliverMessage delivers a message and returns who received it, or reports that it was
// refused or ignored.
func (r *Router) deliverMessage(t *session.Turn, from Sender, st *stanza.Stanza, remote bool) (taken Taken, handled bool) {
	if remote {
		if !r.forwardRemote(t, from, st) {
			countMessage(t, st, messageRefused)
			return NotTaken, true
		}
		return TakenByRoute, false
	}
	bare, isAccount := target(from, st)
	if !isAccount {
		// The server itself has no use for messages.
		r.refuse(t, from, st)
		return NotTaken, true
	}
	if st.HasTo && st.To.IsFull() {
		// RFC 6121 section 8.5.3.1: a matching resource gets it, whatever its priority and
		// whether it is available or not.
		to := r.resource(st.To)
		if to != nil && bars(to, from.JID()) {
			r.refuse(t, from, st)
			return NotTaken, true
		}
		if to != nil && waitsForOffline(to, st) {
			return NotTaken, false
		}
		if to != nil && r.forward(t, from, to, st) {
			r.runRecipients(t, from, to, st)
			return TakenByOne, false
		}
		if to != nil && to.Replaced() && storable(st) {
			return NotTaken, false // it is stored, after what was sent to the session that leaves
		}
		if to == nil && r.messageElsewhere(t, from, st, bare.String(), 0) {
			return takenElsewhere, false
		}
		if st.Type != stanza.Chat {
			r.refuse(t, from, st) // section 8.5.3.2.1
			return NotTaken, true
		}
		// RFC 6121 section 8.5.3.2.1: a chat message is treated as if it were
		// addressed to the bare JID.
	}
	return r.messageToBare(t, from, st, bare)
}

// refuse sends an error for a message that was not delivered, unless it is a headline. So a
// user who has blocked the sender "will appear offline to the blocked JID"
// (https://xmpp.org/extensions/xep-0191.html#block): "For message stanzas, the server SHOULD
// return an error, which SHOULD be <service-unavailable/>".
func (r *Router) refuse(t *session.Turn, from Sender, st *stanza.Stanza) {
	if st.Type == stanza.Headline || !st.CanError() {
		countMessage(t, st, messageDropped)
		return
	}
	countMessage(t, st, messageRefused)
	r.Reply(t, from, st, r.unreached(from, st))
}

// messageToBare delivers a message to the resources of an account (RFC 6121 section 8.5.2,
// https://www.rfc-editor.org/rfc/rfc6121#section-8.5.2).
func (r *Router) messageToBare(t *session.Turn, from Sender, st *stanza.Stanza, bare jid.JID) (taken Taken, handled bool) {
	switch st.Type {
	case stanza.Groupchat:
		// "the server MUST NOT deliver the stanza to any of the available resources but
		// instead MUST return a stanza error"
		// (https://www.rfc-editor.org/rfc/rfc6121#section-8.5.2.1.1).
		countMessage(t, st, messageRefused)
		r.Reply(t, from, st, stanza.ServiceUnavailable)
		return NotTaken, true
	case stanza.Error:
		countMessage(t, st, messageDropped)
		// "the server MUST silently ignore the message"
		// (https://www.rfc-editor.org/rfc/rfc6121#section-8.5.2.1.1).
		return NotTaken, true
	}
	taken, barred := r.deliver(t, from, st, bare.String(), 0)
	if barred {
		r.refuse(t, from, st)
	}
	return taken, barred
}

// deliver sends a message to the available resources of an account that have a non-negative
// priority, either all or only those with the highest, and reports whether they took it. If
// the account has blocked the sender, none gets it. id is that of a message that is in the
// store, otherwise 0; see sendAppended.
// RFC 6121 section 8.5.2.1.1 (https://www.rfc-editor.org/rfc/rfc6121#section-8.5.2.1.1):
// "the server MUST NOT deliver the stanza to any available resource with a negative
// priority".
func (r *Router) deliver(t *session.Turn, from Sender, st *stanza.Stanza, bare string, id int64) (taken Taken, barred bool) {
	var few [10]*session.Session // enough to allocate nothing
	here := r.messageRecipients(few[:0], from, bare)
	taken, barred = r.deliverHere(t, from, st, bare, here, id)
	if !barred && r.deliverElsewhere(t, from, st, bare, here, id, taken) {
		taken = takenElsewhere
	}
	return taken, barred
}

// deliverHere is deliver for these resources of this node.
func (r *Router) deliverHere(t *session.Turn, from Sender, st *stanza.Stanza, bare string, here []*session.Session, id int64) (taken Taken, barred bool) {
	least := r.leastPriority(bare, st)
	var few [10]*session.Session
	takers := few[:0]
	for _, to := range here {
		if bars(to, from.JID()) {
			return NotTaken, true
		}
		if !NonNegative(to) || to.Priority() < least {
			r.runRecipient(t, from, to, st, false)
			continue
		}
		if waitsForOffline(to, st) {
			continue
		}
		takers = append(takers, to)
	}
	if len(takers) == 0 {
		return NotTaken, false
	}
	b := stanza.AppendForward(t.GetBuf(), st, stanza.Edit{From: address(from)})
	ok := false
	if id != 0 {
		ok = r.sendAppended(t, takers, b, id)
	} else {
		ok = r.sendToAccount(t, takers, from, st, b, here, least)
	}
	t.PutBuf(b)
	for _, to := range takers {
		if observed.Has(to) {
			r.runRecipient(t, from, to, st, true)
		}
	}
	if !ok {
		return NotTaken, false
	}
	return TakenByAll, false
}

// sendCopies sends a message to resources of an account, and reports whether one took it.
func (r *Router) sendCopies(t *session.Turn, to []*session.Session, b []byte, flags session.CopyFlags) (taken bool) {
	c := r.sessions.NewCopies(len(to))
	failed := 0
	for _, s := range to {
		if !s.SendCopy(t, b, c, flags) {
			failed++
		}
	}
	if failed == len(to) {
		return false
	}
	// Those that did not take it cannot acknowledge it.
	return failed == 0 || c == 0 || session.CopiesFailed(to, c, failed)
}

// leastPriority returns the lowest priority of the resources that get a message to the
// account.
func (r *Router) leastPriority(account string, st *stanza.Stanza) int {
	least := 0
	if r.config().HighestOnly && st.Type != stanza.Headline {
		for to := range r.Recipients(account, Available) {
			least = max(least, to.Priority())
		}
		for _, p := range r.knownPlaces(account) {
			if p.Available {
				least = max(least, int(p.Priority))
			}
		}
	}
	return least
}

// Taken says who received a message that was delivered.
type Taken uint8

// The values of Taken.
const (
	NotTaken     Taken = iota // no one
	TakenByOne                // the resource that it was addressed to
	TakenByAll                // the resources of the account that get messages to its bare JID
	TakenByRoute              // a route to another domain
	TakenByStore              // no one yet: with Config.Durable, it is in the store and waits for a resource

	takenValues // the number of values

	takenElsewhere // another node sees to it: extensions are told there
)

// Took reports whether s, a resource of the account that a message was for, is among those
// that received it. For TakenByAll this depends on the current priority of s.
func (r *Router) Took(s *session.Session, st *stanza.Stanza, taken Taken) bool {
	switch taken {
	case TakenByOne:
		return s.Resource() == st.To.Resource()
	case TakenByAll:
		return NonNegative(s) && s.Priority() >= r.leastPriority(s.BareJID(), st)
	}
	return false
}
