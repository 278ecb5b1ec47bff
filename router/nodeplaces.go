package router

import (
	"slices"
	"strings"

	"roost/session"
	"roost/stanza"
)

// Where the resources of accounts are on other nodes. Without a cluster, all of these
// functions return at once, with nothing.

// Join connects the router with the other nodes of a cluster. It must be called before the
// first client connects.
func (r *Router) Join(n Nodes) { r.nodes = n }

// knownPlaces returns an account's places on other nodes that are in memory, or none if they
// are not, which is the case if the directory cannot be reached: see locate.
func (r *Router) knownPlaces(account string) []Place {
	if r.nodes == nil {
		return nil
	}
	places, _ := r.cachedPlaces(account)
	return places
}

// cachedPlaces returns an account's places on other nodes, if they are in memory. While a
// session moves, it is in the tables of both nodes: what is sent here must reach it once, so
// its place on the other node does not count.
func (r *Router) cachedPlaces(account string) (places []Place, ok bool) {
	places, ok = r.nodes.Cached(account)
	if len(places) == 0 || r.moves.count.Load() == 0 {
		return places, ok
	}
	for s := range r.Recipients(account, Everyone) {
		if i := slices.IndexFunc(places, func(p Place) bool { return p.Resource == s.Resource() }); i >= 0 {
			places = slices.Delete(slices.Clone(places), i, i+1)
		}
	}
	return places, ok
}

// askPlaces is knownPlaces for a turn that may block.
func (r *Router) askPlaces(t *session.Turn, account string) []Place {
	r.locate(t, account)
	return r.knownPlaces(account)
}

// placesOf returns the places of accounts on other nodes, also of those that are not in memory.
func (r *Router) placesOf(accounts []string) ([][]Place, error) {
	if r.nodes == nil {
		return make([][]Place, len(accounts)), nil
	}
	return r.nodes.Places(r.ctx, accounts)
}

// placesFor returns an account's places on other nodes for a stanza of this sender: none if
// the stanza was sent here because of its recipient.
func (r *Router) placesFor(from Sender, account string) []Place {
	if r.nodes == nil || fromNode(from) {
		return nil
	}
	return r.knownPlaces(account)
}

// isKnown reports whether an account's places are in memory, or need not be because the account
// is "" or there is no cluster.
func (r *Router) isKnown(account string) bool {
	if r.nodes == nil || account == "" {
		return true
	}
	_, ok := r.nodes.Cached(account)
	return ok
}

// locate makes sure that the places of an account are in memory, if the directory can be
// reached. On a turn that must not block it returns Read if they are not.
func (r *Router) locate(t *session.Turn, account string) session.Work {
	if r.isKnown(account) {
		return session.Done
	}
	return r.askDirectory(t, account)
}

// locateEach is locate for several accounts.
func (r *Router) locateEach(t *session.Turn, accounts []string) session.Work {
	for _, account := range accounts {
		if !r.isKnown(account) {
			return r.askDirectory(t, accounts...)
		}
	}
	return session.Done
}

// askDirectory asks for the places of accounts, or returns Read on a turn that must not block.
func (r *Router) askDirectory(t *session.Turn, accounts ...string) session.Work {
	if !t.MayBlock() {
		return session.Read
	}
	if _, err := r.nodes.Places(r.ctx, accounts); err != nil {
		r.nodesFailed("resources on other nodes could not be looked up", err)
	}
	return session.Done
}

// locateTarget is locate for the account that a stanza is for, and for the sender's own if
// its messages are copied. A stanza that has come from another node stays here.
func (r *Router) locateTarget(t *session.Turn, from Sender, st *stanza.Stanza) session.Work {
	if r.nodes == nil || fromNode(from) {
		return session.Done
	}
	var recipient, sender string
	if account, ok := target(from, st); ok && r.Serves(account.Domain()) {
		recipient = account.String()
	}
	if own := local(from); st.Kind == stanza.Message && own != nil && observed.Has(own) {
		sender = own.BareJID()
	}
	if r.isKnown(recipient) && r.isKnown(sender) {
		return session.Done
	}
	return r.askDirectory(t, slices.DeleteFunc([]string{recipient, sender}, func(a string) bool { return a == "" })...)
}

// locateContacts is locate for those who are concerned by a session's presence.
func (r *Router) locateContacts(t *session.Turn, s *session.Session, ro *Roster) session.Work {
	if r.nodes == nil {
		return session.Done
	}
	accounts := make([]string, 1, 1+len(ro.Items))
	accounts[0] = s.BareJID()
	for i := range ro.Items {
		if it := &ro.Items[i]; it.Subscription != 0 && r.Serves(it.JID.Domain()) {
			accounts = append(accounts, it.JID.BareString())
		}
	}
	for _, address := range directed(s) {
		bare, _, _ := strings.Cut(address, "/")
		accounts = append(accounts, bare)
	}
	return r.locateEach(t, accounts)
}

// locateAll is locate for all contacts, on a turn that may block.
func (r *Router) locateAll(t *session.Turn, ro *Roster) {
	if r.nodes == nil {
		return
	}
	var accounts []string
	for i := range ro.Items {
		if j := ro.Items[i].JID; r.Serves(j.Domain()) {
			accounts = append(accounts, j.BareString())
		}
	}
	r.locateEach(t, accounts)
}

// nodesFailed logs an error of the cluster, which may concern very many stanzas.
func (r *Router) nodesFailed(what string, err error) {
	if r.nodeLog.Allow() {
		r.config().Logger.Warn(what, "err", err)
	}
}

// notResumed logs why a session of another node is not resumed. Very many may be at the same time.
func (r *Router) notResumed(what, account string, err error) {
	if r.nodeLog.Allow() {
		r.config().Logger.Warn(what, "jid", account, "err", err)
	}
}

// unreached returns the error for a stanza that no resource gets. If that is only because the
// directory or a node could not be reached, it is <remote-server-timeout/>, which tells the
// sender to try again later (RFC 6120 section 8.3.3.16,
// https://www.rfc-editor.org/rfc/rfc6120#section-8.3.3.16).
func (r *Router) unreached(from Sender, st *stanza.Stanza) *stanza.ErrorReply {
	if n, ok := from.(*nodeSender); ok && n.undelivered {
		return stanza.RemoteServerTimeout
	}
	if r.nodes == nil || fromNode(from) || !st.HasTo || st.To.Local() == "" || !r.Serves(st.To.Domain()) || r.resource(st.To) != nil {
		return stanza.ServiceUnavailable
	}
	if _, known := r.nodes.Cached(st.To.BareString()); known {
		return stanza.ServiceUnavailable
	}
	return stanza.RemoteServerTimeout
}

// findPlace returns the place with a resource.
func findPlace(places []Place, resource string) (p Place, ok bool) {
	for _, p := range places {
		if p.Resource == resource {
			return p, true
		}
	}
	return Place{}, false
}

// isNonNegative is NonNegative for places.
func isNonNegative(p *Place) bool { return p.Available && p.Priority >= 0 }

// nodesOf returns the nodes of the places for which which is true, each once. dst is used
// for the result if it is large enough.
func nodesOf(dst []NodeID, places []Place, which func(*Place) bool) []NodeID {
	dst = dst[:0]
	for i := range places {
		if n := places[i].Node; which(&places[i]) && !slices.Contains(dst, n) {
			dst = append(dst, n)
		}
	}
	return dst
}

func anyPlace(*Place) bool { return true }

// nodesWith returns the nodes that have resources of an account for which which is true, or,
// if these are not known, all nodes. dst is used for the result if it is large enough.
func (r *Router) nodesWith(dst []NodeID, account string, which func(*Place) bool) []NodeID {
	if r.nodes == nil {
		return nil
	}
	places, ok := r.cachedPlaces(account)
	if !ok {
		return r.nodes.Others()
	}
	return nodesOf(dst, places, which)
}

// tell sends an item to the nodes that have resources of an account. key is the account for
// which items are kept in order.
func (r *Router) tell(account, key string, item []byte) {
	for _, n := range r.nodesWith(nil, account, anyPlace) {
		r.nodes.Send(n, key, item)
	}
}
