package session

// When the input of a session is read, and what waits until a worker gives it back. All
// reasons to pause are flags; resume looks at all of them.

// returnToLoop gives the session back to its loop after a worker had it.
func (s *Session) returnToLoop(loop int) {
	t := s.mgr.turns[loop]
	defer s.guard(t)
	s.unset(flagBusy)
	if s.has(flagLogin) && s.has(flagBound) {
		s.unset(flagLogin) // here, where it needs not wake the loop
		s.conn.SetDeadline(0)
		s.take(t, 0) // earlier sessions of the account may have caused too much
	}
	s.continueInput(t)
}

// continueInput does what has waited for the session, and goes on reading.
func (s *Session) continueInput(t *Turn) {
	s.runDeferred(t)
	s.resume(t)
}

// resume goes on reading, unless there is a reason left to wait.
func (s *Session) resume(t *Turn) {
	if !s.has(flagBusy|flagThrottled|flagBacklog) && !s.startDelay(t) && !s.backlog(t) {
		s.conn.Resume()
	}
}

// runDeferred does what has waited for the session. Only the session's loop may call
// it.
func (s *Session) runDeferred(t *Turn) {
	if s.has(flagBusy) || !s.has(flagDeferred) {
		return
	}
	s.unset(flagDeferred)
	later, _ := s.mgr.deferred.LoadAndDelete(s)
	for _, f := range later {
		s.runOrDefer(t, f)
	}
}

// maxBacklog is how many bytes may wait for a client before its own input has
// to wait too: who asks for much and does not read fills no outbox, and is not
// taken for a client that does not read.
const maxBacklog = 64 << 10

// backlog pauses reading when too much waits for the client to read it; reading
// goes on when the socket has taken all of it. What other goroutines have queued and
// not yet offered to the socket does not count: Drained may not be called for it.
// Only the session's loop may call it.
func (s *Session) backlog(t *Turn) bool {
	if s.conn.Queued() <= maxBacklog {
		return false
	}
	t.Flush()
	if !s.conn.Flush() || s.conn.Queued() <= maxBacklog {
		return false
	}
	s.set(flagBacklog)
	s.conn.Pause()
	return true
}

// runOnLoop runs f on the session's loop when no worker has the session. It may be
// called from any goroutine.
func (s *Session) runOnLoop(f func(*Turn)) {
	s.conn.Post(func(loop int) {
		s.runOrDefer(s.mgr.turns[loop], f)
	})
}

// endOnLoop is runOnLoop for what ends the session: a delayed response to a login
// is not waited for.
func (s *Session) endOnLoop(f func(*Turn)) {
	s.conn.Post(func(loop int) {
		s.dropDelay(loop)
		s.runOrDefer(s.mgr.turns[loop], f)
	})
}

// runOrDefer runs f now, or when the worker that has the session is done. Only
// the session's loop may call it.
func (s *Session) runOrDefer(t *Turn, f func(*Turn)) {
	if !s.has(flagBusy) {
		s.run(t, f)
		return
	}
	s.set(flagDeferred)
	fs, _ := s.mgr.deferred.Load(s)
	s.mgr.deferred.Store(s, append(fs, f))
}
