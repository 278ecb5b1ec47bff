package router

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"roost/jid"
	"roost/session"
)

// deleteRetry is the time between attempts to delete delivered messages, and to read
// messages from a store that could not be read.
const deleteRetry = 10 * time.Second

// undeleted tracks messages that were delivered but are not deleted yet, because the client
// has just acknowledged them, or because the store could not delete them: its disk is full or
// it does not respond. They are not delivered again while the server runs.
type undeleted struct {
	r       *Router
	deleted atomic.Int64 // messages that were deleted after their delivery
	mu      sync.Mutex
	all     map[jid.JID]*delivered // by bare JID
	retries bool                   // a retry is scheduled
}

// delivered is an account's messages that are to be deleted.
type delivered struct {
	ids     []int64
	running bool // a worker is deleting them, or is about to
}

// appendIDs appends the IDs of an account's messages that are not to be delivered again.
func (u *undeleted) appendIDs(ids []int64, owner jid.JID) []int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	if d := u.all[owner]; d != nil {
		ids = append(ids, d.ids...)
	}
	return ids
}

// add adds messages. It returns true if no worker is deleting the account's messages: then
// the caller must make sure that deleteAll is called.
func (u *undeleted) add(owner jid.JID, ids []int64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.all == nil {
		u.all = make(map[jid.JID]*delivered)
	}
	d := u.all[owner]
	if d == nil {
		d = new(delivered)
		u.all[owner.Clone()] = d
	}
	d.ids = append(d.ids, ids...)
	was := d.running
	d.running = true
	return !was
}

// deleteSoon deletes messages on a worker. What is acknowledged while a worker waits for a
// commit is deleted with the next one.
func (u *undeleted) deleteSoon(owner jid.JID, ids []int64) {
	if u.add(owner, ids) {
		owner = owner.Clone()
		u.r.sessions.Go(session.Write, func(*session.Turn) { u.deleteAll(u.r.ctx, owner) })
	}
}

// delete deletes messages, on a worker for writes.
func (u *undeleted) delete(owner jid.JID, ids []int64) {
	if u.add(owner, ids) {
		u.deleteAll(u.r.ctx, owner)
	}
}

// deleteAll deletes an account's tracked messages. If that fails, it schedules a retry.
func (u *undeleted) deleteAll(ctx context.Context, owner jid.JID) {
	for {
		u.mu.Lock()
		d := u.all[owner]
		if d == nil || len(d.ids) == 0 {
			if d != nil {
				delete(u.all, owner)
			}
			u.mu.Unlock()
			return
		}
		ids := slices.Clone(d.ids)
		u.mu.Unlock()
		err := u.r.config().Store.DeleteOffline(ctx, owner, ids)
		u.mu.Lock()
		if err != nil {
			d.running = false
			u.scheduleRetry()
			u.mu.Unlock()
			u.r.LogError("delivered messages could not be deleted, will retry", owner.String(), err)
			return
		}
		u.deleted.Add(int64(len(ids)))
		d.ids = d.ids[min(len(ids), len(d.ids)):] // none if forget was called
		u.mu.Unlock()
	}
}

// scheduleRetry schedules another attempt. The caller holds mu.
func (u *undeleted) scheduleRetry() {
	if u.retries {
		return
	}
	u.retries = true
	u.r.retryLater(func() { u.retry(u.r.ctx) })
}

// retry deletes the tracked messages that no worker is deleting, until a deletion fails.
func (u *undeleted) retry(ctx context.Context) {
	u.mu.Lock()
	u.retries = false
	owners := slices.Collect(maps.Keys(u.all))
	u.mu.Unlock()
	for _, owner := range owners {
		u.mu.Lock()
		d := u.all[owner]
		idle := d != nil && !d.running
		if idle {
			d.running = true
		}
		u.mu.Unlock()
		if !idle {
			continue
		}
		u.deleteAll(ctx, owner)
		if ctx.Err() != nil {
			return
		}
	}
}

// forget drops what is tracked for an account that was deleted.
func (u *undeleted) forget(owner jid.JID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if d := u.all[owner]; d != nil {
		d.ids = nil // a worker that is deleting them may still have d
		delete(u.all, owner)
	}
}
