package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"roost/internal/sessiondata"
)

// suspension writes sessions.
type suspension struct {
	m       *Manager
	keep    Keep
	done    Suspended
	err     error          // no more sessions are written
	writing chan error     // the outcome of the block that is being written; nil: none is
	pending suspendedBlock // that block
	spare   []byte         // for the next block
	server  []byte         // what the sessions need of this server
	ready   int            // sessions, the next ones, for which Keep.Before was called
	state   []byte         // what the router saves of a session
	data    sessiondata.Session
}

// suspendedBlock is some of the sessions.
type suspendedBlock struct {
	data     []byte
	sessions []*Session
	units    []SavedUnit // with Keep.Each: one for each session
	ends     []int       // of these, in data
}

// suspendBlock is the size from which a block is written, if it has a session. The largest is
// larger by one session, whose stanzas are limited by Config.Unacked. It is so large that the
// number of commits does not matter.
var suspendBlock = 4 << 20 // only tests change it

// all writes the sessions whose clients can no longer send anything.
func (w *suspension) all(ctx, clients context.Context) {
	left, total := w.m.settled()
	if len(left) == 0 {
		w.done.Ended = total
		return
	}
	if end, ok := clients.Deadline(); ok {
		limited, cancel := context.WithTimeout(ctx, max(w.keep.Time, time.Until(end)))
		defer cancel()
		ctx = limited
	}
	w.m.saving.begin()
	w.server = w.m.appendServer(nil, w.keep.Event())
	if w.keep.Each {
		for _, s := range left { // before any of them is removed
			s.settleAcked()
		}
	}
	for len(left) > 0 && w.err == nil {
		if err := ctx.Err(); err != nil {
			w.err = fmt.Errorf("session: suspend: %w", err)
			break
		}
		block := suspendedBlock{data: w.spare}
		w.spare = nil
		if !w.keep.Each {
			// Each block can be read without the others, which a server that was killed while
			// it started may have read.
			block.data = append(block.data, w.server...)
		}
		left = w.fill(ctx, &block, left)
		w.wait()
		w.start(ctx, block)
	}
	w.wait()
	w.m.saving.end()
	w.done.Ended = total - w.done.Sessions
}

// settled returns the detached sessions whose input is handled, in the order in which they are
// to be written. all is the number of those that can be resumed.
func (m *Manager) settled() (sessions []*Session, all int) {
	type waiting struct {
		s      *Session
		queued bool
		left   int16 // seconds that the session still waits
	}
	var ready []waiting
	now := m.second()
	m.table.each(func(s *Session) bool {
		if !s.canWait() {
			return true
		}
		all++
		x := s.cold.Load()
		x.mu.Lock()
		defer x.mu.Unlock()
		if x.is(coldSettled) {
			ready = append(ready, waiting{s, x.queue() != nil, int16(x.until - now)})
		}
		return true
	})
	slices.SortFunc(ready, func(a, b waiting) int {
		if a.queued != b.queued {
			if a.queued {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.left, a.left)
	})
	sessions = make([]*Session, len(ready))
	for i := range ready {
		sessions[i] = ready[i].s
	}
	return sessions, all
}

// fill adds sessions to a block, and returns those that are left.
func (w *suspension) fill(ctx context.Context, b *suspendedBlock, left []*Session) []*Session {
	for len(left) > 0 && (len(b.sessions) == 0 || len(b.data) < suspendBlock) {
		w.prepare(ctx, left)
		s, before := left[0], len(b.data)
		left = left[1:]
		data := b.data
		if w.keep.Each {
			data = append(data, w.server...)
		}
		data, claimed := w.encode(s, data)
		if !claimed {
			continue
		}
		b.data = data
		if size := int64(len(data)); w.done.Bytes+int64(len(w.pending.data))+size > w.keep.Limit {
			b.data = data[:before]
			s.notWritten()
			w.err = errTooMuch
			break
		}
		b.sessions = append(b.sessions, s)
		if w.keep.Each {
			b.units = append(b.units, savedUnit(s.BareJID(), &w.data))
			b.ends = append(b.ends, len(data))
		}
	}
	return left
}

// beforeBatch is the number of sessions for which Keep.Before is called at once.
var beforeBatch = 1000 // only tests change it

// prepare calls Keep.Before if it was not called for the first of these sessions, and none of them
// is claimed yet.
func (w *suspension) prepare(ctx context.Context, left []*Session) {
	if w.ready == 0 {
		w.ready = min(len(left), beforeBatch)
		if f := w.keep.Before; f != nil && f(ctx, left[:w.ready]) != nil {
			w.keep.Before = nil // another error might take as long
		}
	}
	w.ready--
}

var errTooMuch = errors.New("session: suspend: the sessions exceed the limit of their size; the rest end with the server")

// start begins to write a block.
func (w *suspension) start(ctx context.Context, b suspendedBlock) {
	if len(b.sessions) == 0 {
		return
	}
	units := b.units
	if !w.keep.Each {
		units = []SavedUnit{{Data: b.data}}
	}
	begin := 0
	for i, end := range b.ends {
		units[i].Data = b.data[begin:end:end]
		begin = end
	}
	w.pending, w.writing = b, make(chan error, 1)
	go func(done chan<- error) { done <- w.keep.Write(ctx, units) }(w.writing)
}

// wait waits until the block is written, and then removes its sessions, or ends them.
func (w *suspension) wait() {
	if w.writing == nil {
		return
	}
	err := <-w.writing
	if err != nil {
		w.err = errors.Join(w.err, fmt.Errorf("session: suspend: %w", err))
	} else {
		w.done.Sessions += len(w.pending.sessions)
		w.done.Bytes += int64(len(w.pending.data))
	}
	for _, s := range w.pending.sessions {
		if err != nil {
			s.notWritten()
		} else {
			s.written()
		}
	}
	w.m.saving.written()
	w.spare = w.pending.data[:0]
	w.pending, w.writing = suspendedBlock{}, nil
}

// encode claims a session and appends it. It returns false if the session has ended, or if its
// client has resumed it. No worker has its input: it was settled, and its client is gone.
func (w *suspension) encode(s *Session, dst []byte) (_ []byte, claimed bool) {
	if !s.Detached() || !s.set(flagClosing) {
		return dst, false
	}
	w.state = s.describe(w.state, &w.data)
	x := s.cold.Load()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mark(coldDisowned)
	return s.encode(dst, &w.data, x), true
}

// describe begins d with what need not be read under coldState.mu. It uses state for parts of
// it, and returns it for the next call.
func (s *Session) describe(state []byte, d *sessiondata.Session) []byte {
	*d = sessiondata.Session{Address: []byte(s.FullJID()), Event: s.event.Load(), Priority: int8(s.Priority()), Stanzas: d.Stanzas[:0], Additions: d.Additions[:0]}
	if p := s.Presence(); p != nil {
		d.Presence = []byte(p.xml)
	}
	return s.mgr.config().Router.SaveState(s, state[:0], func(name string, data []byte) {
		d.Additions = append(d.Additions, sessiondata.Addition{Name: name, Data: data})
	})
}

// encode completes d and appends it. Under x.mu.
func (s *Session) encode(dst []byte, d *sessiondata.Session, x *coldState) []byte {
	d.Number, d.Handled, d.Sent, d.Wait = x.number, x.handled, x.sent, x.wait
	d.Until = time.Now().Unix() + int64(int16(x.until-s.mgr.second()))
	if q := x.queue(); q != nil {
		d.Unsent = q.unsent
		for e := range q.all() {
			d.Stanzas = append(d.Stanzas, e.data())
		}
	}
	return sessiondata.AppendSession(dst, d)
}

// data returns what is saved of the entry, as a part of the queue. It does not say that
// resources on other nodes got the message: where the session is not, it does not learn that
// these have lost it.
func (e *ackEntry) data() sessiondata.Stanza {
	return sessiondata.Stanza{Text: e.stanza, At: e.at, ID: e.id, Flags: uint8((e.flags &^ ackElsewhere) >> ackFlagShift)}
}

// appendServer appends what the sessions need of this server.
func (m *Manager) appendServer(dst []byte, event int64) []byte {
	return sessiondata.AppendServer(dst, &sessiondata.Server{Event: event, Stopped: time.Now().Unix()})
}

// written removes a session that was written, without announcing that.
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
		s.release(t)
	})
}
