package router

import (
	"roost/jid"
	"roost/session"
	"roost/stanza"
)

// Route leads to domains that this server does not serve: those of a component (XEP-0114)
// or of other servers. An extension registers it. Stanzas from such a domain are routed
// with Router.Route and a Sender that has an address there.
//
// All methods may be called from any goroutine, also while an account's presence is locked.
// They must not block, and must not call the router.
type Route interface {
	// Serves reports whether the route leads to a domain, which is normalized.
	Serves(domain string) bool

	// Send queues one stanza. b is copied, and is in the form in which a client would get
	// it: its namespace is jabber:client. An error, if not nil, means that the route
	// refused the stanza, and is sent to the stanza's sender. If delivery fails later, the
	// route replies with an error stanza, using Router.Route.
	Send(t *session.Turn, from, to jid.JID, b []byte) *stanza.ErrorReply
}

// routeIndex returns the index in r.routes of the first route that leads to a domain, -1 if
// there is none.
func (r *Router) routeIndex(domain string) int {
	for i, route := range r.routes {
		if route.Serves(domain) {
			return i
		}
	}
	return -1
}

// routable returns the error for a stanza that may not go to a domain that this server does
// not serve, nil if it may. A stanza that arrived by a route must not leave by the same one:
// this server does not relay between other servers.
func (r *Router) routable(from Sender, domain string) (e *stanza.ErrorReply) {
	defer r.guardRoute(&e)
	i := r.routeIndex(domain)
	if i >= 0 {
		origin := from.JID().Domain()
		if r.Serves(origin) || r.routeIndex(origin) != i {
			return nil
		}
	}
	// RFC 6120 section 10.4.3 (https://www.rfc-editor.org/rfc/rfc6120#section-10.4.3):
	// a missing route is an error, never ignored.
	return stanza.RemoteServerNotFound
}

// guardRoute is deferred around calls of a route: if it panics, *e becomes the error for
// the sender of the stanza.
func (r *Router) guardRoute(e **stanza.ErrorReply) {
	if v := recover(); v != nil {
		r.sessions.Recovered(v, nil)
		*e = stanza.InternalServerError
	}
}

// isRemote reports whether an address can only be reached by a route.
func (r *Router) isRemote(j jid.JID) bool { return len(r.routes) > 0 && !r.Serves(j.Domain()) }

// sendRemote sends a stanza by a route. It returns the error for the stanza's sender, nil
// if the route took it.
func (r *Router) sendRemote(t *session.Turn, from, to jid.JID, b []byte) (e *stanza.ErrorReply) {
	defer r.guardRoute(&e)
	t.CountDelivery(len(b)) // even if no route accepts it
	i := r.routeIndex(to.Domain())
	if i < 0 {
		return stanza.RemoteServerNotFound
	}
	return r.routes[i].Send(t, from, to, b)
}

// forwardRemote forwards a stanza by a route. If the route refuses it, forwardRemote sends
// the error and returns false.
func (r *Router) forwardRemote(t *session.Turn, from Sender, st *stanza.Stanza) bool {
	b := stanza.AppendForward(t.GetBuf(), st, stanza.Edit{From: address(from)})
	e := r.sendRemote(t, from.JID(), st.To, b)
	t.PutBuf(b)
	if e != nil {
		r.Reply(t, from, st, e)
	}
	return e == nil
}

// probeRemote requests a remote contact's presence. RFC 6121 section 4.3.1
// (https://www.rfc-editor.org/rfc/rfc6121#section-4.3.1): the server "sends a presence
// probe from the bare JID <user@domainpart> of the user to the bare JID
// <contact@domainpart> of the contact".
func (r *Router) probeRemote(t *session.Turn, user, contact jid.JID) {
	h := stanza.Head{Kind: stanza.Presence, Type: stanza.Probe, From: user.BareString(), To: contact.BareString()}
	b := h.AppendEmpty(t.GetBuf())
	r.sendRemote(t, user.Bare(), contact.Bare(), b)
	t.PutBuf(b)
}

// eachPresence passes to send the presence of each available resource of an account,
// addressed to to. The caller holds the account's presence lock.
func (r *Router) eachPresence(t *session.Turn, of, to jid.JID, send func(from jid.JID, b []byte)) {
	for x := range r.Recipients(of.BareString(), Available) {
		if p := x.Presence(); p != nil && !bars(x, to) {
			b := p.AppendXML(t.GetBuf(), x.FullJID(), to.BareString(), nil)
			send(x.JID(), b)
			t.PutBuf(b)
		}
	}
}
