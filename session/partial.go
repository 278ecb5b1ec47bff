package session

import (
	"container/list"
	"sync"
)

// partialFree is the size in bytes that the incomplete stanza of a client may always have,
// its tokens included, however much the others use: that of an ordinary stanza of 16 KiB. It
// is not counted.
const partialFree = 48 << 10

// partialStanzas is the least number of the largest stanzas (parser.Limits.MaxStanza) for
// whose bytes there is memory.
const partialStanzas = 16

// errPartialMemory ends a stream whose incomplete stanza needs too much memory, or whose
// memory others need more.
var errPartialMemory = ErrResourceConstraint.WithText("The server is out of memory for stanzas that have not arrived completely.")

// partials counts the memory of incomplete stanzas of the clients that have bound a resource,
// and limits it in total:
//
//   - Small ones are not counted, see partialFree.
//   - An account may hold at most as much as is still free: one account alone half of the
//     total, two accounts a third each, and so on. A stream that would exceed this ends.
//   - When three quarters of the total are in use, which takes at least three accounts, the
//     streams that have held memory for the longest time end: a client that sends a stanza
//     holds it for moments.
//
// A stanza that arrives in one piece is never counted. Memory before binding is counted by
// the connection, see Conn.Hold.
type partials struct {
	mu       sync.Mutex
	total    int64 // bytes
	leaving  int64 // the part of total that streams hold which are to end
	accounts map[string]*partialAccount
	streams  map[*Session]*list.Element // of oldest, or of no list if the stream is to end
	oldest   list.List                  // of *partial, in the order in which they began to hold memory
}

type partialAccount struct {
	bare    string // the key
	streams int
	held    int64 // bytes
}

type partial struct {
	s       *Session
	account *partialAccount
	held    int64 // bytes
	leaving bool
}

// set sets how many bytes a stream holds, and returns the streams that have to end instead.
// It returns false, and changes nothing, if the stream would hold more than it may.
func (p *partials) set(s *Session, n, limit int64) (end []*Session, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.streams[s]
	held, ofAccount := int64(0), int64(0)
	if a := p.accounts[s.BareJID()]; a != nil {
		ofAccount = a.held
	}
	if e != nil {
		held = e.Value.(*partial).held
	}
	if more := n - held; more > 0 && ofAccount+more > limit-p.total-more {
		return nil, false
	}
	if e == nil {
		e = p.add(s)
	}
	p.change(e.Value.(*partial), n)
	return p.evict(limit), true
}

// add begins to count a stream. Under mu.
func (p *partials) add(s *Session) *list.Element {
	if p.streams == nil {
		p.streams, p.accounts = make(map[*Session]*list.Element), make(map[string]*partialAccount)
	}
	bare := s.BareJID()
	a := p.accounts[bare]
	if a == nil {
		a = &partialAccount{bare: bare}
		p.accounts[bare] = a
	}
	a.streams++
	e := p.oldest.PushBack(&partial{s: s, account: a})
	p.streams[s] = e
	return e
}

// change sets how many bytes a stream holds. Under mu.
func (p *partials) change(x *partial, n int64) {
	more := n - x.held
	x.held = n
	x.account.held += more
	p.total += more
	if x.leaving {
		p.leaving += more
	}
}

// evict chooses the streams that have to end. Under mu.
func (p *partials) evict(limit int64) (end []*Session) {
	for 4*(p.total-p.leaving) > 3*limit {
		e := p.oldest.Front()
		if e == nil {
			break
		}
		x := e.Value.(*partial)
		p.oldest.Remove(e)
		x.leaving = true
		p.leaving += x.held
		end = append(end, x.s)
	}
	return end
}

// remove stops counting a stream.
func (p *partials) remove(s *Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.streams[s]
	if e == nil {
		return
	}
	x := e.Value.(*partial)
	p.change(x, 0)
	if x.account.streams--; x.account.streams == 0 {
		delete(p.accounts, x.account.bare)
	}
	if !x.leaving {
		p.oldest.Remove(e)
	}
	delete(p.streams, s)
	if len(p.streams) == 0 {
		p.streams, p.accounts = nil, nil // a map does not shrink
	}
}

// bytes returns the total.
func (p *partials) bytes() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.total
}

// mayHold counts the memory of the element that is incomplete after the parser's last step.
// If it is too much, mayHold ends the stream and returns false. It costs nothing if there is
// no such element.
func (s *Session) mayHold(t *Turn) bool {
	switch {
	case !s.has(flagBound):
		return s.hold(t, 0)
	case s.parser.Idle():
		s.dropPartial()
		return true
	}
	return s.holdPartial(t)
}

// holdPartial counts an incomplete stanza of a bound session.
func (s *Session) holdPartial(t *Turn) bool {
	m := s.mgr
	if !s.has(flagPartial) && s.parser.Used() <= partialFree {
		return true
	}
	c := m.config()
	limit := max(int64(c.PartialMemory), partialStanzas*int64(c.Limits.MaxStanza))
	end, ok := m.partials.set(s, int64(s.parser.Held()), limit)
	if !ok {
		s.endAfterHeld(t, errPartialMemory)
		return false
	}
	s.set(flagPartial)
	for _, x := range end {
		x.endOnLoop(x.evictPartial)
	}
	return true
}

// evictPartial ends the stream if its stanza is still incomplete. A session that can be
// resumed waits for its client, which then sends the stanza again.
func (s *Session) evictPartial(t *Turn) {
	switch {
	case !s.has(flagPartial):
	case s.canWait() && !s.has(flagDetached):
		s.supersede(t, errPartialMemory)
	default:
		s.end(t, errPartialMemory)
	}
}

// dropPartial stops counting an incomplete stanza, if one is counted.
func (s *Session) dropPartial() {
	if s.has(flagPartial) {
		s.unset(flagPartial)
		s.mgr.partials.remove(s)
	}
}
