package session

import (
	"roost/parser"
	"roost/stanza"
)

// A panic in code that handles one client's input, or in an extension, must not end the
// sessions of others. It is recovered where such code is called: around an extension's
// function, around each call of a session by its loop, and around each job of a worker.
// Locks in between are released by defer. A stream whose state may be inconsistent ends
// with <internal-server-error/>.
//
// Some panics end the process nevertheless: see package panics.

// Recovered records that a caller has recovered from a panic with the value v in work for
// s, which may be nil. If the panic must not be recovered from, Recovered panics with v
// again. It must be called by the deferred function, while the stack still exists.
func (m *Manager) Recovered(v any, s *Session) {
	who := ""
	if s != nil {
		who = s.JID().String()
	}
	m.panics.Recovered(v, m.config().Logger, "jid", who)
}

// Panics returns the number of recovered panics since the manager was made.
func (m *Manager) Panics() int64 { return m.panics.Count() }

// recovered is deferred around work that belongs to no session.
func (m *Manager) recovered() {
	if v := recover(); v != nil {
		m.Recovered(v, nil)
	}
}

// guard is deferred around code that handles the session's input, on its loop or on a
// worker that has it. A panic ends the stream.
func (s *Session) guard(t *Turn) {
	if v := recover(); v != nil {
		s.broken(t, v)
	}
}

// guardData is guard for input that may have left the parser in any state.
func (s *Session) guardData(t *Turn, used *int, all int) {
	if v := recover(); v != nil {
		t.stanza, t.scratch, t.held = stanza.Stanza{}, parser.NewScratch(t.limits), nil
		s.broken(t, v)
		*used = all
	}
}

func (s *Session) broken(t *Turn, v any) {
	s.mgr.Recovered(v, s)
	defer func() {
		if v := recover(); v != nil {
			// Ending the stream panicked, too. Close the connection, which then calls
			// Closed.
			s.mgr.Recovered(v, s)
			s.set(flagClosing)
			s.Conn().Close(0)
		}
	}()
	switch {
	case !t.MayBlock() && s.has(flagBusy):
		s.Close(ErrInternal) // a worker already has the session
	case s.has(flagClosing):
		s.release(t)
		s.Conn().Close(0)
	default:
		s.end(t, ErrInternal)
	}
}

// run runs f for the session, on its loop or on a worker that has it. The cost of work on
// the loop is charged to the session's account.
func (s *Session) run(t *Turn, f func(*Turn)) {
	defer s.guard(t)
	f(t)
	if !t.MayBlock() {
		s.charge(t)
	}
}

// step runs one step of a job on the worker that has the session.
func (s *Session) step(t *Turn, f func(*Turn) Work) Work {
	defer s.guard(t)
	return f(t)
}

// announceLeft announces that a session has left the tables, and reports whether that is
// finished. After a panic its presence is removed and it counts as finished.
func (m *Manager) announceLeft(t *Turn, s *Session) (done bool) {
	defer func() {
		if v := recover(); v != nil {
			m.Recovered(v, s)
			s.SetPresence(nil, 0)
			done = true
		}
	}()
	return m.config().Router.OnUnavailable(t, s)
}
