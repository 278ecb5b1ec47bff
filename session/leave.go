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
		s.freeCut(t)
	} // else a worker ends the stream, and Closed comes here again
	if n := s.neg(); n != nil {
		n.sasl, n.mech = nil, nil
	}
	// This is where stream management (XEP-0198, "Resumption") will wait for a client that
	// resumes its session, if its stream is unfinished: the connection was lost, or given up
	// because the client does not read. A stream that was closed ends the session at once
	// ("Stream Closure": "so that the server can send unavailable presence on the client's
	// behalf").
	s.mgr.Destroy(t, s)
}

// Destroy takes the session out of the tables and announces that it has left, once.
// Only the goroutine that handles the session's input may call it.
func (m *Manager) Destroy(t *Turn, s *Session) {
	if !s.has(flagBound) {
		m.unbound.Delete(s)
		return
	}
	m.unlink(s)
	m.announce(t, s)
}

// TakeOut takes a bound session out of the tables and reports whether its leaving
// is for the caller to announce: to the contacts of an account that was deleted
// before its session has ended. It may be called from any goroutine.
func (m *Manager) TakeOut(s *Session) bool {
	if !s.has(flagBound) {
		return false
	}
	m.unlink(s)
	return s.set(flagLeft)
}

// unlink takes a session out of the table, if it is there.
func (m *Manager) unlink(s *Session) {
	found := false
	m.table.update(s.BareJID(), func(head *Session) *Session {
		head, found = unlink(head, s)
		return head
	})
	if found {
		m.bound.Add(-1)
	}
}

// announce announces that a session has left the tables. What that costs is charged to
// its account as anything else is: a client that came and went again and again would
// cause it for nothing.
func (m *Manager) announce(t *Turn, s *Session) {
	if !s.set(flagLeft) {
		return
	}
	t.charged += freeCost
	if !m.announceLeft(t, s) {
		m.reads.submit(func(t *Turn) {
			m.announceLeft(t, s)
			s.chargeCost(t, t.uncharged())
		})
	}
}
