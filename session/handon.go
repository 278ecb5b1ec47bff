package session

import "time"

// When a session with stream management ends, the stanzas that its client has not
// acknowledged are handed on before the session leaves (XEP-0198 section 4,
// https://xmpp.org/extensions/xep-0198.html#acking). Until all are, the session takes new
// ones, which follow in order.

// Ending reports whether the session's client can no longer be reached. Such a session may
// still take stanzas (see Send), which are then handed on to others, so it must not be chosen
// as one that stanzas are handed on to. A detached session is not ending. Any goroutine may
// call it.
func (s *Session) Ending() bool { return s.has(endingFlags) }

const endingFlags = flagClosing | flagGone | flagSlow | flagLeft

// HandsOn reports whether the session is ending and hands on the stanzas that it still takes.
// One that is moving to another node does not: they are sent to its client there. Any goroutine
// may call it.
func (s *Session) HandsOn() bool {
	state := s.state.Load()
	return state&flagManaged != 0 && state&endingFlags != 0 && state&flagMoving == 0
}

// handOn makes a worker hand on the stanzas that the client has not acknowledged, and then
// call after. It returns false if there are none; from then on the session takes no more.
func (s *Session) handOn(after func(*Turn)) bool {
	if !s.has(flagManaged) {
		return false
	}
	x := s.cold.Load()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.is(coldHanding) {
		return true
	}
	if x.queue() == nil {
		x.mark(coldDisowned)
		return false
	}
	x.mark(coldHanding)
	m := s.mgr
	m.leaving.Add(1)
	if m.writes.submit(func(t *Turn) {
		defer m.leaving.Add(-1)
		s.handOnAll(t)
		after(t)
	}) {
		return true
	}
	m.leaving.Add(-1)
	m.config().Logger.Error("the server has stopped: stanzas that a client has not acknowledged are lost", "jid", s.FullJID())
	x.discard(m)
	return false
}

// handOnAll passes the stanzas to the router, oldest first, until there are none. If the
// router panics, the remaining stanzas are still handed on.
func (s *Session) handOnAll(t *Turn) {
	for {
		batches := 0
		if s.handOnBatches(t, &batches) {
			return
		}
		if batches == 0 {
			s.discardUnacked()
			return
		}
	}
}

// handOnBatches calls Router.HandOn and counts the batches that it got. It returns false if
// some may be left, after a panic.
func (s *Session) handOnBatches(t *Turn, batches *int) (done bool) {
	defer func() {
		if v := recover(); v != nil {
			s.mgr.Recovered(v, s)
		}
	}()
	var last unackedBatch
	s.mgr.config().Router.HandOn(t, s, func(yield func([]Unacked) bool) {
		for s.nextUnacked(&last) {
			*batches++
			if !s.handOnBatch(t, &last, yield) {
				return
			}
		}
		done = true
	})
	return done
}

// handOnBatch passes a batch to the router and drops it.
func (s *Session) handOnBatch(t *Turn, b *unackedBatch, yield func([]Unacked) bool) bool {
	defer s.dropOldest(b.entries) // also after a panic
	countEvents.Add(t, eventHandedOn, len(b.stanzas))
	more := yield(b.stanzas)
	t.Pause()
	return more
}

// Unacked is a stanza that a client has not acknowledged.
type Unacked struct {
	Stanza  []byte    // as it was sent
	Sent    time.Time // to the millisecond
	Stamped bool      // it is a message with a delay stamp of this server: see SendStamped
	ID      int64     // of a message that SendStored has sent, and that is in the store; otherwise 0

	// Elsewhere is set for a message that was sent with CopyElsewhere, unless TakeOver was
	// called for it since. None of the account's sessions here has acknowledged it.
	Elsewhere bool
}

// Limits of a batch.
const (
	unackedBatchLen   = 256
	unackedBatchBytes = 64 << 10 // and one stanza
)

// unackedBatch is the oldest stanzas of a queue.
type unackedBatch struct {
	entries uint32    // of the queue
	stanzas []Unacked // those that are to be handed on
	buf     []byte
}

// nextUnacked makes b a copy of the oldest stanzas. If there are none, it returns false, and
// the session takes no more.
func (s *Session) nextUnacked(b *unackedBatch) bool {
	s.settleCopies(unackedBatchLen)
	x := s.cold.Load()
	x.mu.Lock()
	defer x.mu.Unlock()
	q := x.queue()
	if q == nil {
		x.mark(coldDisowned)
		return false
	}
	size := 0
	b.entries = 0
	for e := range q.first(unackedBatchLen) {
		b.entries++
		if size += e.size(); size >= unackedBatchBytes {
			break
		}
	}
	b.buf = append(b.buf[:0], q.buf[q.head:q.head+size]...)
	b.stanzas = b.stanzas[:0]
	for rest := b.buf; len(rest) > 0; {
		e := entryAt(rest)
		rest = rest[e.size():]
		if e.flags&ackSettled != 0 {
			continue
		}
		u := Unacked{Stanza: e.stanza[:len(e.stanza):len(e.stanza)], Sent: time.UnixMilli(e.at), Stamped: e.flags&ackStamped != 0, Elsewhere: e.flags&ackElsewhere != 0}
		if e.flags&ackStored != 0 {
			u.ID = e.id
		}
		b.stanzas = append(b.stanzas, u)
	}
	return true
}

func (s *Session) dropOldest(n uint32) {
	x := s.cold.Load()
	x.mu.Lock()
	defer x.mu.Unlock()
	if q := x.queue(); q != nil { // it is empty if the account was removed in the meantime
		x.drop(s.mgr, min(n, q.len))
	}
}

// AppendStoredUnacked appends the IDs of the messages that SendStored has sent and that the
// client has not acknowledged. Any goroutine may call it.
func (s *Session) AppendStoredUnacked(ids []int64) []int64 {
	if !s.has(flagManaged) {
		return ids
	}
	x := s.cold.Load()
	x.mu.Lock()
	defer x.mu.Unlock()
	if q := x.queue(); q != nil {
		ids = q.appendStored(ids, q.len)
	}
	return ids
}

// MaxUnacked returns the size in bytes of the stanzas that a session may have unacknowledged
// (Config.Unacked).
func (m *Manager) MaxUnacked() int { return m.config().Unacked }

// MustAckStored reports whether the client has messages of SendStored unacknowledged, and
// limit or more bytes of stanzas in all. Any goroutine may call it.
func (s *Session) MustAckStored(limit int) bool {
	if !s.has(flagManaged) {
		return false
	}
	x := s.cold.Load()
	x.mu.Lock()
	defer x.mu.Unlock()
	q := x.queue()
	return q != nil && q.stored > 0 && q.bytes() >= limit
}

// MustAck reports whether the client has to acknowledge stanzas before it is sent what can wait
// (see OnAcked), because a queue that exceeds its limits ends the session. That is so if limit or
// more bytes are unacknowledged, or half of Config.Unacked, or half of the client's share while
// all clients together exceed Config.UnackedMemory. Any goroutine may call it.
func (s *Session) MustAck(limit int) bool {
	if !s.has(flagManaged) {
		return false
	}
	x := s.cold.Load()
	x.mu.Lock()
	defer x.mu.Unlock()
	return s.mgr.mustAck(x, limit)
}

// mustAck is MustAck under mu.
func (m *Manager) mustAck(x *coldState, limit int) bool {
	limit = min(limit, m.config().Unacked/2)
	if m.unackedBytes.Load() > m.config().UnackedMemory {
		limit = min(limit, unackedShare/2)
	}
	return x.queue().bytes() >= limit
}

// discardUnacked drops the stanzas of an account that was removed.
func (s *Session) discardUnacked() {
	if !s.has(flagManaged) {
		return
	}
	x := s.cold.Load()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.discard(s.mgr)
}

// discard empties the queue; from then on the session takes no more stanzas. Under mu.
func (x *coldState) discard(m *Manager) {
	x.mark(coldDisowned)
	if q := x.queue(); q != nil {
		x.drop(m, q.len)
	}
}
