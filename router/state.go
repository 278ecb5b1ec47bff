package router

import (
	"bytes"
	"errors"
	"strings"

	"roost/jid"
	"roost/session"
)

// State saves an extension's state of a session when the server restarts: its flags and
// slots. Both functions are called for sessions without a connection.
type State struct {
	// Save appends the state, or nothing if there is none. The session's client sends nothing
	// more, but others may still send to the session.
	Save func(dst []byte, s *session.Session) []byte

	// Restore gives a session the state that Save has appended, perhaps in another version of
	// the extension. The session is in no table yet, so no other goroutine uses it. If Restore
	// returns an error, the session cannot be resumed: it ends, and its messages are handed
	// on.
	Restore func(s *session.Session, data []byte) error
}

// FlagState returns a State that saves a flag.
func FlagState(f session.Flag) State {
	return State{
		Save: func(dst []byte, s *session.Session) []byte {
			if f.Has(s) {
				dst = append(dst, 1)
			}
			return dst
		},
		Restore: func(s *session.Session, _ []byte) error {
			f.Set(s)
			return nil
		},
	}
}

// namedState is the state of an extension, or of the router itself.
type namedState struct {
	name string
	State
}

// ownStates returns the states that belong to no extension.
func (r *Router) ownStates() []namedState {
	return []namedState{
		{"observed", FlagState(observed)},
		{"owes end", FlagState(owesEnd)},
		{"directed", State{Save: saveDirected, Restore: r.restoreDirected}},
		{"contacts", State{Save: saveUnsent, Restore: r.restoreUnsent}},
		{"requests", State{Save: saveRequests, Restore: r.restoreRequests}},
		{"roster version", State{Save: r.saveVersion, Restore: r.restoreVersion}},
	}
}

// SaveState implements session.Router.
func (r *Router) SaveState(s *session.Session, buf []byte, add func(name string, data []byte)) []byte {
	for i := range r.states {
		begin := len(buf)
		r.guarded(s, func() { buf = r.states[i].Save(buf, s) })
		if end := len(buf); end > begin {
			add(r.states[i].name, buf[begin:end:end])
		}
	}
	return buf
}

// errState is the result if an extension panics.
var errState = errors.New("the extension has failed")

// RestoreState implements session.Router.
func (r *Router) RestoreState(s *session.Session, name string, data []byte) error {
	for i := range r.states {
		if r.states[i].name == name {
			err := errState
			r.guarded(s, func() { err = r.states[i].Restore(s, data) })
			return err
		}
	}
	return nil // the extension no longer exists
}

// saveDirected appends the addresses that got directed presence, each on a line: an address
// has no control characters.
func saveDirected(dst []byte, s *session.Session) []byte {
	for _, to := range directed(s) {
		dst = append(append(dst, to...), '\n')
	}
	return dst
}

func (r *Router) restoreDirected(s *session.Session, data []byte) error {
	for line := range bytes.Lines(data) {
		to, err := jid.Parse(strings.TrimSuffix(string(line), "\n"))
		if err != nil {
			return err
		}
		r.addDirected(s, to.String())
	}
	return nil
}

// saveUnsent appends something if the client is still to be sent presence of others.
func saveUnsent(dst []byte, s *session.Session) []byte {
	if unsent.Get(s) != nil {
		dst = append(dst, 1)
	}
	return dst
}

// restoreUnsent makes the session send its client the presence of all contacts when the client
// is back: some of it twice, rather than some of it never.
func (r *Router) restoreUnsent(s *session.Session, _ []byte) error {
	*unsent.Make(s) = pendingPresence{own: true, roster: true}
	s.OnDrain(func(t *session.Turn) { r.resumeContactPresence(t, s) })
	return nil
}
