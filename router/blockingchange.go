package router

import (
	"errors"
	"slices"
	"strings"

	"roost/jid"
	"roost/session"
	"roost/stanza"
	"roost/store"
)

// maxBlockedBytes limits the length of all addresses of a list together, in bytes: a list is
// in memory while its account is online.
const maxBlockedBytes = 64 << 10

var errBlocklistFull = stanza.ResourceConstraint.WithText("The list of blocked addresses is full.")

// blockChange is a change of an account's blocklist.
type blockChange struct {
	add, remove []string // sorted
	removeAll   bool

	before, after *Blocklist
	changed       []string // what was added, or removed
}

// changeBlocklist changes the list in the store and in memory, and then sends the result,
// pushes, and the presence that follows from it.
//
// A stanza that is being delivered on another goroutine at that moment may still arrive
// after the result. All later stanzas of the same sender do not.
func (r *Router) changeBlocklist(rq *Request, c *blockChange) {
	ro, err := r.storeBlocklist(rq, c)
	switch {
	case errors.Is(err, store.ErrQuota):
		rq.Error(errBlocklistFull)
	case err != nil:
		rq.Error(err)
	case c.add != nil:
		r.logReports(rq)
		r.leaveBlocked(rq.Turn, rq.Account(), ro, c)
	default:
		r.meetUnblocked(rq.Turn, rq.Account(), ro, c)
	}
}

// storeBlocklist makes a change durable and visible, and returns the roster. The roster lock
// keeps results and pushes in the order of the changes.
func (r *Router) storeBlocklist(rq *Request, c *blockChange) (*Roster, error) {
	owner := rq.Account()
	r.locate(rq.Turn, owner.String()) // for blocklistElsewhere
	unlock := r.lockRosters(owner)
	defer unlock()
	ro, err := r.ownRoster(rq.Session) // first, because afterwards there is no way to report an error
	if err != nil {
		return nil, err
	}
	set := store.BlobSet{Owner: owner, Generation: rq.Generation, Kind: nsBlocking, Quota: store.BlobQuota{Values: r.config().MaxBlocked}}
	if err := r.config().Store.UpdateBlobs(r.ctx, set, c.apply); err != nil {
		return nil, err
	}
	r.publishBlocklist(rq, c)
	return ro, nil
}

// apply changes the list in the store.
func (c *blockChange) apply(tx store.BlobTx) error {
	had, err := tx.Keys()
	if err != nil {
		return err
	}
	c.before = newBlocklist(slices.Clone(had))
	if c.removeAll {
		c.remove = had
	}
	for _, address := range c.add {
		if c.before == nil || !c.before.has(address) {
			c.changed = append(c.changed, address)
			if err := tx.Put(address, []byte{}); err != nil {
				return err
			}
		}
	}
	for _, address := range c.remove {
		if c.before != nil && c.before.has(address) {
			c.changed = append(c.changed, address)
			if err := tx.Delete(address); err != nil {
				return err
			}
		}
	}
	has, err := tx.Keys()
	if err != nil {
		return err
	}
	c.after = newBlocklist(has)
	if len(c.add) > 0 && c.after.bytes() > max(maxBlockedBytes, c.before.bytes()) {
		return store.ErrQuota
	}
	return nil
}

// appliedTo returns a list with the addresses that were added to it, or removed from it.
func (c *blockChange) appliedTo(l *Blocklist) *Blocklist {
	switch {
	case c.removeAll:
		return nil
	case c.add != nil:
		all := append(slices.Clone(l.addresses()), c.changed...)
		slices.Sort(all)
		return newBlocklist(slices.Compact(all))
	}
	return newBlocklist(notOn(l.addresses(), newBlocklist(slices.Clone(c.changed))))
}

// bytes returns the length of all addresses together.
func (l *Blocklist) bytes() (n int) {
	for _, address := range l.addresses() {
		n += len(address)
	}
	return n
}

// publishBlocklist makes a change visible: from here on, stanzas are checked against the
// new list. Under the presence lock, so that a resource that requests the list gets either
// the new list or a push.
func (r *Router) publishBlocklist(rq *Request, c *blockChange) {
	owner := rq.Account().String()
	mu := r.lockPresence(owner)
	defer mu.Unlock()
	r.changesOf(owner).Add(1)
	if ro, ok := r.cached(owner); ok {
		next := ro.copy()
		next.blocked = c.after
		if r.fitsCache(next) {
			r.rosters.Set(rq.Account().Clone().String(), next)
		} else {
			r.rosters.Invalidate(owner)
		}
	}
	r.setBlocklist(owner, c.after)
	rq.Empty()
	r.blocklistElsewhere(owner, c)
	r.pushBlocked(rq.Turn, owner, c)
}

// newlyBlocked reports whether an address is blocked since the change.
func (c *blockChange) newlyBlocked(j jid.JID) bool { return c.after.Blocks(j) && !c.before.Blocks(j) }

// newlyFree reports whether an address is no longer blocked since the change.
func (c *blockChange) newlyFree(j jid.JID) bool { return c.before.Blocks(j) && !c.after.Blocks(j) }

// leaveBlocked sends unavailable presence to the newly blocked. "When the user blocks
// communications with a JID, the user's server MUST send unavailable presence information
// to the JID (but only if the JID is allowed to receive presence notifications from the
// user […])" (https://xmpp.org/extensions/xep-0191.html#block): because of a subscription, or
// because a resource has sent it directed presence.
func (r *Router) leaveBlocked(t *session.Turn, owner jid.JID, ro *Roster, c *blockChange) {
	r.locateAll(t, ro)
	for i := range ro.Items {
		it := &ro.Items[i]
		if !it.Subscription.HasFrom() {
			continue
		}
		for _, to := range r.addressesOf(it.JID, c.changed, c.newlyBlocked) {
			r.pauseIfSpent(t)
			r.endPresence(t, owner, to)
		}
	}
	for x := range r.Recipients(owner.BareString(), Connected) {
		r.endDirected(t, x, c)
	}
}

// addressesOf returns the addresses to send presence to, if it is meant for those of a
// contact's resources for which concerned returns true: the full JIDs of its resources here,
// or the bare JID of a remote contact, or those of the listed full JIDs that are the contact's.
func (r *Router) addressesOf(contact jid.JID, listed []string, concerned func(jid.JID) bool) (all []jid.JID) {
	if !r.isRemote(contact) {
		for y := range r.Recipients(contact.BareString(), Available) {
			if concerned(y.JID()) {
				all = append(all, y.JID())
			}
		}
		for _, p := range r.knownPlaces(contact.BareString()) {
			if y, err := contact.Bare().WithResource(p.Resource); err == nil && p.Available && concerned(y) {
				all = append(all, y)
			}
		}
		return all
	}
	if concerned(contact.Bare()) {
		return []jid.JID{contact.Bare()}
	}
	for _, address := range listed {
		if j, err := jid.Parse(address); err == nil && j.IsFull() && j.BareString() == contact.BareString() {
			all = append(all, j)
		}
	}
	return all
}

// pauseIfSpent lets others run before more is done. No lock may be held.
func (r *Router) pauseIfSpent(t *session.Turn) {
	t.CountContact()
	if t.Spent() {
		t.Pause()
	}
}

// endPresence sends unavailable presence of an account's available resources to an address
// that the account has blocked, unless it has been unblocked again.
func (r *Router) endPresence(t *session.Turn, owner, to jid.JID) {
	mu := r.lockPresence(owner.BareString())
	defer mu.Unlock()
	for x := range r.Recipients(owner.BareString(), Available) {
		if bars(x, to) {
			r.toDirected(t, x.JID(), to, unavailableOf(x))
		}
	}
}

// unavailableOf appends unavailable presence of a resource.
func unavailableOf(x *session.Session) func(b []byte, to string) []byte {
	return func(b []byte, to string) []byte {
		return stanza.Head{Kind: stanza.Presence, Type: stanza.Unavailable, From: x.FullJID(), To: to}.AppendEmpty(b)
	}
}

// endDirected takes back a resource's directed presence from the addresses that are blocked
// now.
func (r *Router) endDirected(t *session.Turn, x *session.Session, c *blockChange) {
	mu := r.lockPresence(x.BareJID())
	defer mu.Unlock()
	for _, address := range directed(x) {
		to, err := jid.Parse(address)
		if err != nil || !c.newlyBlocked(to) {
			continue
		}
		removeDirected(x, address)
		r.toDirected(t, x.JID(), to, unavailableOf(x))
	}
}

// meetUnblocked sends the account's presence to those who are no longer blocked, and theirs
// to the account. "When the user unblocks communications with a JID, the user's server MUST
// send the user's current presence information to the JID (but only if the JID is allowed
// to receive presence notifications from the user […])"
// (https://xmpp.org/extensions/xep-0191.html#unblock).
func (r *Router) meetUnblocked(t *session.Turn, owner jid.JID, ro *Roster, c *blockChange) {
	r.locate(t, owner.BareString())
	r.locateAll(t, ro)
	for i := range ro.Items {
		contact, sub := ro.Items[i].JID, ro.Items[i].Subscription
		concerned := r.addressesOf(contact, c.changed, c.newlyFree)
		if len(concerned) == 0 {
			continue
		}
		r.pauseIfSpent(t)
		if sub.HasFrom() {
			for _, to := range concerned {
				r.sendPresencesTo(t, owner, to)
			}
		}
		if sub.HasTo() {
			r.sendPresences(t, owner.BareString(), contact.Bare(), owner.Bare())
			if r.isRemote(contact) {
				r.probeRemote(t, owner, contact)
			}
		}
	}
}

// sendPresencesTo sends the presence of an account's resources to one resource, or to a
// remote address.
func (r *Router) sendPresencesTo(t *session.Turn, of, to jid.JID) {
	if r.isRemote(to) {
		r.sendPresences(t, of.BareString(), of, to)
		return
	}
	if y := r.resource(to); y != nil {
		r.sessions.RunOnLoop(y, func(t *session.Turn) {
			if Available(y) {
				r.sendPresenceOf(t, y, of.BareString())
			}
		})
		return
	}
	r.tellPair(itemPresences, to.BareString(), of.BareString(), of, to)
}

// blocklistElsewhere tells the other nodes of an account about a change. The caller holds the
// account's presence lock.
func (r *Router) blocklistElsewhere(owner string, c *blockChange) {
	if r.nodes == nil {
		return
	}
	r.rosterElsewhere(rosterChange{account: strings.Clone(owner), blocklist: true})
	item := appendField(appendKind(nil, itemBlocklist), owner)
	item = appendFlag(item, c.add != nil)
	item = appendFlag(item, c.removeAll)
	r.tell(owner, owner, appendTexts(item, c.changed))
}

// blocklist handles itemBlocklist. The list itself is in the store.
func (l *nodeLane) blocklist(node NodeID, key string, f *fields) {
	r, owner := l.r, f.address()
	added, all := f.flag(), f.flag()
	c := &blockChange{removeAll: all, changed: f.texts()}
	if added {
		c.add = c.changed
	}
	if f.bad {
		return
	}
	before := l.passOn(node, owner.String(), key, l.item) // it does not wait for this node to read the store
	ro, err := r.blocklistChanged(l.turn, owner, c)
	l.passOn(node, owner.String(), key, l.item, before...)
	switch {
	case err != nil:
		r.nodesFailed("a blocklist that another node has changed could not be read; what has changed applies nevertheless", err)
		r.learnLater(missedChange{rosterChange: rosterChange{account: owner.String(), blocklist: true}, applied: c})
	case added && ro != nil:
		r.leaveBlocked(l.turn, owner, ro, c)
	}
}

// blocklistChanged gives the resources of this node the list that another node has changed,
// and returns the roster; nil if there are none. What has changed applies before the store is read,
// and if it cannot be.
func (r *Router) blocklistChanged(t *session.Turn, owner jid.JID, c *blockChange) (*Roster, error) {
	account := owner.String()
	unlock := r.lockRosters(owner)
	defer unlock()
	r.evict(account)
	if !r.applyBlocklist(account, c) {
		return nil, nil
	}
	ro, err := r.Roster(owner)
	if err != nil {
		return nil, err
	}
	mu := r.lockPresence(account)
	defer mu.Unlock()
	c.after = ro.blocked
	r.setBlocklist(account, c.after)
	r.pushBlocked(t, account, c)
	return ro, nil
}

// applyBlocklist applies a change to the list in memory. It returns false if there is none, because
// the account has no resources here.
func (r *Router) applyBlocklist(account string, c *blockChange) (found bool) {
	mu := r.lockPresence(account)
	defer mu.Unlock()
	for s := range r.Recipients(account, Everyone) {
		c.before, found = blocklistOf(s), true
	}
	if found {
		r.setBlocklist(account, c.appliedTo(c.before))
	}
	return found
}
