package session

import (
	"errors"
	"slices"
	"testing"

	"roost/jid"
	"roost/stanza"
)

// leaving is a router that records the order in which a session is released and leaves.
type leaving struct {
	Router
	steps []string
}

func (r *leaving) note(step string) {
	if len(r.steps) == 0 || r.steps[len(r.steps)-1] != step {
		r.steps = append(r.steps, step)
	}
}

func (r *leaving) CaughtUp(int64) bool                                       { return true }
func (r *leaving) Unwanted(*Session) func([]byte) bool                       { return nil }
func (r *leaving) CatchUp(*Turn, int64) error                                { return nil }
func (r *leaving) OnBind(*Turn, *Session, ConflictPolicy) *stanza.ErrorReply { return nil }
func (r *leaving) Unlinked(*Session)                                         {}
func (r *leaving) EndElsewhere(*Turn, *Session, func(string) bool)           {}
func (r *leaving) OnUnavailable(_ *Turn, s *Session) bool {
	r.steps = append(r.steps, "left") // each time
	s.SetPresence(nil, 0)
	return true
}

// leavingPipe is a connection that records when a stream has released its memory.
type leavingPipe struct {
	pipe
	router *leaving
}

func (p *leavingPipe) Hold(n int) bool {
	if n == 0 {
		p.router.note("released")
	}
	return true
}

// TestReleasedThenLeft: however a session ends, it is released first, then leaves the
// tables, and its end is announced once. Only a session that is replaced, or whose account
// was removed, leaves first.
func TestReleasedThenLeft(t *testing.T) {
	romeo := jid.MustParse("romeo@localhost/r")
	f := func(desc string, want []string, end func(m *Manager, s *Session)) {
		t.Helper()
		r := new(leaving)
		m := NewManager(Config{Domains: []string{"localhost"}, Router: r, Workers: 1, Writers: 1, KeyWorkers: 1})
		defer m.Close()
		p := &leavingPipe{pipe{posted: make(chan func(int), 100)}, r}
		s, _ := m.Adopt(p, romeo)
		s.cold.Store(&coldState{rare: &rareState{negotiation: &negotiation{held: 1}}}) // so that Hold is called
		end(m, s)
		for len(p.posted) > 0 {
			(<-p.posted)(0)
		}
		if !slices.Equal(r.steps, want) {
			t.Errorf("%s: %q, want %q", desc, r.steps, want)
		}
		s.Closed(0, nil)
		if n := len(r.steps); slices.Index(r.steps[min(n, len(want)):], "left") >= 0 {
			t.Errorf("%s: when the connection is closed: %q", desc, r.steps)
		}
		if m.Find(s.BareJID(), s.Resource()) == s || s.Bound() {
			t.Errorf("%s: it is still in the tables", desc)
		}
	}
	first := []string{"released", "left"}
	f("close tag", first, func(_ *Manager, s *Session) { s.Data(0, []byte("</stream:stream>")) })
	f("lost connection", first, func(_ *Manager, s *Session) { s.Closed(0, errors.New("lost")) })
	f("stream error", first, func(_ *Manager, s *Session) { s.Data(0, []byte("<a></b>")) })
	f("stream error in an element", first, func(_ *Manager, s *Session) { s.Data(0, []byte("<unknown xmlns='urn:example:x'/>")) })
	f("timeout", first, func(_ *Manager, s *Session) { s.Expired(0, errors.New("timeout")) })
	f("overflow", first, func(m *Manager, s *Session) { s.overflow(m.turns[0]) })
	f("revoked", first, func(m *Manager, s *Session) {
		m.Revoke(map[string]Revocation{s.BareJID(): {Bound: s.Event() + 1, Error: ErrReset}})
	})
	f("shutdown", first, func(m *Manager, _ *Session) {
		m.tellAll(t.Context(), func(s *Session) { s.endOnLoop(s.suspend) }) // without waiting
	})
	f("a panic at its end", first, func(m *Manager, s *Session) {
		s.set(flagClosing)
		s.broken(m.turns[0], "a panic")
	})
	late := []string{"left", "released"}
	f("replaced by a conflict", late, func(m *Manager, s *Session) {
		younger := m.New(&pausing{})
		younger.jid = romeo.Bare().Compact()
		if _, reply := m.Bind(m.reads.newTurn(), younger, s.Resource(), KickOld, false); reply != nil {
			t.Error(reply)
		}
	})
	f("account removed", late, func(m *Manager, s *Session) {
		if m.TakeOut(s) {
			m.config().Router.OnUnavailable(nil, s) // as the router does
		}
		s.Close(ErrNotAuthorized)
	})
}

// counting is a router that looks at the counts while a session's end is announced.
type counting struct {
	leaving
	m        *Manager
	onWorker bool // only a worker can announce it
	counts   []Counts
}

func (r *counting) OnUnavailable(t *Turn, s *Session) bool {
	r.counts = append(r.counts, r.m.Counts())
	if r.onWorker && !t.MayBlock() {
		return false
	}
	s.SetPresence(nil, 0)
	return true
}

// TestCountsOfLeavingSession: until the end of a session is announced, on its loop or on a
// worker, something is left. Bug: Shutdown took a moment between leaving the tables and the
// announcement, or the announcement on a worker, for the end of all work, and the rest of a
// long broadcast was lost.
func TestCountsOfLeavingSession(t *testing.T) {
	for _, onWorker := range []bool{false, true} {
		r := &counting{onWorker: onWorker}
		r.m = NewManager(Config{Domains: []string{"localhost"}, Router: r, Workers: 1, Writers: 1, KeyWorkers: 1})
		s, _ := r.m.Adopt(&pipe{posted: make(chan func(int), 100)}, jid.MustParse("romeo@localhost/r"))
		s.Closed(0, errors.New("lost"))
		r.m.Close() // waits for the worker
		want := 1
		if onWorker {
			want = 2
		}
		if len(r.counts) != want {
			t.Errorf("on a worker %v: asked %d times, want %d", onWorker, len(r.counts), want)
		}
		for _, c := range r.counts {
			if c.Bound != 0 || c.Waiting < 1 || !onWorker && c.Waiting > 1 {
				t.Errorf("on a worker %v: while the end is announced: %+v, want a job and no session", onWorker, c)
			}
		}
		if c := r.m.Counts(); c != (Counts{}) {
			t.Errorf("on a worker %v: afterwards: %+v, want nothing", onWorker, c)
		}
	}
}
