package session

import (
	"bytes"
	"strconv"
	"time"
)

// Stream management (XEP-0198): the stanzas of a session, once its client has enabled it,
// are counted in both directions, and those that were sent are kept until the client has
// acknowledged them. docs/decisions/0038-stream-management.md has the invariants, and which
// lock or goroutine owns what.
//
// A stanza is queued for the socket and for acknowledgement in one step, under coldState.mu,
// so the order of both queues is the same. Before stream management is enabled, other
// goroutines queue without that lock; Conn.Reserve stops them, so each knows whether its
// stanza came before <enabled/>, and is not counted, or after it.

const nsSM = "urn:xmpp:sm:3"

// ackRequest asks the client for an acknowledgement. It must not be changed.
var ackRequest = []byte("<r xmlns='" + nsSM + "'/>")

// unackedShare is the size in bytes that the queue of a session may always have, however much
// the others use: see largeQueues.
const unackedShare = 16 << 10

// enableAcks enables stream management and tells the client so. wait is how long the client
// may take to resume the session (see coldState.mayWait). Only the goroutine that handles the
// session's input may call it, once.
func (s *Session) enableAcks(t *Turn, wait uint8) {
	b, ok := s.manage(t, wait, t.GetBuf(), true)
	t.PutBuf(b)
	if !ok {
		s.overflow(t)
		return
	}
	s.flushLater(t)
}

// enableAcksInline is enableAcks for a caller that tells the client, before others may send
// to the session: it appends <enabled/>.
func (s *Session) enableAcksInline(t *Turn, wait uint8, dst []byte) []byte {
	dst, _ = s.manage(t, wait, dst, false)
	return dst
}

// manage appends <enabled/>, and queues dst if send is set. It returns false if the outbox is
// full.
func (s *Session) manage(t *Turn, wait uint8, dst []byte, send bool) (_ []byte, ok bool) {
	x := s.ensureCold()
	x.mu.Lock()
	dst = s.appendEnabled(dst, x, wait)
	s.set(flagManaged) // before Reserve: a goroutine whose Queue fails from then on takes the lock
	s.Conn().Reserve()
	ok = !send || s.queueReserved(dst, units{})
	if ok && send && s.has(flagTapped) {
		s.tapSent(dst)
	}
	x.mu.Unlock()
	countEvents.Add(t, eventAcksEnabled, 1)
	return dst, ok
}

// appendEnabled appends <enabled/>, and makes the session one that can be resumed if wait is
// not 0. Under coldState.mu.
func (s *Session) appendEnabled(b []byte, x *coldState, wait uint8) []byte {
	b = append(b, "<enabled xmlns='"+nsSM+"'"...)
	x.wait = wait
	if seconds := int64(x.mayWait(s.mgr) / time.Second); seconds > 0 {
		x.number = newNumber()
		b = append(b, " id='"...)
		b = s.mgr.appendResumeID(b, s.BareJID(), x.number)
		b = append(b, "' max='"...)
		b = strconv.AppendInt(b, seconds, 10)
		b = append(b, "' resume='true'"...)
	}
	return append(b, "/>"...)
}

// countHandled counts a stanza of the client that is being handled. The client's next request
// for an acknowledgement includes it: input is handled in order, so by then it is handled.
func (s *Session) countHandled() {
	if s.has(flagManaged) {
		s.cold.Load().handled++
	}
}

// queueReserved queues b, after a flush if the outbox is full. Under coldState.mu.
func (s *Session) queueReserved(b []byte, u units) bool {
	if s.queue(b, u, true) == nil {
		return true
	}
	s.Conn().Flush()
	return s.queue(b, u, true) == nil
}

// writeManaged is write for a session with stream management. A stanza that it accepts is
// the session's responsibility: it is acknowledged by the client or handed on, even if the
// connection has been lost.
func (s *Session) writeManaged(t *Turn, b []byte, u units) bool {
	t.CountDelivery(len(b))
	x := s.cold.Load()
	x.mu.Lock()
	accepted, full := s.sendManaged(t, x, b, u)
	x.mu.Unlock()
	if full {
		s.overflowed(t)
	}
	if accepted {
		s.flushLater(t)
	}
	return accepted
}

// sendManaged queues b under coldState.mu. full reports that the session must end, or lose its
// connection, because its client does not read or does not acknowledge; it is flagSlow then.
func (s *Session) sendManaged(t *Turn, x *coldState, b []byte, u units) (accepted, full bool) {
	open := !s.has(flagSlow | flagGone | flagDetached)
	if u.ends == nil && !isStanza(b) {
		sent := open && s.queueReserved(b, u)
		return sent, open && !sent && s.set(flagSlow)
	}
	limit := s.mayKeep(x)
	if x.is(coldDisowned) && s.has(flagMoving) {
		return s.relay(b, u), false
	}
	if x.is(coldDisowned) || limit == keepNone {
		return false, limit == keepNone && s.set(flagSlow)
	}
	detached := s.has(flagDetached)
	behind := detached || x.queue().behind() // others have to be sent before it
	full = open && !behind && !s.queueReserved(b, u) || (open || detached) && limit == keepLast
	full = full && s.set(flagSlow)
	s.keep(t, x, b, u)
	if behind {
		x.rare.unacked.unsent += u.count()
	}
	return true, full
}

// trySendManaged is TrySendBytes for a session with stream management.
func (s *Session) trySendManaged(t *Turn, b []byte) bool {
	x := s.cold.Load()
	x.mu.Lock()
	defer x.mu.Unlock()
	stanza := isStanza(b)
	if stanza && (x.is(coldDisowned) || s.mayKeep(x) != keepMore || x.queue().behind()) || !s.queueReserved(b, units{}) {
		return false
	}
	if stanza {
		s.keep(t, x, b, units{})
	}
	return true
}

// keep adds stanzas to the queue. Under mu.
func (s *Session) keep(t *Turn, x *coldState, b []byte, u units) {
	r := x.needRare()
	if r.unacked == nil {
		r.unacked = ackQueues.Get().(*ackQueue)
	}
	q, at := r.unacked, t.Now().UnixMilli()
	before := q.bytes()
	if u.ends == nil {
		x.sent++
		q.add(u.entry(b, at))
	}
	begin := 0
	for _, end := range u.ends {
		x.sent++
		q.add(ackEntry{stanza: b[begin:end], at: at})
		begin = end
	}
	s.mgr.unackedBytes.Add(int64(q.bytes() - before))
	s.mgr.large.grew(s, x)
}

// entry returns the entry for one stanza.
func (u *units) entry(b []byte, at int64) ackEntry {
	e := ackEntry{stanza: b, at: at, id: u.id}
	if u.stamped {
		e.flags |= ackStamped
	}
	if u.elsewhere {
		e.flags |= ackElsewhere
	}
	switch {
	case u.id != 0:
		e.flags |= ackStored
	case u.copies != 0:
		e.flags |= ackCopied
		e.id = int64(u.copies)
	}
	if u.kept != nil {
		*u.kept = true
	}
	return e
}

// drop removes the n oldest stanzas of the queue. Under mu.
func (x *coldState) drop(m *Manager, n uint32) {
	q := x.rare.unacked
	m.unackedBytes.Add(-int64(q.drop(n)))
	m.large.shrank(x)
	if q.len == 0 {
		x.rare.unacked = nil
		q.release()
		x.dropRare()
	}
}

// queue returns the queue, nil if it is empty. Under mu.
func (x *coldState) queue() *ackQueue {
	if x.rare == nil {
		return nil
	}
	return x.rare.unacked
}

// Results of mayKeep.
const (
	keepMore = iota // the queue takes another stanza
	keepLast        // it takes this one, but is too large now: the session must end
	keepNone        // it takes none
)

// mayKeep checks the limits of the queue. Its largest stanza does not count, unless the
// session waits to be resumed. The limit of all queues counts only while they grow faster than
// largeQueues can make room. To keep the order, the stanza that exceeds a limit is still
// taken before the session ends, and so are those that arrive until it has ended, up to twice
// the limit. Under coldState.mu.
func (s *Session) mayKeep(x *coldState) int {
	n, cfg := x.queue().limited(), s.mgr.config()
	if s.has(flagDetached) {
		n = x.queue().bytes()
	}
	switch {
	case n > 2*cfg.Unacked:
		return keepNone
	case n > cfg.Unacked, n > unackedShare && s.mgr.unackedBytes.Load() > crowded(cfg.UnackedMemory):
		return keepLast
	}
	return keepMore
}

// isStanza reports whether a unit of the stream is a stanza. It relies on the form in which
// this server writes them.
func isStanza(b []byte) bool {
	return bytes.HasPrefix(b, []byte("<message")) || bytes.HasPrefix(b, []byte("<presence")) || bytes.HasPrefix(b, []byte("<iq"))
}

// acknowledge handles an acknowledgement of all stanzas up to the number h. It returns false,
// and the number of stanzas that were sent, if h is higher than that. Only the goroutine
// that handles the session's input may call it.
func (s *Session) acknowledge(t *Turn, h uint32) (sent uint32, ok bool) {
	x := s.cold.Load()
	if ids := x.storedUpTo(h); len(ids) > 0 {
		s.mgr.config().Router.Acked(t, s, ids) // without the lock
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	n, sent, ok := x.handledUpTo(h)
	q := x.queue()
	switch {
	case !ok:
		return sent, false
	case q == nil, x.is(coldHanding), n == 0 && x.sent-q.len != h: // an older number says nothing new
		return sent, true
	}
	q.asked = 0
	switch {
	case n > 0:
		x.drop(s.mgr, n)
		s.flushLater(t) // to request the next acknowledgement
		if x.acked(s.mgr) {
			s.Conn().Post(s.Drained)
		}
	case x.rare.onDrain == nil, x.is(coldPaced): // nothing waits for it, or it is requested soon
	case s.mgr.paced.add(s):
		x.mark(coldPaced)
	default:
		s.flushLater(t)
	}
	return sent, true
}

// handledUpTo returns how many stanzas of the queue are covered by an acknowledgement of all
// stanzas up to the number h, and the number of stanzas that were sent to the client. ok is
// false if h is higher than that. Under mu.
func (x *coldState) handledUpTo(h uint32) (n, sent uint32, ok bool) {
	left, unsent := uint32(0), uint32(0)
	if q := x.queue(); q != nil {
		left, unsent = q.len, q.unsent
	}
	n, sent = h-(x.sent-left), x.sent-unsent // modulo 2^32
	if n > left-unsent {
		return 0, sent, n >= 1<<31 // an older number, or one that is too high
	}
	return n, sent, true
}

// storedUpTo returns the IDs of the messages that are in the store and that an
// acknowledgement of all stanzas up to the number h covers.
func (x *coldState) storedUpTo(h uint32) []int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	n, _, _ := x.handledUpTo(h)
	return x.queue().appendStored(nil, n)
}

// storedUnwanted appends the IDs of the unwanted messages that are in the store: see
// Router.Unwanted.
func (x *coldState) storedUnwanted(ids []int64, unwanted func([]byte) bool) []int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	q := x.queue()
	if q == nil || q.stored == 0 || unwanted == nil {
		return ids
	}
	for e := range q.all() {
		if e.flags&ackStored != 0 && unwanted(e.stanza) {
			ids = append(ids, e.id)
		}
	}
	return ids
}

// dropUnwanted removes the unwanted stanzas. Under mu.
func (x *coldState) dropUnwanted(m *Manager, unwanted func([]byte) bool) {
	q := x.queue()
	if q == nil || unwanted == nil {
		return
	}
	m.unackedBytes.Add(-int64(q.remove(func(e *ackEntry) bool { return unwanted(e.stanza) })))
	m.large.shrank(x)
	if q.len == 0 {
		x.drop(m, 0)
	}
}
