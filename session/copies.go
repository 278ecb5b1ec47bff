package session

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
)

// If several sessions of an account were sent a message, it is handed on only if none of
// them has acknowledged it. The entry of each copy records how many copies there are, and how
// many of the other sessions have ended without acknowledging theirs. A session that ends
// passes its number on to another one that still has the message. If there is none, either
// all have ended, and this one hands the message on, or one has acknowledged it.

// Copies identifies the copies of one message: a number, how many there are (8 bits), and
// in an entry of a queue how many of the others are lost (8 bits). 0: it is the only one.
type Copies int64

// NewCopies returns the identification of n copies.
func (m *Manager) NewCopies(n int) Copies {
	if n < 2 || n > 255 {
		return 0
	}
	return Copies(m.copies.number.Add(1)<<16 | int64(n)<<8)
}

// copiesUsed makes NewCopies use higher numbers than this one.
func (m *Manager) copiesUsed(number int64) {
	for last := m.copies.number.Load(); number > last; last = m.copies.number.Load() {
		if m.copies.number.CompareAndSwap(last, number) {
			return
		}
	}
}

func (c Copies) number() int64 { return int64(c) >> 16 }
func (c Copies) all() int      { return int(c >> 8 & 0xff) }
func (c Copies) lost() int     { return int(c & 0xff) }

// CopyFlags say more of a copy of a message.
type CopyFlags uint8

// The flags of a copy.
const (
	CopyStamped   CopyFlags = 1 << iota // it has a delay stamp: see SendStamped
	CopyElsewhere                       // sessions on other nodes are sent the message, too: see TakeOver
)

// SendCopy is SendBytes, or SendStamped, for one of the copies of a message. If c is 0, it is
// the only one here.
func (s *Session) SendCopy(t *Turn, message []byte, c Copies, flags CopyFlags) bool {
	return s.sendUnit(t, message, units{stamped: flags&CopyStamped != 0, elsewhere: flags&CopyElsewhere != 0, copies: c})
}

// TakeOver makes copies of a message that the session has not acknowledged independent of those
// on other nodes: these are lost. It reports whether the session has such a copy; if ended is
// true, it may have been handed on before. Any goroutine may call it.
func (s *Session) TakeOver(message []byte) (found, ended bool) {
	if !s.has(flagManaged) {
		return false, false
	}
	x := s.cold.Load()
	x.mu.Lock()
	defer x.mu.Unlock()
	q := x.queue()
	if q == nil {
		return false, false
	}
	for e := range q.all() {
		if bytes.Equal(e.stanza, message) {
			e.isolate()
			found = true
		}
	}
	return found, found && x.is(coldHanding)
}

// CopiesFailed records that n of the copies for these sessions could not be sent. It returns
// false if none of the sessions is responsible for the message: those that took it have ended
// or have acknowledged it.
func CopiesFailed(to []*Session, c Copies, n int) bool {
	for _, s := range to {
		if s.loseCopies(map[int64]int{c.number(): n})[c.number()] {
			return true
		}
	}
	return slices.ContainsFunc(to, func(s *Session) bool { return !s.has(flagManaged) && !s.Ending() })
}

// settleCopies decides which of the session's n oldest stanzas are not handed on, because
// another session has them or has acknowledged them. The worker that hands on calls it.
func (s *Session) settleCopies(n int) {
	mine := s.copiesOf(n)
	if len(mine) == 0 {
		return
	}
	c := &s.mgr.copies
	c.mu.Lock()
	defer c.mu.Unlock()
	left := make(map[int64]int, len(mine)) // those for which no session was found: how many are lost with ours
	for _, id := range s.copiesOf(n) {     // again, with what others have passed on
		left[id.number()] = id.lost() + 1
	}
	for o := s.mgr.First(s.BareJID()); o != nil && len(left) > 0; o = o.Next() {
		if o == s {
			continue
		}
		for number := range o.loseCopies(left) {
			delete(left, number)
		}
	}
	s.settleWhere(n, func(id Copies) bool {
		lost, ok := left[id.number()]
		return !ok || lost < id.all()
	})
}

// settleWhere has those copies among the session's n oldest stanzas for which which is true not be
// handed on.
func (s *Session) settleWhere(n int, which func(Copies) bool) {
	x := s.cold.Load()
	x.mu.Lock()
	defer x.mu.Unlock()
	q := x.queue()
	if q == nil {
		return
	}
	for e := range q.first(n) {
		if e.flags&(ackCopied|ackSettled) == ackCopied && which(Copies(e.id)) {
			e.settle()
		}
	}
}

// settleAcked decides which copies are not to be handed on because another session has
// acknowledged the message. It is for a session that is about to be saved: where it ends, nothing
// is known of the others.
func (s *Session) settleAcked() {
	if len(s.copiesOf(math.MaxInt)) == 0 {
		return
	}
	c := &s.mgr.copies
	c.mu.Lock()
	defer c.mu.Unlock()
	acked := make(map[int64]int) // nothing is added to their numbers of lost copies
	for _, id := range s.copiesOf(math.MaxInt) {
		if id.lost()+1 < id.all() {
			acked[id.number()] = 0
		}
	}
	for o := s.mgr.First(s.BareJID()); o != nil && len(acked) > 0; o = o.Next() {
		if o == s {
			continue
		}
		for number := range o.loseCopies(acked) {
			delete(acked, number)
		}
	}
	s.settleWhere(math.MaxInt, func(id Copies) bool {
		_, ok := acked[id.number()]
		return ok
	})
}

// copiesOf returns the copies among the session's n oldest stanzas.
func (s *Session) copiesOf(n int) (all []Copies) {
	x := s.cold.Load()
	x.mu.Lock()
	defer x.mu.Unlock()
	q := x.queue()
	if q == nil || q.copied == 0 {
		return nil
	}
	for e := range q.first(n) {
		if e.flags&(ackCopied|ackSettled) == ackCopied {
			all = append(all, Copies(e.id))
		}
	}
	return all
}

// loseCopies adds to the numbers of lost copies, and returns which of them the session has.
func (s *Session) loseCopies(lost map[int64]int) (found map[int64]bool) {
	if !s.has(flagManaged) {
		return nil
	}
	x := s.cold.Load()
	x.mu.Lock()
	defer x.mu.Unlock()
	q := x.queue()
	if q == nil || q.copied == 0 {
		return nil
	}
	for e := range q.all() {
		if e.flags&(ackCopied|ackSettled) != ackCopied {
			continue
		}
		if n, ok := lost[Copies(e.id).number()]; ok {
			binary.LittleEndian.PutUint64(e.head[ackHeader:], uint64(e.id)+uint64(n))
			if found == nil {
				found = make(map[int64]bool)
			}
			found[Copies(e.id).number()] = true
		}
	}
	return found
}
