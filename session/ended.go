package session

import (
	"cmp"
	"maps"
	"slices"
	"sync"
)

// Reasons for the end of a session other than a stream error of ours. Stream errors are
// counted by condition (RFC 6120 section 4.9.3).
const (
	endedClosed = "closed"      // the client closed its stream
	endedLost   = "lost"        // the connection ended without a </stream:stream>
	endedSlow   = "slow-reader" // its outbox was full, or too much was not acknowledged
	endedMoved  = "moved"       // its client has resumed it on another node
)

// endings counts ended sessions by reason. The number of reasons is limited by the number
// of conditions in this package and in the parser.
type endings struct {
	mu     sync.Mutex
	counts map[string]int64
}

func (e *endings) add(reason string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.counts == nil {
		e.counts = make(map[string]int64)
	}
	e.counts[reason]++
}

// Ended is the number of sessions that ended for one reason.
type Ended struct {
	Reason string // "closed", "lost", "slow-reader", "moved", or the condition of the stream error that was sent
	Count  int64  // sessions since the manager was made
}

// IsStreamError reports whether the reason is the condition of a stream error that was
// sent.
func (e Ended) IsStreamError() bool {
	switch e.Reason {
	case endedClosed, endedLost, endedSlow, endedMoved:
		return false
	}
	return true
}

// Ended returns the reasons why sessions have ended since the manager was made, sorted by
// name. Each session is counted once, whatever else went wrong while it ended.
func (m *Manager) Ended() []Ended {
	e := &m.ended
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make([]Ended, 0, len(e.counts))
	for _, reason := range slices.Sorted(maps.Keys(e.counts)) {
		all = append(all, Ended{reason, e.counts[reason]})
	}
	return all
}

// endedBecause counts, publishes and logs the reason for the session's end. The code that sets
// flagClosing calls it, once.
func (s *Session) endedBecause(reason string, err error) {
	s.mgr.ended.add(reason)
	s.publishEnd(reason, err)
	if s.has(flagTapped) {
		s.mgr.taps.because(s, reason)
	}
	if !s.mgr.debug() {
		return
	}
	log := s.mgr.config().Logger.With("jid", s.name(), "peer", s.Conn().RemoteAddr(), "reason", reason)
	if err != nil {
		log = log.With("err", err)
	}
	log.Debug("session ended")
}

// name returns the full JID, or the bare JID before a resource is bound.
func (s *Session) name() string { return cmp.Or(s.FullJID(), s.BareJID()) }

// reasonOf returns the reason to count for a stream that we end.
func reasonOf(e *StreamError) string {
	if e == nil {
		return endedClosed
	}
	return e.Condition
}
