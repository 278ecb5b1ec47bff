package session

// Destroy removes the session from the tables and announces its end, once, after a worker
// has handed on the stanzas that its client has not acknowledged. Only the
// goroutine that handles the session's input may call it.
func (m *Manager) Destroy(t *Turn, s *Session) {
	if !s.has(flagBound) {
		m.unbound.Delete(s)
		return
	}
	m.leaving.Add(1)
	defer m.leaving.Add(-1)
	leave := func(t *Turn) {
		m.unlink(s)
		m.announce(t, s)
		m.successions.leave(s)
	}
	if !s.handOn(leave) {
		leave(t)
	}
}

// TakeOut removes a bound session from the tables and reports whether the caller must
// announce its end: to the contacts of an account that was deleted before its session has
// ended. Any goroutine may call it.
func (m *Manager) TakeOut(s *Session) bool {
	if !s.has(flagBound) {
		return false
	}
	m.unlink(s)
	s.discardUnacked()
	return s.set(flagLeft)
}

// Displace ends a session because its address has been taken by one that is not in these
// tables. When it returns, on a worker, its end was announced.
func (m *Manager) Displace(t *Turn, s *Session) {
	m.unlink(s)
	m.announce(t, s)
	s.Close(ErrConflict)
}

// unlink removes a session from the table, if it is there.
func (m *Manager) unlink(s *Session) {
	found := false
	m.table.update(s.BareJID(), func(head *Session) *Session {
		if head, found = unlink(head, s); found && !head.hasAddress(s) {
			m.config().Router.Unlinked(s) // before a new session can get the address
		}
		return head
	})
	if found {
		m.bound.Add(-1)
	}
}

// IfUnlinked calls f if a session is not in the tables, and no other one has its address. No
// session can get it before f returns.
func (m *Manager) IfUnlinked(s *Session, f func()) {
	m.table.update(s.BareJID(), func(head *Session) *Session {
		if !head.hasAddress(s) {
			f()
		}
		return head
	})
}

// announce announces that a session has left the tables. The cost is charged to its
// account: otherwise a client could cause it for free by logging in and out repeatedly.
func (m *Manager) announce(t *Turn, s *Session) {
	if !s.set(flagLeft) {
		return
	}
	t.charged += freeCost
	if m.announceLeft(t, s) {
		return
	}
	m.leaving.Add(1) // until the worker is done: a job that runs does not wait
	if !m.reads.submit(func(t *Turn) {
		defer m.leaving.Add(-1)
		m.announceLeft(t, s)
		s.chargeCost(t, t.uncharged())
	}) {
		m.leaving.Add(-1)
	}
}
