package session

// A session ends in two steps:
//
//  1. It is detached: its stream is closed, or its connection is lost or given up. What
//     belongs to these is released. Nothing is announced.
//  2. It leaves: it is taken out of the tables, and that is announced, once.
//
// Whatever ends a stream calls detach, which goes from the first step to the second. There
// are three exceptions, which leave first, and are detached when their loop ends the
// stream: a session that another one replaces (Bind), one whose account was removed
// (TakeOut), and one whose account was removed while it was bound (Bind).

// detach releases what belongs to the stream and the connection, and then has the session
// leave. Only the goroutine that handles the session's input may call it; it may be called
// again.
func (s *Session) detach(t *Turn) {
	if t.scratch != nil {
		s.freePartial(t)
	} // else a worker ends the stream, and Closed comes here again
	if n := s.negotiation(); n != nil {
		n.sasl, n.mech = nil, nil
	}
	// This is where stream management (XEP-0198, "Resumption") will wait for a client that
	// resumes its session, if its stream is unfinished: the connection was lost, or given up
	// because the client does not read. A stream that was closed ends the session at once
	// ("Stream Closure": "so that the server can send unavailable presence on the client's
	// behalf").
	s.mgr.Destroy(t, s)
}

// Closed is called once, when the connection is gone.
func (s *Session) Closed(loop int, err error) {
	s.set(flagGone)
	s.dropDelay(loop)
	s.runOrDefer(s.mgr.turns[loop], func(t *Turn) {
		if s.set(flagClosing) {
			s.endedBecause(endedLost, err)
		}
		s.detach(t)
	})
}

// Close ends the stream, with an error or nil, and cleans up the session. It
// may be called from any goroutine and returns at once.
func (s *Session) Close(e *StreamError) {
	s.endOnLoop(func(t *Turn) { s.end(t, e) })
}

// endAfterHeld is end, after the presence that is held.
func (s *Session) endAfterHeld(t *Turn, e *StreamError) {
	s.settle(t)
	if !s.has(flagBusy) {
		s.end(t, e)
		return
	}
	s.runOrDefer(t, func(t *Turn) { s.end(t, e) })
}

// end closes our side of the stream. RFC 6120 section 4.4: what is queued is
// flushed, our close answers or precedes the peer's, TLS and TCP follow; the
// connection waits, bounded, for the peer's side. Only the goroutine that
// handles the session's input may call it.
func (s *Session) end(t *Turn, e *StreamError) {
	if !s.set(flagClosing) {
		return
	}
	s.endedBecause(reasonOf(e), nil)
	if s.NotOpen() {
		// RFC 6120 section 4.9.1.2: "the receiving entity MUST send both the
		// opening <stream:stream> and the closing </stream:stream>".
		s.sendOpen(t, s.answerHost(), "", "")
	}
	s.sendClose(t, e)
	s.detach(t)
	s.conn.Close(s.mgr.cfg.Linger)
}

// overflow is called when the outbox takes no more: the client does not read.
func (s *Session) overflow() {
	if !s.set(flagSlow) {
		return
	}
	s.endOnLoop(func(t *Turn) {
		if s.set(flagClosing) {
			s.endedBecause(endedSlow, nil)
		}
		s.detach(t)
		if s.mgr.cfg.DetachSlow {
			s.conn.Close(s.mgr.cfg.Linger)
			return
		}
		s.conn.Close(0)
	})
}
