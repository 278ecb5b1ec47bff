package router

import (
	"roost/jid"
	"roost/stanza"
	"roost/store"
)

// subState is the state of a subscription on one account's side: one of the nine states of
// RFC 6121 appendix A.1 (https://www.rfc-editor.org/rfc/rfc6121#appendix-A.1), and the
// pre-approval of section 3.4 (https://www.rfc-editor.org/rfc/rfc6121#section-3.4).
type subState struct {
	sub       store.Subscription
	ask       bool // Pending Out
	pendingIn bool // Pending In
	approved  bool
}

func stateOf(r *Roster, contact string) subState {
	it, _ := r.Item(contact)
	return subState{sub: it.Subscription, ask: it.Ask, approved: it.Approved, pendingIn: r.Pending(contact)}
}

// outbound implements appendix A.2 (https://www.rfc-editor.org/rfc/rfc6121#appendix-A.2):
// the account's own client sends a subscription stanza. It returns the next state and
// whether the stanza is routed to the contact.
func (s subState) outbound(event stanza.Type) (next subState, route bool) {
	next = s
	switch event {
	case stanza.Subscribe: // A.2.1: routed in every state
		next.ask = !s.sub.HasTo()
		return next, true
	case stanza.Unsubscribe: // A.2.2: routed in every state
		next.ask = false
		next.sub &^= store.To
		return next, true
	case stanza.Subscribed: // A.2.3
		if s.pendingIn {
			next.pendingIn = false
			next.sub |= store.From
			return next, true
		}
		// Section 3.4.2 (https://www.rfc-editor.org/rfc/rfc6121#section-3.4.2): without a
		// request, and without a subscription, this is a pre-approval.
		next.approved = s.approved || !s.sub.HasFrom()
		return next, false
	case stanza.Unsubscribed: // A.2.4
		next.pendingIn, next.approved = false, false
		next.sub &^= store.From
		return next, s.pendingIn || s.sub.HasFrom()
	}
	panic("router: BUG: not a subscription event")
}

// inbound implements appendix A.3 (https://www.rfc-editor.org/rfc/rfc6121#appendix-A.3): a
// subscription stanza from the contact arrives. It returns the next state, whether the
// stanza is delivered to the account's clients, and whether the server itself replies
// 'subscribed'.
func (s subState) inbound(event stanza.Type) (next subState, deliver, answer bool) {
	next = s
	switch event {
	case stanza.Subscribe: // A.3.1
		switch {
		case s.sub.HasFrom():
			return next, false, true
		case s.approved:
			next.sub |= store.From
			next.pendingIn = false
			return next, false, true
		}
		next.pendingIn = true
		return next, !s.pendingIn, false
	case stanza.Unsubscribe: // A.3.2
		next.pendingIn = false
		next.sub &^= store.From
		return next, s.pendingIn || s.sub.HasFrom(), false
	case stanza.Subscribed: // A.3.3
		if !s.ask {
			return next, false, false
		}
		next.ask = false
		next.sub |= store.To
		return next, true, false
	case stanza.Unsubscribed: // A.3.4
		next.ask = false
		next.sub &^= store.To
		return next, s.ask || s.sub.HasTo(), false
	}
	panic("router: BUG: not a subscription event")
}

// update converts the step from one state to the next into a roster change.
func (s subState) update(before *Roster, owner, contact jid.JID, next subState, request *store.Request) *change {
	c := &change{before: before}
	c.update.Owner = owner
	item, found := before.Item(contact.String())
	visible := s
	visible.pendingIn = next.pendingIn
	if visible != next && (found || next.sub != store.None || next.ask || next.approved) {
		item.JID = contact
		item.Subscription, item.Ask, item.Approved = next.sub, next.ask, next.approved
		c.item = item
		c.update.Put = &c.item
	}
	switch {
	case next.pendingIn && !s.pendingIn:
		c.update.AddRequest = request
	case s.pendingIn && !next.pendingIn:
		c.update.RemoveRequest = contact
	}
	return c
}
