package session

import (
	"bytes"
	"strconv"
	"time"

	"roost/parser"
	"roost/stanza"
)

// Socket is a connection's socket, which Conn.Unplug has taken from it.
type Socket = interface {
	Close(linger time.Duration) // flushes, closes, and waits at most linger for the peer's close
}

// resumption is the request of a client to resume a session (XEP-0198 section 5,
// https://xmpp.org/extensions/xep-0198.html#resumption). It takes the client's socket from
// the connection of the session that has authenticated the client to that of the earlier
// session, on the earlier session's loop; or back, if the earlier session cannot be resumed.
// The socket is in one place at a time, so neither session gets input in the meantime.
type resumption struct {
	from    *Session // has authenticated the client
	h       uint32   // the number of stanzas that the client has handled
	id      string
	socket  Socket
	settled bool          // what was posted because of the earlier connection has run
	success AppendSuccess // appends the element that contains <resumed/>; nil: none does
	failed  resumeFailed
}

// resumeFailed handles the result, <failed/>, of a resumption that has failed. The goroutine
// that handles the session's input calls it. It must not keep result.
type resumeFailed func(t *Turn, s *Session, result []byte)

// begin takes the client's socket to the earlier session. The caller is the goroutine that
// handles the input of r.from, which waits for the result.
func (r *resumption) begin(earlier *Session) {
	r.from.set(flagBusy)
	r.from.Conn().Pause()
	r.from.Conn().Post(func(loop int) { r.take(earlier, loop) })
}

// take is begin for a session that is busy already. Only the loop of r.from may call it.
func (r *resumption) take(earlier *Session, loop int) {
	if r.socket = r.from.Conn().Unplug(); r.socket == nil { // the connection is closed
		r.from.returnToLoop(loop)
		return
	}
	earlier.runOnLoop(func(t *Turn) { earlier.resumeWith(t, r) })
}

// fail gives the socket back, and then calls tell on the goroutine that handles the input of
// r.from, unless that session has ended. Any goroutine may call it.
func (r *resumption) fail(tell func(t *Turn)) {
	s := r.from
	s.Conn().Post(func(loop int) {
		if err := s.plug(r.socket); err != nil {
			s.Closed(loop, err)
		} else {
			// tell may have more to do on a worker, so it waits until the session is returned.
			s.updateHeld() // it has another connection
			s.runOrDefer(s.mgr.turns[loop], func(t *Turn) {
				if !s.has(flagClosing) {
					tell(t)
				}
			})
		}
		s.returnToLoop(loop)
	})
}

// notFound is fail for an earlier session that cannot be resumed.
func (r *resumption) notFound(h uint32, known bool) {
	r.fail(func(t *Turn) { r.tellNotFound(t, h, known) })
}

// done ends the session that has authenticated the client, which no longer has a connection.
func (r *resumption) done() {
	s := r.from
	s.Conn().Post(func(loop int) {
		s.state.Or(flagClosing | flagGone)
		s.mgr.unbound.Delete(s)
		s.returnToLoop(loop)
	})
}

// resumeWith resumes the session with the client's socket. It ends the connection that the
// session still has. Only the session's loop may call it, when no worker has the session.
func (s *Session) resumeWith(t *Turn, r *resumption) {
	resume := func(t *Turn) { s.resumeWith(t, r) }
	again := func() { s.runOnLoop(resume) }
	switch {
	case s.mgr.stopping.Load():
		r.fail(func(t *Turn) { r.from.end(t, ErrSystemShutdown) })
	case s.has(flagClosing | flagGone | flagLeft):
		r.notFound(s.cold.Load().handled, true)
	case !s.has(flagDetached):
		s.supersede(t, ErrConflict)
		again()
	case s.whenComplete(resume):
	case !r.settled:
		r.settled = true
		again()
	default:
		s.reattach(t, r)
	}
}

// supersede ends the connection of the session with e; for the session, it is as if the
// connection had been lost. When the client resumes the session with another one, "the server
// SHOULD send a 'conflict' stream error and close that stream"
// (https://xmpp.org/extensions/xep-0198.html#resumption).
func (s *Session) supersede(t *Turn, e *StreamError) {
	s.sendClose(t, e)
	s.Conn().SetCloseCode(e.closeCode())
	s.Conn().Flush()
	old := s.Conn().Unplug()
	if old == nil { // it is being closed
		s.Conn().Close(0)
		return
	}
	old.Close(s.mgr.config().Linger)
	if !s.disconnected() || !s.awaitResume(t, nil) {
		s.set(flagGone)
		s.abandon(t, nil)
	}
}

// reattach gives the detached session the client's socket: it drops the stanzas that the
// client has handled, tells the client what was handled here, and sends the other stanzas
// again. For goroutines that send to the session, all of this is one step.
func (s *Session) reattach(t *Turn, r *resumption) {
	x := s.cold.Load()
	unwanted := s.mgr.config().Router.Unwanted(s)
	if ids := x.storedUnwanted(x.storedUpTo(r.h), unwanted); len(ids) > 0 {
		s.mgr.config().Router.Acked(t, s, ids) // without the lock
	}
	x.mu.Lock()
	n, sent, valid := x.handledUpTo(r.h)
	if !valid {
		x.mu.Unlock()
		r.fail(func(t *Turn) { r.from.end(t, handledCountTooHigh(r.h, sent)) })
		return
	}
	if err := s.plug(r.socket); err != nil { // the server is stopping
		x.mu.Unlock()
		r.done()
		return
	}
	returned := x.noLongerRestored(&s.mgr.restored.resumed)
	if n > 0 {
		x.drop(s.mgr, n)
	}
	x.dropUnwanted(s.mgr, unwanted)
	left := uint32(0)
	if q := x.queue(); q != nil {
		left = q.len
		q.unsent, q.next = q.len, q.head
	}
	x.sent = r.h + left // stanzas that were handed on, or are unwanted, are missing
	s.attached()
	s.unset(flagSlow | flagBacklog)
	s.parser.Continue(&r.from.parser)
	s.admit()
	s.event.Store(r.from.event.Load())
	resumed := s.appendResumed(t.GetBuf(), r)
	s.queueOther(resumed)
	t.PutBuf(resumed)
	s.sendAgain(t, x)
	x.mu.Unlock()
	r.done()
	countEvents.Add(t, eventResumed, 1)
	s.publishResumed()
	if s.mgr.debug() {
		s.mgr.config().Logger.Debug("session resumed", "jid", s.FullJID(), "peer", s.Conn().RemoteAddr())
	}
	s.sendAgainLater(t, x)
	for i := range s.mgr.features {
		if f := s.mgr.features[i].Resumed; f != nil {
			f(t, s)
		}
	}
	if returned {
		s.mgr.config().Router.Returned(t, s)
	}
	if !s.Conn().Flush() {
		s.Conn().Post(s.Drained) // for what waits for the client to have read
	}
	s.resume(t)
}

// plug gives the session, which has no socket, this one. Only the session's loop may call it.
func (s *Session) plug(x Socket) error {
	c, err := s.Conn().Plug(x, s)
	if err != nil {
		return err
	}
	s.conn.Store(c)
	return nil
}

// appendResumed appends <resumed/>, and what contains it.
func (s *Session) appendResumed(b []byte, r *resumption) []byte {
	begin := len(b)
	b = append(b, "<resumed xmlns='"+nsSM+"' h='"...)
	b = strconv.AppendUint(b, uint64(s.cold.Load().handled), 10)
	b = append(b, "' previd='"...)
	b = parser.AppendEscaped(b, r.id)
	b = append(b, "'/>"...)
	if r.success != nil {
		return r.success(b[:begin], s.FullJID(), bytes.Clone(b[begin:]))
	}
	return b
}

// queueOther queues a unit that is no stanza. Under coldState.mu.
func (s *Session) queueOther(b []byte) {
	if f := s.mgr.config().Sent; f != nil {
		f(b)
	}
	if s.queueReserved(b, units{}) && s.has(flagTapped) {
		s.tapSent(b)
	}
}

// sendAgainPage is how many bytes of the stanzas to send again are queued before the client
// has read the earlier ones.
const sendAgainPage = 64 << 10

// sendAgain queues stanzas that were not sent on this connection, oldest first, as many as
// fit in a page. What others send in the meantime comes after them. Under coldState.mu.
func (s *Session) sendAgain(t *Turn, x *coldState) {
	q := x.queue()
	if q == nil {
		return
	}
	buf := t.GetBuf()
	for q.unsent > 0 && s.Conn().Queued() < sendAgainPage {
		e := entryAt(q.buf[q.next:])
		if e.flags&ackStamped == 0 && bytes.HasPrefix(e.stanza, []byte("<message")) {
			// XEP-0198 section 4 asks for a delay stamp when messages go elsewhere. A client
			// that gets them late needs it just as much.
			buf = stanza.AppendInside(buf[:0], e.stanza, stanza.AppendDelay(nil, s.Host(), time.UnixMilli(e.at)))
		} else {
			buf = append(buf[:0], e.stanza...)
		}
		if s.Conn().QueueReserved(buf) != nil {
			if s.Conn().Queued() == 0 {
				s.endOnLoop(s.neverFits)
			}
			break
		}
		t.CountDelivery(len(buf))
		q.next += e.size()
		q.unsent--
		if f := s.mgr.config().Sent; f != nil {
			f(buf)
		}
		s.sent(t, buf)
	}
	t.PutBuf(buf)
}

// neverFits ends the session because even an empty outbox does not accept its next stanza,
// unless the reason was that the connection is lost.
func (s *Session) neverFits(t *Turn) {
	if !s.has(flagDetached) {
		s.end(t, ErrResourceConstraint.WithText("A stanza is too large to be sent again."))
	}
}

// sendAgainLater sends the next page when the client has read this one.
func (s *Session) sendAgainLater(t *Turn, x *coldState) {
	x.mu.Lock()
	q := x.queue()
	more := q != nil && q.unsent > 0 && !s.has(flagDetached|flagClosing)
	x.mu.Unlock()
	s.flushLater(t)
	if more {
		s.OnDrain(func(t *Turn) {
			x.mu.Lock()
			if !s.has(flagDetached) {
				s.sendAgain(t, x)
			}
			x.mu.Unlock()
			s.sendAgainLater(t, x)
		})
	}
}
