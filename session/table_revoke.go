package session

// Revocation says which streams of an account end because of what happened to it.
// Numbers are those of account events (store.AccountEvent.ID).
type Revocation struct {
	Bound   int64 // resources that authenticated before this event end
	Unbound int64 // streams without a resource that authenticated, or read the account's keys, before this one
	Error   *StreamError
}

// Merge adds what a later event ends.
func (r Revocation) Merge(later Revocation) Revocation {
	if later.Error != nil && (later.Bound > r.Bound || r.Error == nil) {
		r.Error = later.Error
	}
	r.Bound, r.Unbound = max(r.Bound, later.Bound), max(r.Unbound, later.Unbound)
	return r
}

// Revoke ends streams of accounts, by bare JID. It may be called from any
// goroutine. A stream whose input a worker handles now is looked at when that is
// done: a client that changes its own password is past the event by then.
func (m *Manager) Revoke(accounts map[string]Revocation) {
	if len(accounts) == 0 {
		return
	}
	// Those that are not bound first: a stream that binds meanwhile is in the table below.
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

// revokeUnbound ends the stream if it was not bound when accounts were revoked and
// is one of theirs. Only the goroutine that handles the session's input may call
// it.
func (s *Session) revokeUnbound(t *Turn, accounts map[string]Revocation) {
	if s.has(flagAuthed) {
		if r, listed := accounts[s.BareJID()]; listed && s.AuthenticatedBefore(r.Unbound) {
			s.end(t, r.Error)
		}
		return
	}
	// In the middle of an exchange the account is the one whose keys were read.
	bare, event := s.claimed()
	if r, listed := accounts[bare]; listed && eventBefore(uint32(event), r.Unbound) {
		s.end(t, r.Error)
	}
}

// AuthenticatedBefore reports whether the client authenticated before an account
// event: an event of its account that is about an account, or a password, that it
// does not know. Before authentication it reports true.
func (s *Session) AuthenticatedBefore(event int64) bool { return eventBefore(s.event.Load(), event) }

// Event is the newest event of the session's account at the time when it
// authenticated.
func (s *Session) Event() int64 { return int64(s.event.Load()) }

// SetEvent notes that the client has caused an event of its own account, and stays.
// Only the goroutine that handles the session's input may call it.
func (s *Session) SetEvent(event int64) { s.event.Store(uint32(event)) }

// eventBefore compares by the low 32 bits, which is all that a session keeps: event
// numbers of one store are never 2^31 apart.
func eventBefore(session uint32, event int64) bool { return int32(uint32(event)-session) > 0 }
