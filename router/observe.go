package router

import (
	"roost/session"
	"roost/stanza"
)

// observed is set for a resource whose messages need more than delivery. It may be set for
// others too: that costs time, and nothing else.
var observed = session.NewFlag("its messages are observed")

// Observe makes the functions Sent, Recipient and Refused of the extensions be called for the
// messages from and to a resource, as long as its session lasts. For all other resources
// they cost a message one test of a flag.
func Observe(s *session.Session) { observed.Set(s) }

// runSent calls the functions for a message that a client has sent.
func (r *Router) runSent(t *session.Turn, from Sender, st *stanza.Stanza) {
	s := local(from)
	if s == nil || !observed.Has(s) {
		return
	}
	for i := range r.stages.sent {
		r.guarded(s, func() { r.stages.sent[i].f(t, s, st) })
	}
}

// runRecipient calls the functions for a resource of the account that a message is
// delivered to.
func (r *Router) runRecipient(t *session.Turn, from Sender, s *session.Session, st *stanza.Stanza, took bool) {
	for i := range r.stages.recipient {
		r.guarded(local(from), func() { r.stages.recipient[i].f(t, from, s, st, took) })
	}
}

// runRecipients is runRecipient for all resources of an account, of which only to got the
// message.
func (r *Router) runRecipients(t *session.Turn, from Sender, to *session.Session, st *stanza.Stanza) {
	if !observed.Has(to) {
		return
	}
	for s := range r.Recipients(to.BareJID(), Connected) {
		r.runRecipient(t, from, s, st, s == to)
	}
}

// runRefused calls the functions for an error reply of the server to a stanza.
func (r *Router) runRefused(t *session.Turn, from Sender, st *stanza.Stanza, e *stanza.ErrorReply) {
	s := local(from)
	if s == nil || st.Kind != stanza.Message || !observed.Has(s) {
		return
	}
	for i := range r.stages.refused {
		r.guarded(s, func() { r.stages.refused[i].f(t, s, st, e) })
	}
}
