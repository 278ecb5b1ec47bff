package session

import (
	"time"

	"roost/parser"
	"roost/stanza"
)

// Turn holds what one goroutine may use without a lock while it works on one batch of
// input: a clock, scratch memory, and the sessions with queued output. Each loop has one
// and each worker has one.
type Turn struct {
	m       *Manager
	loop    int  // -1 on a worker
	kind    Work // the kind of a worker's jobs; Done on a loop
	now     time.Time
	scratch *parser.Scratch // nil on a worker
	limits  parser.Limits   // of the scratch memory
	dirty   []*Session
	buf     []byte
	stanza  stanza.Stanza // the one that the loop is handling
	carried any           // see Carry
	gate    *Gate         // the one that the step of a stanza found full
	place   *Gate         // the one in which it got a place by waiting
	reader  *Session      // the last one that has had input in this turn
	held    *parser.Tape  // presence of the session that the loop is handling, which the next stanza may replace

	cost      int64       // the cost of all work so far
	charged   int64       // the part of cost that was charged to an account or is not charged to any
	budget    int64       // the value of cost at which the turn's budget is used up
	postponed []postponed // work that earlier turns have left
	posted    bool        // a call of runPostponed is posted
	mayQueue  bool        // the step is that of a stanza, which may wait at a Gate

	counts counts // see Counter
}

// keepBuf is the capacity of the largest scratch buffer that a turn keeps, in bytes.
const keepBuf = 64 << 10

func newTurn(m *Manager, loop int) *Turn {
	limits := m.config().Limits
	return &Turn{m: m, loop: loop, scratch: parser.NewScratch(limits), limits: limits, budget: turnBudget, counts: newCounts()}
}

// NewTurn returns a turn for a goroutine that does not belong to the manager. It may do
// what a worker for writes may. The goroutine must call End after each batch.
func (m *Manager) NewTurn() *Turn { return m.writes.newTurn() }

// End writes the output that was queued in a turn from NewTurn, and begins a new one.
func (t *Turn) End() { t.end() }

// MayBlock reports whether this is a worker's turn. Only workers may read from the store;
// no turn waits for a socket.
func (t *Turn) MayBlock() bool { return t.loop < 0 }

// MayWrite reports whether this is the turn of a worker for writes. Only these may write to
// the store. Other turns never wait for a commit, so logins do not.
func (t *Turn) MayWrite() bool { return t.kind == Write }

// MayDerive reports whether this is the turn of a worker that derives keys. Only a limited
// number of goroutines do that, so that they cannot starve the loops, and the clients'
// networks take turns at them.
func (t *Turn) MayDerive() bool { return t.kind == Derive }

// Carry passes v to the next step of the stanza that the turn is handling, which may run on
// another worker. Only for the steps of a stanza on workers.
func (t *Turn) Carry(v any) {
	if !t.MayBlock() {
		panic("session: BUG: Carry called on a loop")
	}
	t.carried = v
}

// Carried returns the value that the previous step passed to Carry, nil if there is none.
func (t *Turn) Carried() any { return t.carried }

// Now returns the time of its first call in this turn.
func (t *Turn) Now() time.Time {
	if t.now.IsZero() {
		t.now = time.Now()
	}
	return t.now
}

// GetBuf lends an empty scratch slice for writing one stanza. The caller returns it with
// PutBuf. Calls may nest; the inner one allocates.
func (t *Turn) GetBuf() []byte {
	b := t.buf
	t.buf = nil
	return b[:0]
}

// PutBuf returns a slice from GetBuf to the turn.
func (t *Turn) PutBuf(b []byte) {
	if cap(b) <= keepBuf {
		t.buf = b
	}
}

// Flush writes all output queued in this turn: many stanzas for one session are written
// with one system call. It is called automatically at the end of the turn.
func (t *Turn) Flush() {
	for i, s := range t.dirty {
		// Clear the flag first: output queued from here on is flushed by its own turn.
		s.unset(flagDirty)
		if s.has(flagManaged) {
			s.requestAck(t)
		}
		s.Conn().Flush()
		t.dirty[i] = nil
	}
	t.dirty = t.dirty[:0]
}

func (t *Turn) end() {
	t.Flush()
	t.now = time.Time{}
	t.carried = nil // also after a panic of a step
	t.reader = nil
	t.budget = t.cost + turnBudget
	t.charged = t.cost
	if t.scratch == nil {
		return
	}
	if now := &t.m.config().Limits; *now != t.limits { // SetConfig was called
		t.limits = *now
		t.scratch.SetLimits(*now)
	}
}

// Appender writes itself as XML.
type Appender interface {
	AppendXML(dst []byte) []byte
}

// Send queues x for the client. It returns false if the session accepts no more output; see
// SendBytes.
func (s *Session) Send(t *Turn, x Appender) bool {
	b := x.AppendXML(t.GetBuf())
	ok := s.SendBytes(t, b)
	t.PutBuf(b)
	return ok
}

// SendBytes queues a copy of b for the client, all or nothing. b is one stanza or another
// unit of the stream: a first-level element, our stream header, or the end of the stream.
// So each unit can be counted (XEP-0198) and framed (RFC 7395) separately. It is written at
// the end of the turn. SendBytes returns false if the session accepts no more output: its
// connection is closed, or its outbox is full because the client does not read. With stream
// management, true means that a stanza is kept until the client has acknowledged it, or is
// handed on when the session ends (see Router.HandOn), even if the connection was lost.
func (s *Session) SendBytes(t *Turn, b []byte) bool { return s.sendUnit(t, b, units{}) }

// SendStamped is SendBytes for a message with a delay stamp that this server has appended
// (stanza.AppendInside, stanza.AppendDelay): if it is handed on, it keeps this stamp.
func (s *Session) SendStamped(t *Turn, message []byte) bool {
	return s.sendUnit(t, message, units{stamped: true})
}

// SendStored is SendBytes, or SendStamped, for a message that is in the store under the given
// ID. kept reports whether the session keeps it until the client has acknowledged it: then
// Router.Acked or Router.HandOn gets its ID.
func (s *Session) SendStored(t *Turn, message []byte, id int64, stamped bool) (sent, kept bool) {
	sent = s.sendUnit(t, message, units{stamped: stamped, id: id, kept: &kept})
	return sent, kept
}

func (s *Session) sendUnit(t *Turn, b []byte, u units) bool {
	if f := s.mgr.config().Sent; f != nil {
		f(b)
	}
	if !s.write(t, b, u) {
		return false
	}
	s.sent(t, b)
	return true
}

// sent is called for each unit that was queued.
func (s *Session) sent(t *Turn, b []byte) {
	t.countSentUnit(b)
	if s.has(flagTapped) {
		s.tapSent(b)
	}
}

// SendBatch is SendBytes for several stanzas in one write, all or none of them: b contains
// them one after another, and ends has the offset of each one's end. An outbox accepts one
// write larger than itself, but not as many bytes in small writes.
func (s *Session) SendBatch(t *Turn, b []byte, ends []int) bool {
	if f := s.mgr.config().Sent; f != nil {
		begin := 0
		for _, end := range ends {
			f(b[begin:end])
			begin = end
		}
	}
	if !s.write(t, b, units{ends: ends}) {
		return false
	}
	begin := 0
	for _, end := range ends {
		s.sent(t, b[begin:end])
		begin = end
	}
	return true
}

// units says what bytes to write are.
type units struct {
	ends      []int  // the ends of several stanzas; nil: it is one unit of the stream
	stamped   bool   // a message with a delay stamp
	elsewhere bool   // a message with CopyElsewhere
	id        int64  // of a message that is in the store; 0: it is not
	copies    Copies // of the message that it is
	kept      *bool  // if not nil, set to true when the stanza is kept
}

// count returns the number of stanzas.
func (u units) count() uint32 {
	if u.ends == nil {
		return 1
	}
	return uint32(len(u.ends))
}

// write queues b.
func (s *Session) write(t *Turn, b []byte, u units) bool {
	if s.has(flagManaged) {
		return s.writeManaged(t, b, u)
	}
	if s.has(flagSlow | flagGone) {
		return false
	}
	t.CountDelivery(len(b))
	if s.queue(b, u, false) != nil && !s.queueAgain(b, u) {
		if s.has(flagManaged) { // since a moment ago, and the outbox is reserved
			return s.writeManaged(t, b, u)
		}
		s.overflow(t)
		return false
	}
	s.flushLater(t)
	return true
}

// flushLater has the queued output written at the end of the turn.
func (s *Session) flushLater(t *Turn) {
	if s.set(flagDirty) {
		t.dirty = append(t.dirty, s)
	}
}

// TrySendBytes is SendBytes for what the client can do without: if its outbox is full,
// nothing is sent, and the session continues.
func (s *Session) TrySendBytes(t *Turn, b []byte) bool {
	if s.has(flagSlow|flagGone|flagClosing) || !s.tryWrite(t, b) {
		return false
	}
	if f := s.mgr.config().Sent; f != nil {
		f(b)
	}
	t.CountDelivery(len(b))
	s.sent(t, b)
	s.flushLater(t)
	return true
}

func (s *Session) tryWrite(t *Turn, b []byte) bool {
	if !s.has(flagManaged) && (s.Conn().Queue(b) == nil || s.queueAgain(b, units{})) {
		return true
	}
	return s.has(flagManaged) && s.trySendManaged(t, b)
}

// queueAgain flushes the outbox and queues b again. Output of this turn has not been
// offered to the socket yet, so a full outbox does not mean that the client is slow.
func (s *Session) queueAgain(b []byte, u units) bool {
	s.Conn().Flush()
	return s.queue(b, u, false) == nil
}

// queue queues b. Several stanzas are one write, unless each has to be a message.
func (s *Session) queue(b []byte, u units, reserved bool) error {
	switch {
	case u.ends != nil && s.Conn().Messages():
		return s.Conn().QueueMessages(b, u.ends, reserved)
	case reserved:
		return s.Conn().QueueReserved(b)
	}
	return s.Conn().Queue(b)
}
