package session

import "time"

// When a session with stream management ends, the stanzas that its client has not
// acknowledged are handed on before the session leaves (XEP-0198 section 4,
// https://xmpp.org/extensions/xep-0198.html#acking). Until all are, the session takes new
// ones, which follow in order.

// Ending reports whether the session's client can no longer be reached. Such a session may
// still take stanzas (see Send), which are then handed on to others: do not choose it to
// hand on to. Any goroutine may call it.
func (s *Session) Ending() bool { return s.has(flagClosing | flagGone | flagSlow | flagLeft) }

// handOn has a worker hand on the stanzas that the client has not acknowledged, and then
// call after. It returns false if there are none; from then on the session takes none.
func (s *Session) handOn(after func(*Turn)) bool {
	if !s.has(flagManaged) {
		return false
	}
	x := s.cold.Load()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.handing {
		return true
	}
	if x.queue() == nil {
		x.disowned = true
		return false
	}
	x.handing = true
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

// handOnAll passes the stanzas to the router, oldest first, until there are none.
func (s *Session) handOnAll(t *Turn) {
	var b []byte
	for {
		var x Unacked
		var more bool
		if b, x, more = s.oldestUnacked(b); !more {
			return
		}
		s.handOnOne(t, x)
		countEvents.Add(t, eventHandedOn, 1)
		s.dropOldest()
		t.Pause()
	}
}

// Unacked is a stanza that a client has not acknowledged.
type Unacked struct {
	Stanza  []byte    // as it was sent
	Sent    time.Time // to the millisecond
	Stamped bool      // it is a message that SendStamped has sent
}

// oldestUnacked copies the oldest stanza to buf, which it returns. If there is none, the
// session takes no more.
func (s *Session) oldestUnacked(buf []byte) (_ []byte, u Unacked, more bool) {
	x := s.cold.Load()
	x.mu.Lock()
	defer x.mu.Unlock()
	q := x.queue()
	if q == nil {
		x.disowned = true
		return buf, Unacked{}, false
	}
	oldest, at, stamped := q.oldest()
	buf = append(buf[:0], oldest...)
	return buf, Unacked{buf, time.UnixMilli(at), stamped}, true
}

func (s *Session) dropOldest() {
	x := s.cold.Load()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.queue() != nil { // it is empty if the account was removed in the meantime
		x.drop(s.mgr, 1)
	}
}

// handOnOne passes a stanza to the router. A panic does not keep the others from being
// handed on.
func (s *Session) handOnOne(t *Turn, u Unacked) {
	defer func() {
		if v := recover(); v != nil {
			s.mgr.Recovered(v, s)
		}
	}()
	s.mgr.config().Router.HandOn(t, s, u)
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
	x.disowned = true
	if q := x.queue(); q != nil {
		x.drop(m, q.len)
	}
}
