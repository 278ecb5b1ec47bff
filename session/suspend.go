package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"roost/internal/sessiondata"
)

// A planned stop writes the sessions that can be resumed out, and the next start makes them
// again (restore.go). docs/decisions/0050-planned-restarts.md has the reasons.
//
// First all clients are disconnected, as by Shutdown, but sessions that can be resumed are
// detached instead of ended. When nothing else is left, and no worker has anything to do, no
// stanza is sent any more, and the detached sessions are written, in batches. Their time
// is not checked meanwhile. Each is
// claimed by flagClosing, as by any other end, and refuses stanzas from then on: so each
// stanza is either written with it, or handled as if it had ended.

// Keep says how Suspend keeps sessions.
type Keep struct {
	Limit int64                                           // the size of all sessions together, in bytes; those that exceed it end
	Event func() int64                                    // returns the last account event that was processed
	Write func(ctx context.Context, units [][]byte) error // writes units, all or, with an error, none; it must not keep them
}

// Suspended is the outcome of Suspend.
type Suspended struct {
	Sessions int   // that were written
	Bytes    int64 // their size
	Ended    int   // sessions that could have been resumed, and were ended because of the limit or an error
}

// Suspend is Shutdown for a planned restart: it passes the sessions that can be resumed to
// keep.Write, so that Restore can make them again. Those that cannot be written end as with
// Shutdown; the error says why.
func (m *Manager) Suspend(ctx context.Context, keep Keep) (Suspended, error) {
	m.keeping.Store(true)
	quiet := func(c Counts) bool {
		return c.Unbound+c.Waiting == 0 && c.Bound == int(m.detached.count.Load()) && m.reads.busy()+m.writes.busy()+m.keys.busy() == 0
	}
	err := m.closeAll(ctx, quiet)
	if err == nil {
		// A session may be detached while a worker still has its last stanza.
		m.inBatches(func(all []*Session) bool { return onLoops(ctx, all, func(int) {}) })
		err = m.await(ctx, quiet) // what these stanzas have caused
	}
	w := suspension{m: m, keep: keep}
	if err == nil {
		w.all(ctx)
		err = w.err
	}
	m.keeping.Store(false)
	if e := m.closeAll(ctx, Counts.none); err == nil {
		err = e
	}
	return w.done, err
}

// suspendBatch is how many sessions are encoded together. Their size is not limited, but
// Config.UnackedMemory limits that of all stanzas.
const suspendBatch = 256

// suspension writes sessions.
type suspension struct {
	m     *Manager
	keep  Keep
	done  Suspended
	err   error // no session is written any more
	began bool  // the server was written
}

// suspended is a session that is being written.
type suspended struct {
	claimed bool
	unit    []byte // nil: it was not encoded
}

// inBatches calls f with all detached sessions, some at a time, until it returns false.
func (m *Manager) inBatches(f func([]*Session) bool) {
	var batch []*Session
	more := true
	m.table.each(func(s *Session) bool {
		if s.Detached() {
			batch = append(batch, s)
		}
		if len(batch) == suspendBatch {
			more = f(batch)
			batch = nil // f may still use it
		}
		return more
	})
	if more && len(batch) > 0 {
		f(batch)
	}
}

// onLoops runs f for each session, with its index, on the session's loop, when no worker has
// the session. It returns false if ctx ends before all calls have returned.
func onLoops(ctx context.Context, sessions []*Session, f func(i int)) bool {
	var left sync.WaitGroup
	left.Add(len(sessions))
	for i, s := range sessions {
		s.runOnLoop(func(*Turn) {
			defer left.Done()
			f(i)
		})
	}
	done := make(chan struct{})
	go func() {
		left.Wait()
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

// all writes the detached sessions.
func (w *suspension) all(ctx context.Context) {
	w.m.inBatches(func(all []*Session) bool { return w.write(ctx, all) })
}

// write writes sessions, or ends them. It returns false if ctx has ended.
func (w *suspension) write(ctx context.Context, all []*Session) bool {
	batch := make([]suspended, len(all))
	if w.err == nil && !onLoops(ctx, all, func(i int) { all[i].encode(&batch[i]) }) {
		w.err = fmt.Errorf("session: suspend: %w", ctx.Err())
		return false // some may be encoded yet
	}
	units, size := make([][]byte, 0, len(batch)), int64(0)
	if !w.began {
		units = append(units, w.m.appendServer(w.keep.Event()))
	}
	for i := range batch {
		x := &batch[i]
		if x.unit != nil && w.done.Bytes+size+int64(len(x.unit)) > w.keep.Limit {
			w.err = errors.Join(w.err, errTooMuch)
		}
		if w.err != nil {
			x.unit = nil
		}
		if x.unit != nil {
			units, size = append(units, x.unit), size+int64(len(x.unit))
		}
	}
	if size > 0 {
		if err := w.keep.Write(ctx, units); err != nil {
			w.err = errors.Join(w.err, fmt.Errorf("session: suspend: %w", err))
			for i := range batch {
				batch[i].unit = nil
			}
		} else {
			w.began = true
			w.done.Bytes += size
		}
	}
	for i, s := range all {
		switch x := &batch[i]; {
		case x.unit != nil:
			w.done.Sessions++
			s.written()
		case x.claimed:
			w.done.Ended++
			s.notWritten()
		case w.err != nil:
			w.done.Ended++ // closeAll ends it
		}
	}
	return true
}

var errTooMuch = errors.New("session: suspend: the sessions exceed the limit of their size; the rest end with the server")

// encode claims the session and encodes it. Only the session's loop may call it, when no
// worker has the session.
func (s *Session) encode(into *suspended) {
	m, x := s.mgr, s.cold.Load()
	if !s.Detached() || !s.set(flagClosing) {
		return // it has ended
	}
	into.claimed = true
	d := sessiondata.Session{Address: []byte(s.FullJID()), Event: s.event.Load(), Priority: int8(s.Priority())}
	if p := s.Presence(); p != nil {
		d.Presence = []byte(p.xml)
	}
	m.config().Router.SaveState(s, func(name string, data []byte) {
		d.Additions = append(d.Additions, sessiondata.Addition{Name: name, Data: data})
	})
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mark(coldDisowned)
	d.Number, d.Handled, d.Sent, d.Wait = x.number, x.handled, x.sent, x.wait
	d.Until = time.Now().Unix() + int64(int16(x.until-m.second()))
	if q := x.queue(); q != nil {
		d.Unsent = q.unsent
		for e := range q.all() {
			d.Stanzas = append(d.Stanzas, sessiondata.Stanza{Text: e.stanza, At: e.at, ID: e.id, Flags: uint8(e.flags >> ackFlagShift)})
		}
	}
	into.unit = sessiondata.AppendSession(nil, &d)
}

// appendServer returns what the sessions need of this server.
func (m *Manager) appendServer(event int64) []byte {
	return sessiondata.AppendServer(nil, &sessiondata.Server{
		Epoch: m.resumeEpoch, Numbers: m.numbers.Load(), Event: event, Stopped: time.Now().Unix(),
	})
}

// written removes a session that was written, without a word to anyone.
func (s *Session) written() {
	s.set(flagLeft | flagGone)
	s.attached()
	s.mgr.unlink(s)
	s.discardUnacked()
	s.SetPresence(nil, 0)
}

// notWritten ends a session that was claimed and could not be written.
func (s *Session) notWritten() {
	x := s.cold.Load()
	x.mu.Lock()
	x.unmark(coldDisowned)
	x.mu.Unlock()
	s.endOnLoop(func(t *Turn) {
		s.endedBecause(reasonOf(ErrSystemShutdown), nil)
		s.detach(t)
	})
}

// suspend ends the session's stream because the server is stopping, and the session itself
// unless it is to be kept. Only the session's loop may call it, when no worker has the
// session.
//
// The client gets <system-shutdown/> and </stream:stream>. That is not the end of its
// session, which only the client's own </stream:stream> is: "If a client wishes to cleanly
// close its stream and end its session, it MUST send a </stream:stream>"
// (https://xmpp.org/extensions/xep-0198.html#closure). It is not read any more, so the
// one with which it responds means nothing.
func (s *Session) suspend(t *Turn) {
	switch {
	case !s.mgr.keeping.Load() || !s.canWait():
		s.end(t, ErrSystemShutdown)
	case !s.has(flagDetached):
		s.supersede(t, ErrSystemShutdown)
	}
}
