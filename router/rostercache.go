package router

import (
	"strings"
	"sync/atomic"

	"roost/jid"
)

// changesOf counts the changes of an account's roster. Accounts share counters by hash.
func (r *Router) changesOf(bare string) *atomic.Uint32 { return &r.changes[r.stripe(bare)] }

// remember puts a roster in memory that was read after the change counter was seen. If it
// has changed since, it may be older than the one in memory. owner is retained too: it is a
// session's own JID rather than a copy, because a copy, which lives for half a minute,
// would leave a hole between those of sessions that live for days.
func (r *Router) remember(owner jid.JID, ro *Roster, seen uint32) {
	if ro.Version == 0 {
		// There is no such account. It may be created at any moment, also by another
		// process.
		return
	}
	mu := r.lockPresence(owner.String())
	defer mu.Unlock()
	if r.changesOf(owner.String()).Load() != seen {
		return
	}
	if ro.blocked != nil {
		late := false
		for s := range r.Recipients(owner.String(), Everyone) {
			if learnBlocklist(s, ro.blocked) && s.Bound() { // the store could not be read when it was bound, or this node has missed a change
				late = true
			}
		}
		if late && r.nodes != nil {
			r.learnLater(missedChange{rosterChange: rosterChange{account: owner.String(), blocklist: true}, applied: new(blockChange)})
		}
	}
	if r.fitsCache(ro) {
		r.rosters.Set(owner.String(), ro)
	}
}

// fitsCache reports whether a roster may be kept in memory. The cache evicts a roster
// larger than the entire cache only after some time, and others before it.
func (r *Router) fitsCache(ro *Roster) bool { return int(ro.weight()) <= r.config().RosterCache }

// publish replaces an account's roster in memory, or evicts it if ro is nil.
func (r *Router) publish(owner string, ro *Roster) {
	mu := r.lockPresence(owner)
	defer mu.Unlock()
	r.changesOf(owner).Add(1)
	if ro != nil && r.fitsCache(ro) {
		r.rosters.Set(strings.Clone(owner), ro)
	} else {
		r.rosters.Invalidate(owner)
	}
}
