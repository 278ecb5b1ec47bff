package router

import (
	"errors"
	"strings"
	"sync"
	"time"

	"roost/jid"
	"roost/session"
)

// What other nodes may have missed. A change of a roster or a blocklist is told to all nodes,
// because any of them may have the roster in memory, and to the account's resources where they
// are. It does not reach a node that was cut off, one that has just joined and that the others do
// not know yet, and a session that waits in the store. So each node remembers its own changes for a
// while, and is asked for them. What has changed is in the store; what is sent names it.

// rosterChange is a change of an account's roster or blocklist.
type rosterChange struct {
	account   string
	contact   string // of the item; "": no item has changed
	version   int64  // of the roster
	blocklist bool   // the blocklist has changed
	missed    bool   // the push did not reach a client of a node that has stopped: see pushMissed
}

// missed returns what a node has to know of a change if it has missed it.
func (c *change) missed() rosterChange {
	x := rosterChange{account: strings.Clone(c.update.Owner.String()), version: c.after.Version}
	switch u := &c.update; {
	case u.Put != nil:
		x.contact = u.Put.JID.String()
	case !u.Remove.IsZero():
		x.contact = u.Remove.String()
	}
	return x
}

// errQueueFull means that too much waits to be sent to another node.
var errQueueFull = errors.New("too much waits to be sent to it")

// Flags of itemRoster after the account. The fields that follow are: the account whose changes are
// asked for, "" for all; or else the version of the roster, and the contact. Without flags, the roster
// has changed, and whoever is concerned is told by other items.
const (
	rosterAsked     = 1 << iota // which changes has the node made lately?
	rosterBlocklist             // the blocklist has changed
	rosterMissed                // see pushMissed
)

// rosterElsewhere tells the other nodes that an account's roster or blocklist has changed: any of
// them may have it in memory.
func (r *Router) rosterElsewhere(x rosterChange) {
	if r.nodes == nil {
		return
	}
	r.recent.note(x, time.Now()) // first: a node that asks now is told either by that or by this
	item := appendField(appendKind(nil, itemRoster), x.account)
	for _, n := range r.nodes.Others() {
		r.nodes.Send(n, x.account, item)
	}
}

// askForChanges asks the other nodes which changes they have made lately. They know of this node from
// then on.
func (r *Router) askForChanges() {
	if r.nodes == nil {
		return
	}
	item := appendNumber(appendField(appendKind(nil, itemRoster), ""), rosterAsked)
	item = appendField(item, "") // of all accounts
	for _, n := range r.nodes.Others() {
		r.nodes.Send(n, "", item)
	}
}

// learnMissed has the client of a session that was in the store learn of pushes that came too late
// for the node that has saved it.
func (r *Router) learnMissed(account string) {
	for _, x := range r.recent.of(account, time.Now()) {
		r.catchUpWith(x)
	}
}

// pushMissed is called when a push has come to a node while that was saving its sessions, or has not
// come to it before it stopped. The change is older than the version that was saved with a session,
// so no node would find it. All nodes are told: one of them has the session by now, or restores it
// later.
func (r *Router) pushMissed(x rosterChange) {
	x.missed = true
	if !r.recent.note(x, time.Now()) {
		return // told already: the push was for several nodes
	}
	if r.saving.Load() == nil {
		r.catchUpWith(x)
	}
	item := changeItem(x)
	for _, n := range r.nodes.Others() {
		r.nodes.Send(n, x.account, item)
	}
}

// tellChanges tells nodes which changes this one has made lately, of an account or of all.
func (r *Router) tellChanges(nodes []NodeID, account string) {
	if len(nodes) == 0 {
		return
	}
	for _, x := range r.recent.of(account, time.Now()) {
		item := changeItem(x)
		for _, n := range nodes {
			if !r.nodes.Send(n, x.account, item) {
				r.nodesFailed("another node was not told of all rosters and blocklists that have changed lately", errQueueFull)
				return
			}
		}
	}
}

// changeItem returns an item for a change that a node may have missed.
func changeItem(x rosterChange) []byte {
	flags := uint64(0)
	if x.blocklist {
		flags |= rosterBlocklist
	}
	if x.missed {
		flags |= rosterMissed
	}
	item := appendNumber(appendField(appendKind(nil, itemRoster), x.account), flags)
	return appendField(appendNumber(item, uint64(x.version)), x.contact)
}

// roster handles itemRoster.
func (l *nodeLane) roster(node NodeID, f *fields) {
	account := string(f.text())
	if len(f.b) == 0 {
		l.r.evict(account)
		return
	}
	flags := f.number()
	if flags&rosterAsked != 0 {
		if of := string(f.text()); !f.bad {
			l.r.tellChanges([]NodeID{node}, of)
		}
		return
	}
	x := rosterChange{account: account, blocklist: flags&rosterBlocklist != 0, missed: flags&rosterMissed != 0, version: int64(f.number()), contact: string(f.text())}
	if f.bad {
		return
	}
	if !x.missed || l.r.recent.note(x, time.Now()) { // otherwise another node has told this one
		l.r.catchUpWith(x)
	}
}

// catchUpWith has the account's clients on this node learn of a change that may have been missed
// here, as soon as the store can be read.
func (r *Router) catchUpWith(x rosterChange) {
	r.evict(x.account)
	r.tryToLearn(missedChange{rosterChange: x})
}

// tryToLearn tells the clients of a change, now or later.
func (r *Router) tryToLearn(m missedChange) {
	if r.unlearned.waiting() { // then this one would wait in vain, and with it what else the node is told
		r.learnLater(m)
	} else if err := r.learn(m); err != nil {
		r.nodesFailed("a roster or blocklist that another node has changed could not be read, it is read later", err)
		r.learnLater(m)
	}
}

// learnLater has the clients learn of a change when the store can be read.
func (r *Router) learnLater(m missedChange) {
	if !r.unlearned.add(m, maxUnlearned) && r.nodeLog.Allow() {
		r.config().Logger.Warn("clients do not learn of a changed roster or blocklist, because the store cannot be read and too many wait", "limit", maxUnlearned)
	}
}

// missedChange is a change that the account's clients on this node have to learn of.
type missedChange struct {
	rosterChange
	applied *blockChange // to the blocklist in memory; nil: nothing was
	saved   bool         // whatever has changed in the roster and the blocklist while sessions were saved
}

// maxUnlearned limits the changes that wait until the store can be read: some 10 MB.
const maxUnlearned = 50_000

// learn reads what has changed, and tells the clients.
func (r *Router) learn(m missedChange) error {
	owner, err := jid.Parse(m.account)
	if err != nil || !r.HasRecipients(m.account, Everyone) {
		return nil
	}
	t := r.sessions.NewTurn()
	defer t.End()
	switch {
	case m.saved:
		if err := r.pushSaved(t, owner); err != nil {
			return err
		}
		return r.compareBlocklist(t, owner, nil, false)
	case m.blocklist:
		return r.rereadBlocklist(t, owner, m.applied)
	case m.contact != "":
		return r.pushAgain(t, owner, &m.rosterChange)
	}
	return nil
}

// lastPushes are the versions of the last pushes of items. What two nodes change reaches a third one
// in any order: a push is left out if a later one of the same item was faster.
type lastPushes struct {
	mu            sync.Mutex
	recent, older map[[2]string]int64 // by account and contact
}

// maxPushes is how many pushes recent has at most. When it is full it replaces older.
const maxPushes = 1 << 12

// isLatest notes a push, and reports whether there was no later one. The texts may be borrowed.
func (p *lastPushes) isLatest(account, contact string, version int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := [2]string{account, contact}
	if max(p.recent[key], p.older[key]) > version {
		return false
	}
	if p.recent == nil || len(p.recent) >= maxPushes {
		p.recent, p.older = make(map[[2]string]int64), p.recent
	}
	p.recent[[2]string{strings.Clone(account), strings.Clone(contact)}] = version
	return true
}

// pushAgain pushes an item of a roster as it is now. The version in the push is that of the item,
// not of the roster: the client may have missed others.
func (r *Router) pushAgain(t *session.Turn, owner jid.JID, x *rosterChange) error {
	unlock := r.lockRosters(owner)
	defer unlock()
	ro, err := r.Roster(owner)
	if err != nil || ro.Version == 0 {
		return err
	}
	item, found := ro.Item(x.contact)
	version := item.Version
	if !found {
		if item.JID, err = jid.Parse(x.contact); err != nil {
			return nil // another attempt would not help
		}
		version = x.version
	}
	if r.pushed.isLatest(x.account, x.contact, version) {
		r.pushHere(t, x.account, &item, !found, version)
	}
	return nil
}

// forgetRosters drops all rosters from memory: it is not known which of them have changed.
func (r *Router) forgetRosters() {
	for i := range r.presenceLocks {
		r.presenceLocks[i].Lock()
		r.changes[i].Add(1) // what is being read now may be outdated
		r.presenceLocks[i].Unlock()
	}
	r.rosters.InvalidateAll()
}

// rereadBlocklist gives the resources of this node the list that is in the store. applied is what
// was applied to their list before that; nil: nothing was.
func (r *Router) rereadBlocklist(t *session.Turn, owner jid.JID, applied *blockChange) error {
	return r.compareBlocklist(t, owner, applied, true)
}

// compareBlocklist is rereadBlocklist, but with reread false for a list that is read from the store
// only if it is not in memory.
func (r *Router) compareBlocklist(t *session.Turn, owner jid.JID, applied *blockChange, reread bool) error {
	ro, changes, err := r.replaceBlocklist(t, owner, applied, reread)
	for _, c := range changes {
		if c.add != nil {
			r.leaveBlocked(t, owner, ro, c)
		} else {
			r.meetUnblocked(t, owner, ro, c)
		}
	}
	return err
}

// replaceBlocklist is a step of compareBlocklist. It returns the changes of which contacts were not
// told: what was added, and what has changed while sessions were saved.
func (r *Router) replaceBlocklist(t *session.Turn, owner jid.JID, applied *blockChange, reread bool) (ro *Roster, changes []*blockChange, err error) {
	account := owner.String()
	unlock := r.lockRosters(owner)
	defer unlock()
	if reread {
		r.evict(account)
	}
	if ro, err = r.Roster(owner); err != nil {
		return nil, nil, err
	}
	mu := r.lockPresence(account)
	defer mu.Unlock()
	before, outdated := ro.blocked, applied != nil
	for s := range r.Recipients(account, Everyone) {
		if l := blocklistOf(s); !l.equals(ro.blocked) {
			outdated = true
			if blocklistKept.Get(s) == nil {
				before = l // others may have the new one
			}
		}
	}
	if applied != nil {
		before = applied.before
	}
	if outdated {
		r.setBlocklist(account, ro.blocked)
	}
	changes = r.pushKept(t, account, ro.blocked)
	if remove := notOn(before.addresses(), ro.blocked); len(remove) > 0 {
		r.pushBlocked(t, account, &blockChange{remove: remove, changed: remove})
	}
	if add := notOn(ro.blocked.addresses(), before); len(add) > 0 {
		added := &blockChange{add: add, changed: add, before: before, after: ro.blocked}
		r.pushBlocked(t, account, added)
		changes = append(changes, added)
	}
	return ro, changes, nil
}

// notOn returns the addresses that are not on a list.
func notOn(all []string, l *Blocklist) (rest []string) {
	for _, address := range all {
		if l == nil || !l.has(address) {
			rest = append(rest, address)
		}
	}
	return rest
}
