package session

import (
	"sync"
	"time"
)

// This file decides when a client is asked to acknowledge stanzas (XEP-0198 section 4,
// https://xmpp.org/extensions/xep-0198.html#acking), and what happens if it does not respond.
// acks.go handles the acknowledgements.

// Until Config.AckInterval has passed since a request, the next one is sent only when this
// many stanzas, or stanzas of this many bytes, are unacknowledged.
const (
	ackBatch      = 16
	ackBatchBytes = 8 << 10
)

// requestAck queues a request for an acknowledgement if there is something to acknowledge
// and no request is outstanding. It is called before output is flushed, so the request is
// part of the same write, unless the outbox has no space for both: see Drained. A client that
// is sent many stanzas is not asked after each, because a request and its response cost as
// much as a stanza.
func (s *Session) requestAck(t *Turn) {
	x := s.cold.Load()
	x.mu.Lock()
	defer x.mu.Unlock()
	q := x.queue()
	if q == nil || q.asked != 0 || s.has(flagClosing|flagGone|flagSlow|flagDetached) {
		return
	}
	if x.is(coldPaced) && q.len < ackBatch && q.bytes() < ackBatchBytes || !s.queueReserved(ackRequest, units{}) {
		return
	}
	if f := s.mgr.config().Sent; f != nil {
		f(ackRequest)
	}
	if s.has(flagTapped) {
		s.tapSent(ackRequest)
	}
	q.asked, q.unconfirmed = int64(max(1, t.Now().Sub(s.mgr.started))), 0
	if !x.is(coldListed) {
		x.mark(coldListed)
		s.mgr.awaited.add(s)
	}
	if !x.is(coldPaced) && s.mgr.paced.add(s) {
		x.mark(coldPaced)
	}
}

// paced lists the sessions that were asked for an acknowledgement less than
// Config.AckInterval ago, roughly: it is checked once in that time.
type paced struct {
	m        *Manager
	mu       sync.Mutex
	sessions []*Session
	next     *time.Timer // the next check; nil: none is scheduled
}

// add returns false if requests need no interval.
func (p *paced) add(s *Session) bool {
	interval := p.m.config().AckInterval
	if interval <= 0 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sessions = append(p.sessions, s)
	if p.next == nil {
		p.next = time.AfterFunc(interval, p.check)
	}
	return true
}

// soon schedules the next check for a Config.AckInterval that has changed.
func (p *paced) soon() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next != nil && p.next.Stop() { // otherwise, check is running
		p.next.Reset(max(0, p.m.config().AckInterval))
	}
}

// check empties the list, and asks the clients of sessions that have not acknowledged
// everything.
func (p *paced) check() {
	p.mu.Lock()
	sessions := p.sessions
	p.sessions, p.next = nil, nil
	p.mu.Unlock()
	for _, s := range sessions {
		if s.unpaced() {
			s.runOnLoop(s.flushLater) // which requests it
		}
	}
}

// unpaced lets the session request an acknowledgement again, and reports whether there is
// something to request.
func (s *Session) unpaced() bool {
	x := s.cold.Load()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.unmark(coldPaced)
	q := x.queue()
	return q != nil && q.asked == 0 && !s.has(flagClosing|flagGone|flagDetached)
}

// awaited lists sessions with an outstanding request for an acknowledgement, and some that
// no longer have one.
type awaited struct {
	m        *Manager
	mu       sync.Mutex
	sessions []*Session
	next     *time.Timer // the next check; nil: none is scheduled
}

func (a *awaited) add(s *Session) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sessions = append(a.sessions, s)
	a.arm()
}

// arm schedules one check. Under mu.
func (a *awaited) arm() {
	if a.next == nil {
		a.next = time.AfterFunc(a.interval(), a.check)
	}
}

// interval is the time between two checks. The list is also checked if Config.AckTimeout is off,
// because it may be set later, and because sessions that have ended must leave the list.
func (a *awaited) interval() time.Duration {
	if timeout := a.m.config().AckTimeout; timeout > 0 {
		return max(timeout/8, 10*time.Millisecond)
	}
	return time.Minute
}

// soon schedules the next check for a Config.AckTimeout that has changed.
func (a *awaited) soon() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.next != nil && a.next.Stop() { // otherwise, check is running
		a.next.Reset(a.interval())
	}
}

// check ends the sessions whose client has not responded to a request for Config.AckTimeout.
func (a *awaited) check() {
	a.mu.Lock()
	sessions := a.sessions
	a.sessions, a.next = nil, nil
	a.mu.Unlock()
	timeout := a.m.config().AckTimeout
	now := time.Since(a.m.started)
	kept := sessions[:0]
	for _, s := range sessions {
		if s.awaits(timeout, now) {
			kept = append(kept, s)
		}
	}
	clear(sessions[len(kept):])
	if len(kept) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sessions = append(kept, a.sessions...)
	a.arm()
}

// awaits reports whether the session has an outstanding request and time to respond. If the
// time is over, it ends the session.
func (s *Session) awaits(timeout, now time.Duration) bool {
	x := s.cold.Load()
	x.mu.Lock()
	defer x.mu.Unlock()
	q := x.queue()
	outstanding := q != nil && q.asked != 0
	switch {
	case outstanding && timeout <= 0:
		return true
	case outstanding && (s.has(flagBusy|flagThrottled) || q.receiving(s.Conn().Unconfirmed())):
		// The client may have responded: its input waits, for the store or because of
		// Config.FanoutRate. Or it is still receiving what was sent before the request. Start
		// its time again.
		q.asked = int64(max(1, now))
		return true
	case outstanding && now-time.Duration(q.asked) < timeout:
		return true
	case outstanding:
		s.endOnLoop(func(t *Turn) { s.unresponsive(t, timeout) })
	}
	x.unmark(coldListed)
	return false
}

// unresponsive ends the session unless its client has responded in the meantime.
func (s *Session) unresponsive(t *Turn, timeout time.Duration) {
	x := s.cold.Load()
	x.mu.Lock()
	q := x.queue()
	over := q != nil && q.asked != 0 && time.Since(s.mgr.started)-time.Duration(q.asked) >= timeout
	if q != nil && q.asked != 0 && !over && !x.is(coldListed) {
		x.mark(coldListed) // for a later request
		s.mgr.awaited.add(s)
	}
	x.mu.Unlock()
	if !over || s.has(flagClosing) {
		return
	}
	countEvents.Add(t, eventAckTimeout, 1)
	if s.canWait() {
		s.Conn().Close(0)
		return
	}
	s.end(t, ErrConnectionTimeout.WithText("The request to acknowledge stanzas was not answered."))
}
