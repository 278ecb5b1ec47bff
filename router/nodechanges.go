package router

import (
	"hash/maphash"
	"sync"

	"roost/session"
)

// Presence that comes from another node is held for inactive clients like that of this one
// (clientstate.go), but its sender has no session here that could have a stamp. So the time of
// the last change that was held is kept by account, for a limited number of accounts. When a
// client becomes active, the nodes of those that have changed since are asked for their
// presence.

// changesElsewhere has the times, of a changeClock, when presence of accounts was last held
// that came from another node.
type changesElsewhere struct {
	mu            sync.Mutex
	seed          maphash.Seed
	recent, older map[uint64]uint32 // by hash of the account: two that share one only cause a needless request
	closed        uint32            // no time in older is after this one
	forgotten     bool              // times were forgotten, none after floor
	floor         uint32
}

// maxChanges is how many accounts recent has at most. When it is full it replaces older: so at
// least as many are remembered, in at most 5 MB.
var maxChanges = 1 << 16 // only tests change it

// note sets an account's time to the present.
func (e *changesElsewhere) note(c *changeClock, account string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	at := c.ticks.Load()
	switch {
	case e.recent == nil:
		e.seed = maphash.MakeSeed()
		e.recent = make(map[uint64]uint32)
	case len(e.recent) >= maxChanges:
		if e.older != nil {
			e.forgotten, e.floor = true, e.closed
		}
		e.older, e.closed = e.recent, at
		e.recent = make(map[uint64]uint32)
	}
	e.recent[maphash.String(e.seed, account)] = at
}

// forget has each account count as one that has changed until now.
func (e *changesElsewhere) forget(c *changeClock) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.forgotten, e.floor = true, c.ticks.Load()
}

// changed reports whether an account may have changed its presence since a time.
func (e *changesElsewhere) changed(c *changeClock, account string, since uint32) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := c.ticks.Load() // once: the clock may advance
	age := ageAt(now, since)
	if age >= stamps || e.forgotten && now-e.floor <= age {
		return true
	}
	if e.recent == nil {
		return false
	}
	h := maphash.String(e.seed, account)
	at, ok := e.recent[h]
	if !ok {
		at, ok = e.older[h]
	}
	return ok && now-at <= age
}

// contactsToAsk returns the contacts whose presence a client is to be sent from other nodes,
// and its own account: all, or, if since is not 0, those that may have changed their presence
// since that time.
func (r *Router) contactsToAsk(s *session.Session, ro *Roster, since uint32) (accounts []string) {
	add := func(account string) {
		if since != 0 {
			mu := r.lockPresence(account) // what is being held now is noted before this, or sent at once
			defer mu.Unlock()
			if !r.elsewhere.changed(&r.changesSeen, account, since) {
				return
			}
		}
		accounts = append(accounts, account)
	}
	add(s.BareJID())
	for i := range ro.Items {
		if it := &ro.Items[i]; it.Subscription.HasTo() && r.Serves(it.JID.Domain()) && !bars(s, it.JID) {
			add(it.JID.BareString())
		}
	}
	return accounts
}

// locateChanged is locate for the contacts that are to be asked because a client has become
// active, or because what it has of them is outdated.
func (r *Router) locateChanged(t *session.Turn, s *session.Session, ro *Roster, f *pendingPresence) session.Work {
	if r.nodes == nil || f.asked || f.since == 0 && !f.outdated {
		return session.Done
	}
	since := f.since
	if f.outdated {
		since = 0
	}
	return r.locateEach(t, r.contactsToAsk(s, ro, since))
}

// askForContacts requests the presence of a client's contacts, and of its account's other
// resources, from the nodes that have them, once for each time that the client becomes
// available or active.
func (r *Router) askForContacts(t *session.Turn, s *session.Session, ro *Roster, f *pendingPresence) {
	if r.nodes == nil || f.asked || ro == nil {
		return
	}
	f.asked = true
	r.probeContacts(t, s, ro, f.since)
}

// probeContacts is a step of askForContacts. since is as for contactsToAsk.
func (r *Router) probeContacts(t *session.Turn, s *session.Session, ro *Roster, since uint32) {
	to := make(addressees)
	for _, account := range r.contactsToAsk(s, ro, since) {
		to.add(r, account)
	}
	r.sendProbes(t, s, to)
}
