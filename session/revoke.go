package session

import "time"

// incarnation is what a session keeps of an account's time of creation: an
// account that was deleted and made anew has another one.
func incarnation(created time.Time) uint32 { return uint32(created.Unix()) }

// Revoke ends, with e, the sessions of accounts that are gone, and with them the
// streams that are not bound yet, whether they have authenticated or are at it.
// gone has the accounts' bare JIDs. Where an account was made anew since, the
// value is the time of its creation: who logged in to the new one stays. It is
// the zero time otherwise. Revoke may be called from any goroutine.
func (m *Manager) Revoke(gone map[string]time.Time, e *StreamError) {
	// Those that are not bound first: who binds meanwhile is in the table below.
	m.unbound.Range(func(s *Session, _ struct{}) bool {
		s.onLoop(func(t *Turn) {
			if who, made := s.claims(); isRevoked(gone, who, made) {
				s.end(t, e)
			}
		})
		return true
	})
	for bare := range gone {
		for s := m.First(bare); s != nil; s = s.Next() {
			if isRevoked(gone, bare, s.made) {
				s.Close(e)
			}
		}
	}
}

func isRevoked(gone map[string]time.Time, bare string, made uint32) bool {
	anew, listed := gone[bare]
	return listed && (anew.IsZero() || made != incarnation(anew))
}

// claims is the account that the client has authenticated as or, in the middle
// of an exchange, the one whose keys were read for it. Only the goroutine that
// handles the session's input may call it.
func (s *Session) claims() (bare string, made uint32) {
	if s.has(flagAuthed) {
		return s.BareJID(), s.made
	}
	if n := s.neg(); n != nil && n.sasl != nil {
		who, created := n.sasl.account()
		return who.BareString(), incarnation(created)
	}
	return "", 0
}
