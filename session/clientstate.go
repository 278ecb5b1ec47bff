package session

// The state that a client indicates (XEP-0352) is part of every session, and costs no
// memory: it is in the words of Flag and of the JID, in what would be padding.

// The bits of parser.Parser.Extra.
const (
	numFlags   = 12            // for Flag
	heldBit    = 1 << numFlags // something is held for the inactive client
	sinceShift = numFlags + 1  // the other bits are a number: 0 while the client is active
	MaxSince   = 1<<19 - 1     // the largest number of SetInactive
)

// Inactive reports whether the client has indicated that it is inactive.
func (s *Session) Inactive() bool { return s.InactiveSince() != 0 }

// InactiveSince returns the number that was passed to SetInactive, 0 while the client is
// active.
func (s *Session) InactiveSince() uint32 { return s.parser.Extra.Load() >> sinceShift }

// SetInactive makes the client inactive since a time, a number from 1 to MaxSince, unless it
// already is.
func (s *Session) SetInactive(since uint32) { s.ReplaceSince(0, since) }

// ReplaceSince is SetInactive for a client that is inactive since old.
func (s *Session) ReplaceSince(old, since uint32) {
	for {
		w := s.parser.Extra.Load()
		if w>>sinceShift != old || s.parser.Extra.CompareAndSwap(w, w&(1<<sinceShift-1)|since<<sinceShift) {
			return
		}
	}
}

// SetActive makes the client active. It returns since when it was inactive, 0 if it was
// active, and whether SetHeld was called meanwhile.
func (s *Session) SetActive() (since uint32, held bool) {
	w := s.parser.Extra.And(1<<numFlags - 1)
	return w >> sinceShift, w&heldBit != 0
}

// SetHeld notes that something is held for the client, if it is inactive, and returns since
// when it is. Both is one step: the next SetActive reports it.
func (s *Session) SetHeld() (since uint32) {
	for {
		w := s.parser.Extra.Load()
		if w>>sinceShift == 0 {
			return 0
		}
		if w&heldBit != 0 || s.parser.Extra.CompareAndSwap(w, w|heldBit) {
			return w >> sinceShift
		}
	}
}

// Held reports whether SetHeld was called since the client became inactive.
func (s *Session) Held() bool { return s.parser.Extra.Load()&heldBit != 0 }

// PresenceStamp returns the last number of SetPresenceStamp. Package router, which owns it,
// has a lock for that.
func (s *Session) PresenceStamp() uint16 { return s.jid.Extra }

// SetPresenceStamp sets the number that PresenceStamp returns.
func (s *Session) SetPresenceStamp(n uint16) { s.jid.Extra = n }
