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
			if learnBlocklist(s, ro.blocked) && s.Bound() && blocklistKept.Get(s) == nil { // the store could not be read when it was bound, or this node has missed a change
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

// evict drops an account's roster from memory: another node or process has changed it.
func (r *Router) evict(owner string) {
	mu := r.lockPresence(owner)
	defer mu.Unlock()
	r.changesOf(owner).Add(1)
	r.rosters.Invalidate(owner)
}

// publish replaces an account's roster in memory by the one after a change. The caller holds the
// account's roster lock.
func (r *Router) publish(c *change) {
	if !r.replaceCached(c.update.Owner.String(), c.after) {
		_, _ = r.Roster(c.update.Owner.Clone()) // to have it in memory; after an error, it is read when it is needed
	}
}

// replaceCached is a step of publish. In a cluster it returns false if there is no roster in memory:
// another node may have changed it, or the blocklist, since the change was decided, and what is
// decided by the one in memory must not be decided by an outdated one.
func (r *Router) replaceCached(owner string, after *Roster) bool {
	mu := r.lockPresence(owner)
	defer mu.Unlock()
	r.changesOf(owner).Add(1)
	now, ok := r.cached(owner)
	switch {
	case !r.fitsCache(after):
		r.rosters.Invalidate(owner)
		return true
	case !ok && r.nodes != nil:
		return false
	case ok && now.Version > after.Version:
		return true
	case ok && now.blocked != after.blocked: // it was read again
		after = after.copy()
		after.blocked = now.blocked
	}
	r.rosters.Set(strings.Clone(owner), after)
	return true
}
