package session

import (
	"slices"
	"time"
)

// A session that can be resumed (XEP-0198 section 5,
// https://xmpp.org/extensions/xep-0198.html#resumption) does not end when its connection is
// lost: it is detached. It stays in the tables and available, and keeps the stanzas for its
// client, until the client resumes it (resume.go) or its time is over. It has no timer.

// Detached reports whether the session has no connection, and waits for its client to resume
// it. Any goroutine may call it.
func (s *Session) Detached() bool { return s.has(flagDetached) && !s.has(flagClosing) }

// disconnected makes the session detached, if it can be resumed: from now on, what is sent
// to it waits. Only the session's loop may call it, after the connection has lost its
// socket. awaitResume has to follow.
func (s *Session) disconnected() bool {
	x := s.cold.Load()
	if x == nil || !s.has(flagManaged) || s.has(flagClosing|flagLeft) {
		return false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.number == 0 || !s.set(flagDetached) {
		return false
	}
	s.mgr.detached.count.Add(1)
	s.unset(flagSlow)
	if q := x.queue(); q != nil {
		q.asked = 0
	}
	return true
}

// awaitResume is called on the session's loop, when no worker has the session, after
// disconnected has returned true. It returns false if the session has to end instead.
func (s *Session) awaitResume(t *Turn, err error) bool {
	m := s.mgr
	if s.has(flagClosing|flagLeft) || m.endsAll() {
		return false
	}
	s.freePartial(t)
	s.parser.Reset()
	x := s.cold.Load()
	x.mu.Lock()
	s.conn.Store(s.Conn().Vacant()) // it no longer needs its own
	s.await(x)
	if q := x.queue(); q != nil {
		q.fit()
	}
	x.mu.Unlock()
	countEvents.Add(t, eventDetached, 1)
	s.publishDetached(err)
	if m.debug() {
		m.config().Logger.Debug("session detached", "jid", s.FullJID(), "err", err)
	}
	return true
}

// await lets the detached session wait for its client from now on. Under x.mu.
func (s *Session) await(x *coldState) {
	m := s.mgr
	x.until = m.second() + uint16(x.mayWait(m)/time.Second) + 1
	m.detached.add(s, x)
}

// canWait reports whether the session becomes detached, or is, when its connection is lost.
func (s *Session) canWait() bool {
	x := s.cold.Load()
	if x == nil || !s.has(flagManaged) || s.has(flagClosing|flagLeft) || s.mgr.endsAll() {
		return false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.number != 0
}

// retire is called when the session ends. It records how many of the client's stanzas were
// handled, for a client that tries to resume the session later.
func (s *Session) retire() {
	x := s.cold.Load()
	if x == nil || !s.has(flagManaged) {
		return
	}
	x.mu.Lock()
	number := x.number
	x.noLongerRestored(&s.mgr.restored.ended)
	x.mu.Unlock()
	if number != 0 {
		s.mgr.past.add(s.BareJID(), number, x.handled)
	}
	if s.has(flagDetached) {
		s.set(flagGone)
		s.attached()
	}
}

// Detached returns the number of sessions that have no connection and wait for their clients.
func (m *Manager) Detached() int { return max(0, int(m.detached.count.Load())) }

// attached undoes disconnected: the session has a connection again, or ends.
func (s *Session) attached() {
	s.unset(flagDetached)
	s.mgr.detached.count.Add(-1)
}

// second is the clock of coldState.until.
func (m *Manager) second() uint16 { return uint16(time.Since(m.started) / time.Second) }

// expire ends the session if it is still detached.
func (s *Session) expire(t *Turn) {
	x := s.cold.Load()
	x.mu.Lock()
	over := s.has(flagDetached) && int16(x.until-s.mgr.second()) <= 0 && !s.mgr.keeping.Load()
	x.mu.Unlock()
	if !over || !s.set(flagClosing) {
		return
	}
	s.endedBecause(endedLost, nil)
	s.release(t)
}

// The time that a client may take to resume its session is stored in one byte: in seconds up
// to a minute, in minutes up to an hour, and in hours from then on, rounded down.
const (
	waitNever = 0   // the session cannot be resumed
	waitMost  = 126 // maxResumeTimeout
	waitFull  = 255 // Config.ResumeTimeout
)

// waitCode returns the code for the time, in seconds, that a client has requested.
func waitCode(seconds uint32) uint8 {
	for c := uint8(waitMost); c > waitNever; c-- {
		if waitSeconds(c) <= seconds {
			return c
		}
	}
	return waitNever
}

// waitSeconds returns the time for a code other than waitFull.
func waitSeconds(c uint8) uint32 {
	switch {
	case c <= 60:
		return uint32(c)
	case c < 120:
		return uint32(c-59) * 60
	}
	return uint32(c-118) * 3600
}

// mayWait returns how long the session waits for its client.
func (x *coldState) mayWait(m *Manager) time.Duration {
	most := min(max(m.config().ResumeTimeout, 0), maxResumeTimeout)
	if x.wait == waitFull {
		return most
	}
	return min(most, time.Duration(waitSeconds(x.wait))*time.Second)
}

// maxResumeTimeout limits Config.ResumeTimeout: coldState.until has 16 bits.
const maxResumeTimeout = 8 * time.Hour

// fit gives the queue a buffer of exactly its size: one from the pool may be larger, and a
// detached session may wait for a long time.
func (q *ackQueue) fit() {
	if cap(q.buf)-q.bytes() > 256 {
		q.next -= q.head
		q.buf = slices.Clip(slices.Clone(q.buf[q.head:]))
		q.head = 0
	}
}
