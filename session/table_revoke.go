package session

// Revocation tells which streams of an account end because of an event of the account.
// Numbers are IDs of account events (store.AccountEvent.ID).
type Revocation struct {
	Bound   int64 // end bound streams that authenticated before this event
	Unbound int64 // end streams without a resource that authenticated, or read the account's keys, before this event
	Error   *StreamError
}

// Merge combines r with the revocation of a later event.
func (r Revocation) Merge(later Revocation) Revocation {
	if later.Error != nil && (later.Bound > r.Bound || r.Error == nil) {
		r.Error = later.Error
	}
	r.Bound, r.Unbound = max(r.Bound, later.Bound), max(r.Unbound, later.Unbound)
	return r
}

// Revoke ends streams of accounts, by bare JID. Any goroutine may call it. A stream that a
// worker is handling is checked after the worker is done: a client that changes its own
// password has then been assigned the new event.
func (m *Manager) Revoke(accounts map[string]Revocation) {
	if len(accounts) == 0 {
		return
	}
	// Unbound streams first: one that binds meanwhile is found in the table below.
	m.unbound.Range(func(s *Session, _ struct{}) bool {
		s.runOnLoop(func(t *Turn) { s.revokeUnbound(t, accounts) })
		return true
	})
	for bare, r := range accounts {
		for s := m.First(bare); s != nil; s = s.Next() {
			if !s.AuthenticatedBefore(r.Bound) {
				continue
			}
			s.runOnLoop(func(t *Turn) {
				if s.AuthenticatedBefore(r.Bound) {
					s.end(t, r.Error)
				}
			})
		}
	}
}

// revokeUnbound ends the stream if it was not bound when accounts were revoked and belongs
// to one of them. Only the goroutine that handles the session's input may call it.
func (s *Session) revokeUnbound(t *Turn, accounts map[string]Revocation) {
	if s.has(flagAuthed) {
		if r, listed := accounts[s.BareJID()]; listed && s.AuthenticatedBefore(r.Unbound) {
			s.end(t, r.Error)
		}
		return
	}
	// During an exchange the account is the one whose keys were read.
	bare, event := s.claimed()
	if r, listed := accounts[bare]; listed && eventBefore(uint32(event), r.Unbound) {
		s.end(t, r.Error)
	}
}

// AuthenticatedBefore reports whether the client authenticated before an event of its
// account, such as a change of password. Before authentication it returns true.
func (s *Session) AuthenticatedBefore(event int64) bool { return eventBefore(s.event.Load(), event) }

// Event returns the ID of the account's newest event at the time of authentication.
func (s *Session) Event() int64 { return int64(s.event.Load()) }

// SetEvent records that the client itself has caused an event of its account, and may stay.
// Only the goroutine that handles the session's input may call it.
func (s *Session) SetEvent(event int64) { s.event.Store(uint32(event)) }

// eventBefore compares the low 32 bits, which are all that a session stores: event IDs of
// one store are never 2^31 apart.
func eventBefore(session uint32, event int64) bool { return int32(uint32(event)-session) > 0 }

// EndAccount ends the streams of an account, including those that are authenticating for it.
// Any goroutine may call it; it returns at once.
func (m *Manager) EndAccount(bare string, e *StreamError) {
	// Unbound streams first: one that binds meanwhile is found in the table below.
	m.unbound.Range(func(s *Session, _ struct{}) bool {
		s.runOnLoop(func(t *Turn) {
			if claimed, _ := s.claimed(); bare == claimed || bare == s.BareJID() {
				s.end(t, e)
			}
		})
		return true
	})
	for s := m.First(bare); s != nil; s = s.Next() {
		s.Close(e)
	}
}

// EndUnbound calls why with the account of each stream without a resource, including accounts
// that streams are authenticating for, and ends those for which it returns an error. Any
// goroutine may call it; it returns at once, and why is called on the goroutines of the loops.
func (m *Manager) EndUnbound(why func(bare string) *StreamError) {
	m.unbound.Range(func(s *Session, _ struct{}) bool {
		s.runOnLoop(func(t *Turn) {
			claimed, _ := s.claimed()
			for _, bare := range []string{claimed, s.BareJID()} {
				if e := why(bare); bare != "" && e != nil {
					s.end(t, e)
					return
				}
			}
		})
		return true
	})
}

// EachUnbound calls f for every session without a resource until f returns false. f may use
// only the connection and the type of a session.
func (m *Manager) EachUnbound(f func(*Session) bool) {
	m.unbound.Range(func(s *Session, _ struct{}) bool { return f(s) })
}
