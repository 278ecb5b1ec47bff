package session

import (
	"sync"
	"sync/atomic"
	"time"
)

// detachedList holds the detached sessions, and some that are no longer detached, by the
// second in which their time is over.
type detachedList struct {
	m     *Manager
	count atomic.Int64 // number of detached sessions

	mu    sync.Mutex
	due   map[uint16]*detachedPart
	next  uint16 // the second to check next
	armed bool   // a check is scheduled
}

// detachedPart holds some of the sessions whose time is over in the same second. It is part of
// a linked list, because all clients may lose their connections in one second: a single slice
// would be copied as it grows, while the list is locked.
type detachedPart struct {
	sessions []*Session // of a fixed capacity, not empty
	earlier  *detachedPart
}

// Sizes of a part: the first one of a second is small, because in most seconds few clients
// lose their connections.
const (
	minDetachedPart = 8
	maxDetachedPart = 1024
)

// with returns the list of parts with another session.
func (p *detachedPart) with(s *Session) *detachedPart {
	size := minDetachedPart
	if p != nil {
		if len(p.sessions) < cap(p.sessions) {
			p.sessions = append(p.sessions, s)
			return p
		}
		size = min(2*cap(p.sessions), maxDetachedPart)
	}
	return &detachedPart{sessions: append(make([]*Session, 0, size), s), earlier: p}
}

// take appends at most n sessions to dst, and returns the parts that are left.
func (p *detachedPart) take(dst []*Session, n int) ([]*Session, *detachedPart) {
	for p != nil && n > 0 {
		left := max(0, len(p.sessions)-n)
		n -= len(p.sessions) - left
		dst = append(dst, p.sessions[left:]...)
		clear(p.sessions[left:])
		p.sessions = p.sessions[:left]
		if left == 0 {
			p = p.earlier
		}
	}
	return dst, p
}

// maxTimedOut is the largest number of sessions that one check ends. The next check follows
// soon; in between, the loops serve others.
const maxTimedOut = 1000

// add puts the session on the list, where it may be already. Under x.mu.
func (l *detachedList) add(s *Session, x *coldState) {
	if x.is(coldWaiting) {
		return // check will see until
	}
	x.mark(coldWaiting)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.due == nil {
		l.due = make(map[uint16]*detachedPart)
	}
	if !l.armed {
		l.armed = true
		l.next = l.m.second()
		time.AfterFunc(time.Second, l.check)
	}
	second := x.until
	if int16(second-l.next) < 0 { // it was checked a moment ago
		second = l.next
	}
	l.due[second] = l.due[second].with(s)
}

// soon makes the next check look at all sessions on the list, because their time has become
// shorter. It begins now, or, for a session that has a connection again, when that is lost.
func (l *detachedList) soon() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for second, part := range l.due {
		if second == l.next {
			continue
		}
		last := part
		for last.earlier != nil {
			last = last.earlier
		}
		last.earlier = l.due[l.next]
		l.due[l.next] = part
		delete(l.due, second)
	}
}

// check ends the sessions whose time is over.
func (l *detachedList) check() {
	now := l.m.second()
	ended := l.take(now)
	for _, s := range ended {
		s.timeOver(now)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case len(l.due) == 0, l.m.stopping.Load() && l.count.Load() == 0:
		l.due, l.armed = nil, false
	case len(ended) == maxTimedOut:
		time.AfterFunc(10*time.Millisecond, l.check)
	default:
		time.AfterFunc(time.Second, l.check)
	}
}

// take removes at most maxTimedOut sessions from the list, up to the second now.
func (l *detachedList) take(now uint16) (ended []*Session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		var left *detachedPart
		if ended, left = l.due[l.next].take(ended, maxTimedOut-len(ended)); left != nil {
			l.due[l.next] = left
			return ended
		}
		delete(l.due, l.next)
		if l.next == now {
			return ended
		}
		l.next++
	}
}

// timeOver ends a session that was taken from the list, unless it has a connection, or has
// had one and got more time.
func (s *Session) timeOver(now uint16) {
	x := s.cold.Load()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.unmark(coldWaiting)
	switch {
	case !s.has(flagDetached) || s.has(flagClosing):
	case int16(x.until-now) > 0:
		if most := uint16(x.mayWait(s.mgr)/time.Second) + 1; x.until-now > most {
			x.until = now + most // Config.ResumeTimeout has become shorter since
		}
		s.mgr.detached.add(s, x)
	default:
		s.endOnLoop(s.expire)
	}
}
