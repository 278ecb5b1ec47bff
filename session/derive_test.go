package session

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"roost/jid"
	"roost/stanza"
)

// deriving is a router whose stanzas each need a key derivation and then a writer.
type deriving struct {
	Router
	release chan struct{} // key derivations wait for it
	steps   chan string
}

func (r *deriving) OnBind(*Turn, *Session, ConflictPolicy) *stanza.ErrorReply { return nil }
func (r *deriving) Unlinked(*Session)                                         {}
func (r *deriving) EndElsewhere(*Turn, *Session, func(string) bool)           {}
func (r *deriving) OnUnavailable(_ *Turn, s *Session) bool {
	s.SetPresence(nil, 0)
	return true
}

func (r *deriving) Stanza(t *Turn, s *Session, st *stanza.Stanza, stage int) (int, Work) {
	switch {
	case string(st.ID) == "write" && t.MayWrite():
		r.steps <- "write"
	case string(st.ID) == "write":
		return stage, Write
	case t.MayDerive():
		<-r.release
		r.steps <- "derive " + string(st.ID)
		t.Carry("keys of " + string(st.ID))
		return stage + 1, Write
	case t.MayWrite():
		r.steps <- fmt.Sprint("write ", stage, " ", t.Carried())
	default:
		return stage, Derive
	}
	return stage, Done
}

// newDeriving returns a manager with one goroutine for each kind of work, and a function
// that makes bound sessions.
func newDeriving(memory int) (r *deriving, m *Manager, enter func(name string) (*Session, *pipe)) {
	r = &deriving{release: make(chan struct{}), steps: make(chan string, 1000)}
	m = NewManager(Config{Domains: []string{"localhost"}, Router: r, Workers: 1, KeyWorkers: 1, Writers: 1, WriteMemory: memory})
	return r, m, func(name string) (*Session, *pipe) {
		p := &pipe{posted: make(chan func(int), 100)}
		s, _ := m.Adopt(p, jid.MustParse(name+"@localhost/r"))
		return s, p
	}
}

// TestKeyDerivationHoldsNoWriter: clients of one network whose stanzas wait for keys do not
// occupy goroutines that write. Bug: a thousand changes of passwords occupied all writers
// until the last keys were derived.
func TestKeyDerivationHoldsNoWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, m, enter := newDeriving(0)
		const waiting = 20
		for i := range waiting {
			s, _ := enter(fmt.Sprint("user", i))
			s.Data(0, fmt.Appendf(nil, "<message id='%d'/>", i))
		}
		synctest.Wait()
		if n := m.Counts().Waiting; n != waiting-1 {
			t.Errorf("%d stanzas wait for keys, want %d", n, waiting-1)
		}
		s, _ := enter("writer")
		s.Data(0, []byte("<message id='write'/>"))
		synctest.Wait()
		if len(r.steps) != 1 {
			t.Errorf("%d stanzas were written during the key derivations of others, want 1", len(r.steps))
		}
		close(r.release)
		synctest.Wait()
		got := map[string]bool{}
		for len(r.steps) > 0 {
			got[<-r.steps] = true
		}
		for i := range waiting {
			if !got[fmt.Sprint("derive ", i)] || !got[fmt.Sprintf("write 1 keys of %d", i)] {
				t.Errorf("stanza %d was not written with its keys: %v", i, got)
			}
		}
		m.Close()
		if n := m.offloadedBytes.Load(); n != 0 {
			t.Errorf("%d bytes are still counted for finished stanzas", n)
		}
	})
}

// TestNoKeysForEndedSessions: no keys are derived for a stanza of a session that has ended,
// or ends as soon as the stanza is handled.
func TestNoKeysForEndedSessions(t *testing.T) {
	f := func(desc string, end func(m *Manager, s *Session)) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			r, m, enter := newDeriving(0)
			first, _ := enter("first")
			first.Data(0, []byte("<message id='first'/>"))
			s, _ := enter("romeo")
			s.Data(0, []byte("<message id='abandoned'/>"))
			synctest.Wait()
			end(m, s)
			close(r.release)
			synctest.Wait()
			m.Close()
			if n := len(r.steps); n != 2 {
				t.Errorf("%s: %d steps were done, want the 2 of the first", desc, n)
			}
			if n := m.offloadedBytes.Load(); n != 0 {
				t.Errorf("%s: %d bytes are counted", desc, n)
			}
		})
	}
	f("the connection is lost", func(_ *Manager, s *Session) { s.Closed(0, nil) })
	f("the outbox is full", func(m *Manager, s *Session) { s.overflow(m.turns[0]) })
	f("another session has replaced it", func(m *Manager, s *Session) { m.TakeOut(s) })
}

// TestMemoryOfStanzasThatWaitForKeys: stanzas that wait for keys count as much as those
// that wait for commits.
func TestMemoryOfStanzasThatWaitForKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, m, enter := newDeriving(1)
		s, p := enter("romeo")
		s.Data(0, []byte("<message id='1'/>"))
		synctest.Wait()
		if got := p.out.String(); m.offloadedBytes.Load() != 0 || len(r.steps) != 0 || !strings.Contains(got, "<resource-constraint ") {
			t.Errorf("%d bytes are counted; the client got %q", m.offloadedBytes.Load(), got)
		}
		m.Close()
	})
}

// TestCloseFinishesStanzas: a stanza whose keys are derived when the manager is closed is
// written with them, and its memory is given back.
func TestCloseFinishesStanzas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, m, enter := newDeriving(0)
		s, _ := enter("romeo")
		s.Data(0, []byte("<message id='1'/>"))
		synctest.Wait()
		go m.Close()
		synctest.Wait()
		close(r.release)
		synctest.Wait()
		var got []string
		for len(r.steps) > 0 {
			got = append(got, <-r.steps)
		}
		if want := []string{"derive 1", "write 1 keys of 1"}; !slices.Equal(got, want) {
			t.Errorf("the steps are %q, want %q", got, want)
		}
		if n := m.offloadedBytes.Load(); n != 0 {
			t.Errorf("%d bytes are counted for stanzas that are done", n)
		}
	})
}
