package router

import (
	"sync"
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
		r.unannounced.add(r, from)
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

// unannounced are available resources of dead nodes whose contacts were not told yet, because
// the store could not be read.
type unannounced struct {
	mu      sync.Mutex
	all     []jid.JID // in the order of Died
	retries bool      // an attempt is scheduled, or under way
}

// maxUnannounced is the largest number of resources: some 10 MB.
const maxUnannounced = 100_000

func (u *unannounced) add(r *Router, from jid.JID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.all) >= maxUnannounced {
		if r.nodeLog.Allow() {
			r.config().Logger.Warn("the contacts of resources whose node has died are not told, because the store cannot be read and too many wait", "limit", maxUnannounced)
		}
		return
	}
	u.all = append(u.all, from.Clone())
	if !u.retries {
		u.retries = true
		u.schedule(r)
	}
}

func (u *unannounced) schedule(r *Router) {
	time.AfterFunc(deleteRetry, func() {
		r.sessions.Go(session.Write, func(*session.Turn) { u.retry(r) })
	})
}

// retry tells the contacts of one resource after the other, until the store fails again.
func (u *unannounced) retry(r *Router) {
	for r.ctx.Err() == nil {
		u.mu.Lock()
		if len(u.all) == 0 {
			u.all, u.retries = nil, false
			u.mu.Unlock()
			return
		}
		from := u.all[0]
		u.mu.Unlock()
		if r.died(from) != nil {
			u.schedule(r)
			return
		}
		u.mu.Lock()
		u.all = u.all[1:]
		u.mu.Unlock()
	}
}

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
