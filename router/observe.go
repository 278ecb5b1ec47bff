package router

import (
	"slices"

	"roost/session"
	"roost/stanza"
)

// observed is set for a resource whose messages need more than delivery. It may also be set
// for others, which costs time but does no harm.
var observed = session.NewFlag("its messages are observed")

// Observe makes the router call the functions Sent, Recipient and Refused of the extensions
// for messages from and to a resource, as long as its session lasts. For all other resources,
// these functions cost one test of a flag per message.
func Observe(s *session.Session) { observed.Set(s) }

// ObserveOthers is Observe for all other resources of the account of s. A resource that is
// being bound is either among them, or the extension's function Bound has to observe it.
func (r *Router) ObserveOthers(s *session.Session) {
	r.observeAll(s.BareJID(), s)
	if r.nodes != nil {
		r.tell(s.BareJID(), s.BareJID(), appendKind(nil, itemObserve))
	}
}

// observeAll observes the resources of an account on this node, except one.
func (r *Router) observeAll(account string, except *session.Session) {
	for s := range r.Recipients(account, Everyone) {
		if s != except {
			Observe(s)
		}
	}
}

// observeReturned observes a session that has come into the tables or the directory with the state
// that it had before, if its account has other resources: they may have asked for copies. If it was
// missing there, they are observed, too, here and on their nodes: those that were bound meanwhile
// have not found it, and were not told if it has asked for copies.
func (r *Router) observeReturned(s *session.Session, others []Place, missing bool) {
	account := s.BareJID()
	switch {
	case len(others) == 0 && r.othersHere(s) == 0:
	case !missing:
		Observe(s)
	default:
		r.observeAll(account, nil)
		for _, n := range nodesOf(nil, others, anyPlace) {
			r.nodes.Send(n, account, appendKind(nil, itemObserve))
		}
	}
}

// runSent calls the functions for a message that a client has sent.
func (r *Router) runSent(t *session.Turn, from Sender, st *stanza.Stanza) {
	s := local(from)
	if s == nil || !observed.Has(s) {
		return
	}
	r.runSentHere(t, from, st)
	if r.nodes == nil {
		return
	}
	r.tellOthers(t, from, func() []byte {
		item := appendSender(appendKind(t.GetBuf(), itemSent), from)
		return stanza.AppendForward(item, st, stanza.Edit{From: address(from)})
	})
}

// runSentHere calls the functions for the resources of this node. The sender may be one of
// another node.
func (r *Router) runSentHere(t *session.Turn, from Sender, st *stanza.Stanza) {
	for i := range r.stages.sent {
		r.guarded(local(from), func() { r.stages.sent[i].f(t, from, st) })
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
	account := to.BareJID()
	var few [10]*session.Session
	here := r.messageRecipients(few[:0], from, account)
	for _, s := range here {
		r.runRecipient(t, from, s, st, s == to)
	}
	if r.nodes == nil {
		return
	}
	if !slices.Contains(here, to) { // it has just left
		here = append(here, to)
	}
	r.copyElsewhere(t, from, st, account, here)
}

// runRefused calls the functions for an error reply of the server to a stanza.
func (r *Router) runRefused(t *session.Turn, from Sender, st *stanza.Stanza, e *stanza.ErrorReply) {
	if st.Kind != stanza.Message {
		return
	}
	if s := local(from); s != nil && !observed.Has(s) || s == nil && !fromNode(from) {
		return
	}
	r.runRefusedHere(t, from, st, e)
	if r.nodes == nil {
		return
	}
	r.locate(t, bareOf(from))
	r.tellOthers(t, from, func() []byte {
		item := appendSender(appendKind(t.GetBuf(), itemRefused), from)
		for _, text := range []string{e.Type, e.Condition, e.Text, e.Extra} {
			item = appendField(item, text)
		}
		return stanza.AppendForward(item, st, stanza.Edit{From: address(from)})
	})
}

// runRefusedHere calls the functions for the resources of this node.
func (r *Router) runRefusedHere(t *session.Turn, from Sender, st *stanza.Stanza, e *stanza.ErrorReply) {
	for i := range r.stages.refused {
		r.guarded(local(from), func() { r.stages.refused[i].f(t, from, st, e) })
	}
}
