package router

import (
	"context"
	"maps"
	"sync"
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
	r    *Router
	mu   sync.Mutex
	upTo map[jid.JID]int64 // ID of the last one delivered, by bare JID; nil: none, and no timer runs
}

// after returns the ID after which an account's messages are still to be delivered.
func (u *undeleted) after(owner jid.JID) int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.upTo[owner]
}

// delete deletes an account's messages up to and including an ID, or schedules a retry.
func (u *undeleted) delete(owner jid.JID, upTo int64) {
	err := u.r.cfg.Store.DeleteOffline(u.r.ctx, owner, upTo)
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case err == nil && u.upTo[owner] <= upTo:
		delete(u.upTo, owner)
	case err != nil:
		u.r.cfg.Logger.Error("delivered messages could not be deleted, will retry", "jid", owner.String(), "err", err)
		if u.upTo == nil {
			u.upTo = make(map[jid.JID]int64)
			u.scheduleRetry()
		}
		owner = owner.Clone()
		u.upTo[owner] = max(u.upTo[owner], upTo)
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
	all := maps.Clone(u.upTo)
	u.mu.Unlock()
	for owner, upTo := range all {
		if ctx.Err() != nil || u.r.cfg.Store.DeleteOffline(ctx, owner, upTo) != nil {
			break
		}
		u.mu.Lock()
		if u.upTo[owner] == upTo {
			delete(u.upTo, owner)
		}
		u.mu.Unlock()
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case ctx.Err() != nil:
	case len(u.upTo) == 0:
		u.upTo = nil
	default:
		u.scheduleRetry()
	}
}

// forget drops what is tracked for an account that was deleted.
func (u *undeleted) forget(owner jid.JID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.upTo, owner)
}
