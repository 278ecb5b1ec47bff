package session

import (
	"maps"
	"slices"
	"sync"
)

// Why a session ended, where it was not a stream error of ours: those count
// under their condition (RFC 6120 section 4.9.3).
const (
	endedClosed = "closed"      // the client closed its stream
	endedLost   = "lost"        // the connection ended without a </stream:stream>
	endedSlow   = "slow-reader" // its outbox was full
)

// endings counts the sessions that ended, by reason. There are as many reasons
// as there are conditions in this package and in the parser.
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

// Ended is how many sessions ended for one reason.
type Ended struct {
	Reason string // "closed", "lost", "slow-reader", or the condition of the stream error that was sent
	Count  int64  // since the manager was made
}

// Ended lists why sessions have ended since the manager was made, sorted by
// reason. A session counts once, however many things went wrong at its end.
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

// endedBecause counts and logs why the session ends. It is called once, by
// whatever sets flagClosing.
func (s *Session) endedBecause(reason string, err error) {
	s.mgr.ended.add(reason)
	if !s.mgr.debug() {
		return
	}
	who := s.FullJID()
	if who == "" {
		who = s.BareJID()
	}
	log := s.mgr.cfg.Logger.With("jid", who, "peer", s.conn.RemoteAddr(), "reason", reason)
	if err != nil {
		log = log.With("err", err)
	}
	log.Debug("session ended")
}

// reasonOf is the reason that counts for a stream which we end.
func reasonOf(e *StreamError) string {
	if e == nil {
		return endedClosed
	}
	return e.Condition
}
