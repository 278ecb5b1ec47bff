package router

import (
	"time"

	"roost/jid"
	"roost/session"
	"roost/stanza"
	"roost/store"
)

// Died implements NodeHandler. It tells everyone concerned that a resource has left (RFC
// 6121 section 4.5.2).
func (r *Router) Died(_ NodeID, account string, p Place) {
	if !p.Available {
		return
	}
	bare, err := jid.Parse(account)
	if err != nil {
		return
	}
	from, err := bare.WithResource(p.Resource)
	if err != nil {
		return
	}
	if err := r.died(from); err != nil {
		r.nodesFailed("the contacts of a resource whose node has died are told later", err)
		if !r.unannounced.add(from.Clone(), maxUnannounced) && r.nodeLog.Allow() {
			r.config().Logger.Warn("the contacts of resources whose node has died are not told, because the store cannot be read and too many wait", "limit", maxUnannounced)
		}
	}
}

// died is Died for an available resource.
func (r *Router) died(from jid.JID) error {
	account := from.BareString()
	t := r.sessions.NewTurn()
	defer t.End()
	ro, err := r.Roster(from.Bare())
	if err != nil {
		return err
	}
	r.locateAll(t, ro)
	if back, ok := findPlace(r.askPlaces(t, account), from.Resource()); ok && back.Available {
		return nil
	}
	r.announceDied(t, from, ro)
	// It may have come back meanwhile: its available presence has to be the last.
	if _, known := r.nodes.Cached(account); !known {
		_, _ = r.nodes.Current(r.ctx, account)
	}
	if back, ok := findPlace(r.knownPlaces(account), from.Resource()); ok {
		r.nodes.Send(back.Node, account, appendField(appendKind(nil, itemAnnounce), from.String()))
	}
	return nil
}

// maxUnannounced limits the resources of dead nodes whose contacts are told when the store can be
// read again: some 10 MB.
const maxUnannounced = 100_000

// announceDied sends the unavailable presence of a resource whose node has died, unless the
// resource is on this node now.
func (r *Router) announceDied(t *session.Turn, from jid.JID, ro *Roster) {
	mu := r.lockPresence(from.BareString())
	defer mu.Unlock()
	if r.resource(from) != nil {
		return
	}
	unavailable := func(b []byte, to string) []byte {
		return stanza.Head{Kind: stanza.Presence, Type: stanza.Unavailable, From: from.String(), To: to}.AppendEmpty(b)
	}
	bc := broadcast{from: from, leaving: true}
	elsewhere := make(addressees)
	tell := func(to jid.JID) {
		switch {
		case r.isRemote(to):
			r.toAvailable(t, from, to, ro.blocked, nil, unavailable)
		case to.BareString() == from.BareString() || !ro.blocked.Blocks(to):
			elsewhere.add(r, to.BareString())
			r.toAvailableHere(t, from, to.Bare(), ro.blocked, &bc, unavailable)
		}
	}
	for i := range ro.Items {
		if it := &ro.Items[i]; it.Subscription.HasFrom() {
			tell(it.JID)
		}
	}
	tell(from)
	last := store.LastActivity{Owner: from.Bare(), At: time.Now().UTC()}
	r.lastActivity.add(last)
	r.sendBroadcast(t, from, nil, unavailableXML, last, ro.blocked, elsewhere)
}
