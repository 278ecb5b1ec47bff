package session

// A session ends in two steps:
//
// 1. It is released: its stream is closed, or its connection is lost or abandoned, and what
//    belongs to these is freed. Nothing is announced.
// 2. It leaves: it is removed from the tables, and its end is announced, once.
//
// Everything that ends a session calls release, which performs both steps. In three cases
// the session leaves first, and is released when its loop ends the stream: another session
// replaces it (Bind), its account was removed (TakeOut), or its account was removed during
// binding (Bind).
//
// A session that can be resumed does not end when its connection is lost: see detached.go.

// release frees what belongs to the stream and the connection, and then removes the
// session. Only the goroutine that handles the session's input may call it; it may be
// called again.
func (s *Session) release(t *Turn) {
	if s.has(flagMoving) {
		return // another node may have it: see Departure
	}
	if t.scratch != nil {
		s.freePartial(t)
	} // else a worker ends the stream, and Closed calls release again
	if n := s.negotiation(); n != nil {
		n.dropExchange()
	}
	s.retire()
	s.mgr.Destroy(t, s)
	if s.has(flagTapped) {
		s.mgr.taps.end(s)
	}
}

// Closed is called once, after the connection was closed or lost.
func (s *Session) Closed(loop int, err error) {
	waits := s.disconnected()
	if !waits {
		s.set(flagGone)
	}
	s.dropDelay(loop)
	s.runOrDefer(s.mgr.turns[loop], func(t *Turn) {
		if !waits || !s.awaitResume(t, err) {
			s.abandon(t, err)
		}
	})
}

// abandon ends a session whose connection is lost.
func (s *Session) abandon(t *Turn, err error) {
	if s.set(flagClosing) {
		s.endedBecause(endedLost, err)
	}
	s.release(t)
}

// Close ends the stream, with an error unless e is nil, and removes the session. Any
// goroutine may call it; it returns at once.
func (s *Session) Close(e *StreamError) {
	s.endOnLoop(func(t *Turn) { s.end(t, e) })
}

// Dismiss ends the stream with an error. Unlike Close, it does not end a session that can be
// resumed, which waits for its client as if the connection was lost. Any goroutine may call
// it; it returns at once.
func (s *Session) Dismiss(e *StreamError) {
	s.endOnLoop(func(t *Turn) {
		switch {
		case !s.canWait():
			s.end(t, e)
		case !s.has(flagDetached):
			s.supersede(t, e)
		}
	})
}

// endAfterHeld is end after the held presence was handled.
func (s *Session) endAfterHeld(t *Turn, e *StreamError) {
	s.settle(t)
	if !s.has(flagBusy) {
		s.end(t, e)
		return
	}
	s.runOrDefer(t, func(t *Turn) { s.end(t, e) })
}

// end closes our side of the stream. [RFC 6120 section 4.4]: queued output is flushed, our
// closing tag is sent, TLS and TCP are closed after it. The connection waits at most
// Config.Linger for the peer's side. Only the goroutine that handles the session's input
// may call it.
//
// [RFC 6120 section 4.4]: https://www.rfc-editor.org/rfc/rfc6120#section-4.4
func (s *Session) end(t *Turn, e *StreamError) {
	if !s.set(flagClosing) {
		return
	}
	s.endedBecause(reasonOf(e), nil)
	if s.NotOpen() {
		// [RFC 6120 section 4.9.1.2]: "the receiving entity MUST send both the opening
		// <stream:stream> and the closing </stream:stream>", before the client's header,
		// too.
		//
		// [RFC 6120 section 4.9.1.2]:
		// https://www.rfc-editor.org/rfc/rfc6120#section-4.9.1.2
		s.sendOpen(t, s.responseHost(), "", "")
	}
	s.sendClose(t, e)
	if e != nil {
		s.Conn().SetCloseCode(e.closeCode())
	}
	s.release(t)
	s.Conn().Close(s.mgr.config().Linger)
}

// overflow is called when the outbox is full because the client does not read.
func (s *Session) overflow(t *Turn) {
	if s.set(flagSlow) {
		s.overflowed(t)
	}
}

// overflowed is called by the goroutine that has set flagSlow.
func (s *Session) overflowed(t *Turn) {
	countEvents.Add(t, eventOverflow, 1)
	s.endOnLoop(func(t *Turn) {
		switch {
		case !s.has(flagSlow):
			return // that was another connection
		case s.canWait() && !s.has(flagDetached):
			s.Conn().Close(0)
			return
		}
		if s.set(flagClosing) {
			s.endedBecause(endedSlow, nil)
		}
		s.release(t)
		if s.mgr.config().LingerSlow {
			s.Conn().Close(s.mgr.config().Linger)
			return
		}
		s.Conn().Close(0)
	})
}
