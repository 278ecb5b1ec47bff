package session

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
