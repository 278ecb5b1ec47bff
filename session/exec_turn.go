package session

import (
	"time"

	"roost/parser"
	"roost/stanza"
)

// Turn is what one goroutine may use without a lock while it works on one batch
// of input: a clock, scratch memory, and the sessions that were written to.
// Each loop has one and each worker has one.
type Turn struct {
	m       *Manager
	loop    int  // -1 on a worker
	kind    Work // of a worker's jobs; Done on a loop
	now     time.Time
	scratch *parser.Scratch // nil on a worker
	dirty   []*Session
	buf     []byte
	stanza  stanza.Stanza // the one that the loop is at
	carried any           // see Carry
	held    *parser.Tape  // presence of the session that the loop is at, which the next stanza may replace

	cost      int64       // of all that was done
	charged   int64       // the part of it that was held against an account, or against nobody
	budget    int64       // the cost at which this turn has done enough
	postponed []postponed // what earlier turns have not done
	posted    bool        // the loop will call runPostponed
}

// keepBuf is the largest scratch buffer that a turn keeps, in bytes.
const keepBuf = 64 << 10

func newTurn(m *Manager, loop int) *Turn {
	return &Turn{m: m, loop: loop, scratch: parser.NewScratch(m.cfg.Limits), budget: turnBudget}
}

// MayBlock reports whether this is a worker's turn: only there the store may be
// read, and nothing waits for a socket anywhere.
func (t *Turn) MayBlock() bool { return t.loop < 0 }

// MayWrite reports whether this is the turn of a worker for writes: only there
// the store may be written to. The others never wait for a commit, so that
// clients that log in do not.
func (t *Turn) MayWrite() bool { return t.kind == Write }

// MayDerive reports whether this is the turn of a worker that derives keys: a limited
// number of goroutines do that for everybody, so that they cannot starve the loops, and
// they serve the networks of the clients in turn.
func (t *Turn) MayDerive() bool { return t.kind == Derive }

// Carry keeps v for the next step of the stanza that the turn is at: what a step on one
// worker has found out, for the one on another. Only for the steps of a stanza on workers.
func (t *Turn) Carry(v any) {
	if !t.MayBlock() {
		panic("session: BUG: a loop carries something")
	}
	t.carried = v
}

// Carried is what the step before gave to Carry, nil if there was none.
func (t *Turn) Carried() any { return t.carried }

// Now is the time at which the turn began.
func (t *Turn) Now() time.Time {
	if t.now.IsZero() {
		t.now = time.Now()
	}
	return t.now
}

// Buf lends an empty scratch slice for writing one stanza. The caller gives it
// back with Keep; calls may nest, the inner one then gets memory of its own.
func (t *Turn) GetBuf() []byte {
	b := t.buf
	t.buf = nil
	return b[:0]
}

// Keep takes back what Buf lent.
func (t *Turn) PutBuf(b []byte) {
	if cap(b) <= keepBuf {
		t.buf = b
	}
}

// Flush writes out all that was queued in this turn: many writes to one session
// leave in one system call. It happens by itself at the turn's end.
func (t *Turn) Flush() {
	for i, s := range t.dirty {
		// The flag goes first: who queues after this flushes for itself.
		s.unset(flagDirty)
		s.conn.Flush()
		t.dirty[i] = nil
	}
	t.dirty = t.dirty[:0]
}

func (t *Turn) end() {
	t.Flush()
	t.now = time.Time{}
	t.carried = nil // also where a step panics
	t.budget = t.cost + turnBudget
	t.charged = t.cost
}

// Appender is anything that can write itself as XML.
type Appender interface {
	AppendXML(dst []byte) []byte
}

// Send converts x to bytes and writes them to the connection. False means that
// the session takes nothing any more.
func (s *Session) Send(t *Turn, x Appender) bool {
	b := x.AppendXML(t.GetBuf())
	ok := s.SendBytes(t, b)
	t.PutBuf(b)
	return ok
}

// SendBytes writes b to the connection, whole or not at all; b is copied. It is one
// stanza, or another unit of the stream: a first-level element, our stream header, or
// the end of the stream. So each can be counted (XEP-0198) and framed (RFC 7395) on its
// own. It leaves at the end of the turn. False means that the session takes nothing any
// more: its connection is closed, or its outbox is full because the client does not
// read.
func (s *Session) SendBytes(t *Turn, b []byte) bool {
	if f := s.mgr.cfg.Sent; f != nil {
		f(b)
	}
	return s.write(t, b)
}

// SendBatch is SendBytes for several stanzas in one write, all or none of them: b has
// them one after another, and ends says where each ends. An outbox takes one write that
// is larger than itself, which many small ones are not.
func (s *Session) SendBatch(t *Turn, b []byte, ends []int) bool {
	if f := s.mgr.cfg.Sent; f != nil {
		begin := 0
		for _, end := range ends {
			f(b[begin:end])
			begin = end
		}
	}
	return s.write(t, b)
}

func (s *Session) write(t *Turn, b []byte) bool {
	if s.has(flagSlow | flagGone) {
		return false
	}
	t.CountDelivery(len(b))
	if s.conn.Queue(b) != nil && !s.queueAgain(b) {
		s.overflow()
		return false
	}
	if s.set(flagDirty) {
		t.dirty = append(t.dirty, s)
	}
	return true
}

// queueAgain queues b behind what the socket takes at once: what was written in
// this turn has not been offered to it yet, and a client is not slow for that.
func (s *Session) queueAgain(b []byte) bool {
	s.conn.Flush()
	return s.conn.Queue(b) == nil
}
