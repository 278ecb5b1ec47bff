package router

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"roost/jid"
	"roost/session"
)

// deleteRetry is the time between attempts to delete delivered messages.
const deleteRetry = 10 * time.Second

// undeleted tracks messages that were delivered but that the store could not delete,
// because its disk is full or it does not respond. They are not delivered again while the
// server runs, and their deletion is retried.
type undeleted struct {
	r       *Router
	deleted atomic.Int64 // messages that were deleted after their delivery
	mu      sync.Mutex
	all     map[jid.JID]delivered // by bare JID; nil: none, and no timer runs
}

// delivered are messages of an account that are to be deleted.
type delivered struct {
	upTo     int64 // ID of the last one
	messages int
}

// after returns the ID after which an account's messages are still to be delivered.
func (u *undeleted) after(owner jid.JID) int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.all[owner].upTo
}

// delete deletes an account's messages up to and including an ID, of which n were not
// tracked yet, or schedules a retry.
func (u *undeleted) delete(owner jid.JID, upTo int64, n int) {
	err := u.r.config().Store.DeleteOffline(u.r.ctx, owner, upTo)
	u.mu.Lock()
	defer u.mu.Unlock()
	was := u.all[owner]
	switch {
	case err != nil:
		u.r.config().Logger.Error("delivered messages could not be deleted, will retry", "jid", owner.String(), "err", err)
		if u.all == nil {
			u.all = make(map[jid.JID]delivered)
			u.scheduleRetry()
		}
		u.all[owner.Clone()] = delivered{max(was.upTo, upTo), was.messages + n}
	case was.upTo <= upTo:
		u.deleted.Add(int64(was.messages + n))
		delete(u.all, owner)
	default:
		u.deleted.Add(int64(n))
	}
}

// scheduleRetry schedules another attempt. The caller holds mu.
func (u *undeleted) scheduleRetry() {
	time.AfterFunc(deleteRetry, func() {
		u.r.sessions.Go(session.Write, func(*session.Turn) { u.retry(u.r.ctx) })
	})
}

// retry deletes the tracked messages, until a deletion fails.
func (u *undeleted) retry(ctx context.Context) {
	u.mu.Lock()
	all := maps.Clone(u.all)
	u.mu.Unlock()
	for owner, d := range all {
		if ctx.Err() != nil || u.r.config().Store.DeleteOffline(ctx, owner, d.upTo) != nil {
			break
		}
		u.mu.Lock()
		if u.all[owner] == d {
			u.deleted.Add(int64(d.messages))
			delete(u.all, owner)
		}
		u.mu.Unlock()
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case ctx.Err() != nil:
	case len(u.all) == 0:
		u.all = nil
	default:
		u.scheduleRetry()
	}
}

// forget drops what is tracked for an account that was deleted.
func (u *undeleted) forget(owner jid.JID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.all, owner)
}
