package session

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v3"

	"roost/internal/loglimit"
)

// While all clients together have more unacknowledged than Config.UnackedMemory, sessions end
// until a quarter of that is free: first those of the account with the most, whether it is sent
// anything or not, and whether its clients are connected or may resume their sessions. Clients
// that have much for a moment, such as a roster, keep their sessions, as long as others have more.

// largeQueues lists the sessions whose queue has more than unackedShare. Only they are looked at
// when there has to be room. A queue is on the list until it has less than half of that, so one
// that is filled and acknowledged again and again seldom comes and goes.
type largeQueues struct {
	m    *Manager
	all  *xsync.MapOf[*coldState, *Session]
	busy atomic.Bool // check runs or is scheduled
	log  *loglimit.Limit
}

// Limits of what ends to make room.
const (
	// roomInterval is the least time between two looks at the list.
	roomInterval = 10 * time.Millisecond

	// roomAge is the age of a stanza that a client which acknowledges would have acknowledged.
	roomAge = 10 * time.Second
)

// accountShare returns how much the large queues of an account may have, in bytes, without an
// old stanza: many small queues may leave no room for the others, which then must not end
// as soon as they have been sent a roster.
func accountShare(limit int64) int { return int(max(unackedShare, limit/1024)) }

// roomy returns the size of all queues down to which sessions end.
func roomy(limit int64) int64 { return limit - limit/4 }

// crowded returns the size of all queues above which every session that is sent a stanza, and has
// more than its share, loses its connection: they grow faster than sessions can end.
func crowded(limit int64) int64 { return limit + limit/2 }

// grew is called after the session's queue has grown. Under x.mu.
func (l *largeQueues) grew(s *Session, x *coldState) {
	if q := x.queue(); q.bytes() > unackedShare && !q.listed {
		q.listed = true
		l.all.Store(x, s)
	}
	if l.m.unackedBytes.Load() > l.m.config().UnackedMemory {
		l.start()
	}
}

// shrank is called after the queue has shrunk. Under x.mu.
func (l *largeQueues) shrank(x *coldState) {
	if q := x.queue(); q.listed && q.bytes() < unackedShare/2 {
		q.listed = false
		l.all.Delete(x)
	}
}

// start makes room in the background.
func (l *largeQueues) start() {
	if !l.busy.Load() && l.busy.CompareAndSwap(false, true) {
		time.AfterFunc(0, l.check)
	}
}

// check makes room, again and again while that is necessary. It uses a tenth of a CPU at most.
func (l *largeQueues) check() {
	m, began := l.m, time.Now()
	limit := m.config().UnackedMemory
	switch {
	case m.stopping.Load():
		return // all sessions end, or are saved
	case m.unackedBytes.Load() > limit:
		l.makeRoom(limit)
		time.AfterFunc(max(roomInterval, 10*time.Since(began)), l.check)
		return
	}
	l.busy.Store(false)
	if m.unackedBytes.Load() > limit { // what has grown since found it busy
		l.start()
	}
}

// largeQueue is a queue of largeQueues.
type largeQueue struct {
	session *Session
	bytes   int
	old     bool // it has a stanza of more than roomAge
}

// queueHolder is an account with large queues.
type queueHolder struct {
	account string
	bytes   int
	queues  []largeQueue
}

// makeRoom ends sessions, so that all queues are down to roomy(limit). It does not wait for that.
func (l *largeQueues) makeRoom(limit int64) {
	holders, leaving := l.holders()
	over := l.m.unackedBytes.Load() - roomy(limit) - leaving
	first, ended := "", 0
	for i := range holders {
		h := &holders[i]
		for _, q := range h.queues {
			if over <= 0 {
				break
			}
			if h.bytes <= accountShare(limit) && !q.old {
				continue
			}
			over -= int64(q.bytes)
			first = cmp.Or(first, h.account)
			ended++
			q.session.endOnLoop(q.session.giveWay)
		}
	}
	if ended > 0 && l.log.Allow() {
		l.m.config().Logger.Warn("clients have not acknowledged more stanzas than --unacked-memory allows: sessions of the accounts with the most end",
			"sessions", ended, "jid", first, "limit", limit)
	}
}

// holders returns the accounts that have large queues, and their queues, those with the most first.
// leaving is the size of the queues that are being handed on, or are about to be; the accounts do not
// include them.
func (l *largeQueues) holders() (all []queueHolder, leaving int64) {
	old := time.Now().Add(-roomAge).UnixMilli()
	index := make(map[string]int)
	l.all.Range(func(x *coldState, s *Session) bool {
		q := s.large(x, old)
		switch {
		case s.Ending():
			leaving += int64(q.bytes)
			return true
		case q.bytes <= unackedShare: // it has shrunk
			return true
		}
		account := s.BareJID()
		i, known := index[account]
		if !known {
			i = len(all)
			index[account] = i
			all = append(all, queueHolder{account: account})
		}
		all[i].bytes += q.bytes
		all[i].queues = append(all[i].queues, q)
		return true
	})
	slices.SortFunc(all, func(a, b queueHolder) int { return cmp.Compare(b.bytes, a.bytes) })
	for _, h := range all {
		slices.SortFunc(h.queues, func(a, b largeQueue) int { return cmp.Compare(b.bytes, a.bytes) })
	}
	return all, leaving
}

// large describes the session's queue. old is the time before which a stanza is old.
func (s *Session) large(x *coldState, old int64) largeQueue {
	x.mu.Lock()
	defer x.mu.Unlock()
	q := x.queue()
	if q == nil {
		return largeQueue{session: s}
	}
	return largeQueue{s, q.bytes(), entryAt(q.buf[q.head:]).at < old}
}

// giveWay ends the session, if there still has to be room. It ends even if its client could resume
// it: a session that waits keeps its queue.
func (s *Session) giveWay(t *Turn) {
	m, x := s.mgr, s.cold.Load()
	if s.has(flagClosing|flagLeft) || m.keeping.Load() || m.unackedBytes.Load() <= roomy(m.config().UnackedMemory) || s.large(x, 0).bytes <= unackedShare {
		return
	}
	countEvents.Add(t, eventOverflow, 1)
	if !s.has(flagDetached) {
		s.end(t, ErrResourceConstraint.WithText("The client has not acknowledged stanzas, and the server needs the memory that they take."))
		return
	}
	s.set(flagClosing)
	s.endedBecause(endedSlow, nil)
	s.release(t)
}
