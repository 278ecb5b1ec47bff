package session

import (
	"context"
	"sync/atomic"
	"time"
)

// A planned stop saves the sessions that can be resumed, and the next start restores them
// (restore.go). docs/decisions/0050-planned-restarts.md has the reasons.
//
// First all clients are disconnected, as by Shutdown, but sessions that can be resumed are
// detached instead of ended. When nothing else is left, and no worker has anything to do, no
// more stanzas are sent, and the detached sessions are written (suspendwrite.go). None of
// them times out while this goes on. Each is claimed by flagClosing, as by any other end, and
// refuses stanzas from then on, so each stanza is either written with it or handled as if it
// had ended.
//
// If there still is work when the time for the clients is over, the sessions are written
// nevertheless, except those that a worker has. What is sent to one that has already been
// written is then handled as if it had ended.

// Keep says how Suspend saves sessions.
type Keep struct {
	// Limit is the size of all sessions together, in bytes; those beyond it end.
	Limit int64

	// Time limits how long writing may take when the time for the clients is over. Ending the
	// sessions that were not written may take as long again. 0: no time.
	Time time.Duration

	// Event returns the last account event that was processed.
	Event func() int64

	// Before is called with some of the sessions before they are written, while they still take
	// stanzas. After an error it is not called again. It may be nil.
	Before func(ctx context.Context, all []*Session) error

	// Each makes each session a unit of its own, so that another node can take it.
	Each bool

	// Write writes all units or, with an error, none. It must not keep their data.
	Write func(ctx context.Context, units []SavedUnit) error
}

// Suspended is the outcome of Suspend.
type Suspended struct {
	Sessions int   // sessions that were written
	Bytes    int64 // size of what was written
	Ended    int   // sessions that could have been resumed, and were not written
	Left     int   // sessions that had not ended when Suspend returned; Ended may count them, too
}

// Suspend is Shutdown for a planned restart: it passes the sessions that can be resumed to
// keep.Write, so that Restore can restore them. Sessions with unacknowledged stanzas are
// written first, then the others, beginning with those that lost their connections last.
// Sessions that cannot be written end as with Shutdown; the error says why.
//
// When clients ends, Suspend no longer waits for clients and for work in progress, but still
// writes what it has, within keep.Time. It returns soon when ctx ends.
func (m *Manager) Suspend(ctx, clients context.Context, keep Keep) (Suspended, error) {
	m.keeping.Store(true)
	var posted atomic.Int64
	m.tellAll(ctx, func(s *Session) {
		posted.Add(1)
		s.endOnLoop(func(t *Turn) {
			defer posted.Add(-1)
			s.suspend(t)
		})
	})
	quiet := func(c Counts) bool {
		return posted.Load() == 0 && c.Unbound+c.Waiting == 0 && c.Bound == int(m.detached.count.Load()) &&
			m.reads.busy()+m.writes.busy()+m.keys.busy() == 0
	}
	err := m.await(clients, quiet)
	if err == nil && m.passLoops(clients) {
		err = m.await(clients, quiet) // also for what the workers have left for the loops
	}
	w := suspension{m: m, keep: keep}
	if ctx.Err() == nil {
		w.all(ctx, clients)
	}
	m.keeping.Store(false)
	if e := m.closeAll(clients, Counts.none); e == nil {
		err = nil // the rest took longer, but is done
	} else if w.done.Ended > 0 { // stanzas that clients have not acknowledged may not be handed on yet
		more, cancel := context.WithTimeout(ctx, keep.Time)
		defer cancel()
		err = m.closeAll(more, Counts.none)
	} else if err == nil {
		err = e
	}
	w.done.Left = m.Counts().Bound
	if w.err != nil {
		err = w.err
	}
	return w.done, err
}

// passLoops waits until each loop that has sessions has run what was posted to it before. It
// returns false if ctx ends first.
func (m *Manager) passLoops(ctx context.Context) bool {
	const some = 64
	passed := make([]atomic.Bool, len(m.turns))
	missing := func() bool {
		for i := range passed {
			if !passed[i].Load() {
				return true
			}
		}
		return false
	}
	ok := true
	m.inBatches(some, func(all []*Session) bool {
		done := make(chan struct{})
		var left atomic.Int64
		left.Store(int64(len(all)))
		for _, s := range all {
			s.Conn().Post(func(loop int) {
				passed[loop].Store(true)
				if left.Add(-1) == 0 {
					close(done)
				}
			})
		}
		select {
		case <-done:
		case <-ctx.Done():
			ok = false
		}
		return ok && missing()
	})
	return ok
}

// inBatches calls f with all bound sessions, n at a time, until it returns false. f may keep
// the slice.
func (m *Manager) inBatches(n int, f func([]*Session) bool) {
	var batch []*Session
	more := true
	m.table.each(func(s *Session) bool {
		if batch = append(batch, s); len(batch) == n {
			more = f(batch)
			batch = nil
		}
		return more
	})
	if more && len(batch) > 0 {
		f(batch)
	}
}

// suspend ends the session's stream because the server is stopping, and the session itself
// unless it is to be saved. Only the session's loop may call it, when no worker has the
// session.
//
// The client gets <system-shutdown/> and </stream:stream>. That is not the end of its
// session, which only the client's own </stream:stream> is: "If a client wishes to cleanly
// close its stream and end its session, it MUST send a </stream:stream>"
// (https://xmpp.org/extensions/xep-0198.html#closure). It is not read any more, so the
// one with which it responds means nothing.
func (s *Session) suspend(t *Turn) {
	if !s.mgr.keeping.Load() || !s.canWait() {
		s.end(t, ErrSystemShutdown)
		return
	}
	if !s.has(flagDetached) {
		s.supersede(t, ErrSystemShutdown)
	}
	x := s.cold.Load()
	x.mu.Lock()
	x.mark(coldSettled)
	x.mu.Unlock()
}
