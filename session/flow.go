package session

// This file decides when the input of a session is read, and what waits until a worker
// returns the session. Each reason to pause is a flag; resume checks them all.

// returnToLoop returns the session to its loop after a worker had it.
func (s *Session) returnToLoop(loop int) {
	t := s.mgr.turns[loop]
	defer s.guard(t)
	s.unset(flagBusy)
	if s.has(flagLogin) && s.has(flagBound) {
		s.unset(flagLogin) // on the loop, so that SetDeadline need not wake it
		s.Conn().SetDeadline(0)
		s.take(t, 0) // wait if earlier sessions of the account have caused too many deliveries
	}
	s.continueInput(t)
}

// continueInput runs deferred functions and then resumes reading.
func (s *Session) continueInput(t *Turn) {
	s.runDeferred(t)
	s.resume(t)
}

// resume resumes reading unless there still is a reason to wait.
func (s *Session) resume(t *Turn) {
	if !s.has(flagBusy|flagThrottled|flagBacklog) && !s.startDelay(t) && !s.backlog(t) {
		s.Conn().Resume()
	}
}

// runDeferred runs the functions that have waited for the session. Only the session's loop
// may call it.
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

// maxBacklog is the number of queued bytes above which a client's own input has to wait. A
// client that requests much and does not read then does not fill its outbox, and is not
// disconnected as a client that does not read.
const maxBacklog = 64 << 10

// backlog pauses reading if too much output is queued. Reading resumes when the socket has
// accepted all of it. Output that other goroutines have queued but not yet offered to the
// socket does not count: Drained may not be called for it. Only the session's loop may call
// it.
func (s *Session) backlog(t *Turn) bool {
	if s.Conn().Queued() <= maxBacklog {
		return false
	}
	t.Flush()
	if !s.Conn().Flush() || s.Conn().Queued() <= maxBacklog {
		return false
	}
	s.set(flagBacklog)
	s.Conn().Pause()
	return true
}

// runOnLoop runs f on the session's loop when no worker has the session. Any goroutine may
// call it.
func (s *Session) runOnLoop(f func(*Turn)) {
	s.Conn().Post(func(loop int) {
		s.runOrDefer(s.mgr.turns[loop], f)
	})
}

// endOnLoop is runOnLoop for functions that end the session: it does not wait for the
// delayed response to a login.
func (s *Session) endOnLoop(f func(*Turn)) {
	s.Conn().Post(func(loop int) {
		s.dropDelay(loop)
		s.runOrDefer(s.mgr.turns[loop], f)
	})
}

// runOrDefer runs f now, or after the worker that has the session. Only the session's loop
// may call it.
func (s *Session) runOrDefer(t *Turn, f func(*Turn)) {
	if !s.has(flagBusy) {
		s.run(t, f)
		return
	}
	s.set(flagDeferred)
	fs, _ := s.mgr.deferred.Load(s)
	s.mgr.deferred.Store(s, append(fs, f))
}
