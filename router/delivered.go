package router

import (
	"context"
	"maps"
	"sync"
	"time"

	"roost/jid"
	"roost/session"
)

// deleteRetry is the time between two attempts to delete what was delivered.
const deleteRetry = 10 * time.Second

// undeleted remembers messages that were delivered and that the store could not
// delete, because its disk is full or does not answer: nobody gets them again as
// long as the server runs, and their deletion is tried again.
type undeleted struct {
	r    *Router
	mu   sync.Mutex
	upTo map[jid.JID]int64 // ID of the last one delivered, by bare JID; nil: none, and no timer runs
}

// after is the ID past which an account's messages are to be delivered.
func (u *undeleted) after(owner jid.JID) int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.upTo[owner]
}

// delete deletes an account's messages up to and with an ID, or remembers to.
func (u *undeleted) delete(owner jid.JID, upTo int64) {
	err := u.r.cfg.Store.DeleteOffline(u.r.ctx, owner, upTo)
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case err == nil && u.upTo[owner] <= upTo:
		delete(u.upTo, owner)
	case err != nil:
		u.r.cfg.Logger.Error("messages that were delivered could not be deleted, trying again later", "jid", owner.String(), "err", err)
		if u.upTo == nil {
			u.upTo = make(map[jid.JID]int64)
			u.again()
		}
		owner = owner.Clone()
		u.upTo[owner] = max(u.upTo[owner], upTo)
	}
}

// again has deleting tried again later. Under mu.
func (u *undeleted) again() {
	time.AfterFunc(deleteRetry, func() {
		u.r.sessions.Go(session.Write, func(*session.Turn) { u.retry(u.r.ctx) })
	})
}

// retry deletes what is remembered, until that fails.
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
		u.again()
	}
}

// forget drops what is remembered of an account that was deleted.
func (u *undeleted) forget(owner jid.JID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.upTo, owner)
}
