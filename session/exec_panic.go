package session

import (
	"roost/parser"
	"roost/stanza"
)

// A panic in what handles one client's input, or in an extension, must not end all
// the others' sessions. It is recovered from where that code begins: around an
// extension's function, around each call of a session by its loop, and around each
// job of a worker. Locks in between are released by defer. A stream whose state may
// be broken ends with <internal-server-error/>.
//
// Some panics stop the process all the same: see package panics.

// Recovered notes that a caller has recovered from a panic with the value v in work
// for s, which may be nil. If nobody may recover from it, Recovered panics with it
// again; so it is to be called by the deferred function, while the stack is there.
func (m *Manager) Recovered(v any, s *Session) {
	who := ""
	if s != nil {
		who = s.JID().String()
	}
	m.panics.Recovered(v, m.cfg.Logger, "jid", who)
}

// Panics is the number of panics that were recovered from since the manager was
// made.
func (m *Manager) Panics() int64 { return m.panics.Count() }

// recovered is deferred by those who work for nobody in particular.
func (m *Manager) recovered() {
	if v := recover(); v != nil {
		m.Recovered(v, nil)
	}
}

// guard is deferred around code that handles the session's input on its loop or on
// a worker that has it: a panic ends the stream.
func (s *Session) guard(t *Turn) {
	if v := recover(); v != nil {
		s.broken(t, v)
	}
}

// guardData is guard for bytes that came in: the parser may be anywhere.
func (s *Session) guardData(t *Turn, used *int, all int) {
	if v := recover(); v != nil {
		t.stanza, t.scratch, t.held = stanza.Stanza{}, parser.NewScratch(s.mgr.cfg.Limits), nil
		s.broken(t, v)
		*used = all
	}
}

func (s *Session) broken(t *Turn, v any) {
	s.mgr.Recovered(v, s)
	defer func() {
		if v := recover(); v != nil {
			// Not even that: what the connection still does is to tell that it
			// has closed.
			s.mgr.Recovered(v, s)
			s.set(flagClosing)
			s.conn.Close(0)
		}
	}()
	switch {
	case !t.MayBlock() && s.has(flagBusy):
		s.Close(ErrInternal) // a worker has it already
	case s.has(flagClosing):
		s.detach(t)
		s.conn.Close(0)
	default:
		s.end(t, ErrInternal)
	}
}

// run runs f for the session, on its loop or on a worker that has it. What it does on
// the loop is held against the session's account.
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
// done. Its presence is gone afterwards whatever happens.
func (m *Manager) announceLeft(t *Turn, s *Session) (done bool) {
	defer func() {
		if v := recover(); v != nil {
			m.Recovered(v, s)
			s.SetPresence(nil, 0)
			done = true
		}
	}()
	return m.cfg.Router.OnUnavailable(t, s)
}
