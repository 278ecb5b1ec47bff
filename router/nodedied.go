package router

import (
	"maps"
	"slices"
	"time"

	"roost/jid"
	"roost/session"
	"roost/stanza"
	"roost/store"
)

// Died implements NodeHandler. It tells everyone concerned that resources have left (RFC
// 6121 section 4.5.2).
func (r *Router) Died(_ NodeID, all []Death) {
	left := make([]jid.JID, 0, len(all))
	for i := range all {
		if d := &all[i]; d.Place.Available {
			bare, err := jid.Parse(d.Account)
			if err != nil {
				continue
			}
			if from, err := bare.WithResource(d.Place.Resource); err == nil {
				left = append(left, from)
			}
		}
	}
	err := r.died(left)
	if err == nil {
		return
	}
	r.nodesFailed("the contacts of resources whose node has died are told later", err)
	for _, from := range left {
		if !r.unannounced.add(from.Clone(), maxUnannounced) && r.nodeLog.Allow() {
			r.config().Logger.Warn("the contacts of resources whose node has died are not told, because the store or the cluster's directory cannot be read and too many wait", "limit", maxUnannounced)
		}
	}
}

// diedOne is died for one resource.
func (r *Router) diedOne(from jid.JID) error { return r.died([]jid.JID{from}) }

// died is Died for available resources. It reads what it needs to know of all of them at once:
// to ask for each alone takes longer than all the rest.
func (r *Router) died(left []jid.JID) error {
	if len(left) == 0 {
		return nil
	}
	t := r.sessions.NewTurn()
	defer t.End()
	owners, accounts := make([]jid.JID, len(left)), make([]string, len(left))
	for i, from := range left {
		owners[i], accounts[i] = from.Bare(), from.BareString()
	}
	rosters, err := r.config().Store.RostersOf(r.ctx, owners)
	if err != nil {
		return err
	}
	all := make([]*Roster, len(rosters))
	concerned := make(map[string]bool)
	for i, account := range accounts {
		all[i] = newRoster(rosters[i])
		concerned[account] = true
		for k := range all[i].Items {
			if it := &all[i].Items[k]; it.Subscription.HasFrom() && r.Serves(it.JID.Domain()) {
				concerned[it.JID.BareString()] = true
			}
		}
	}
	r.locateEach(t, slices.Collect(maps.Keys(concerned)))
	places, err := r.placesOf(accounts)
	if err != nil {
		return err // one that is back must not appear to leave
	}
	var told []jid.JID
	for i, from := range left {
		if back, ok := findPlace(places[i], from.Resource()); ok && back.Available {
			continue
		}
		told = append(told, from)
		r.announceDied(t, from, all[i])
		if t.Spent() {
			t.Pause()
		}
	}
	if r.askBack(told) != nil {
		for _, from := range told {
			r.askBackSoon(from.Clone())
		}
	}
	return nil
}

// isBack reports whether a resource that has left another node is on this node now, and available: then
// its presence is not that of the other node any more.
func (r *Router) isBack(from jid.JID) bool {
	s := r.resource(from)
	return s != nil && Available(s)
}

// maxUnannounced limits the resources of dead nodes whose contacts are told when the store and the
// directory can be read again: some 10 MB.
const maxUnannounced = 100_000

// announceDied sends the unavailable presence of a resource whose node has died, unless the
// resource is back on this node.
func (r *Router) announceDied(t *session.Turn, from jid.JID, ro *Roster) {
	mu := r.lockPresence(from.BareString())
	defer mu.Unlock()
	if r.isBack(from) {
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
	r.sendBroadcast(t, from, nil, unavailableXML, last, ro.blocked, elsewhere, true)
}
