package session

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"

	"roost/jid"
	"roost/stanza"
)

// gated is a router whose stanzas pass a gate, except those with the ID "other".
type gated struct {
	deriving
	gate Gate
}

func (r *gated) Stanza(t *Turn, _ *Session, st *stanza.Stanza, stage int) (int, Work) {
	id := string(st.ID)
	switch {
	case !t.MayWrite():
		return stage, Write
	case id == "other":
		r.steps <- id
		return stage, Done
	case id == "unused" && t.place != nil:
		r.steps <- id
		return stage, Done
	case !r.gate.Enter(t):
		return stage, Write
	}
	defer r.gate.Leave()
	r.steps <- id
	<-r.release
	if id == "panic" {
		panic("in the gate")
	}
	return stage, Done
}

// newGated returns a manager with one more goroutine than a gate lets in, and a function with
// which a new client sends a stanza.
func newGated() (r *gated, m *Manager, send func(id string) *Session) {
	r = &gated{deriving: deriving{release: make(chan struct{}), steps: make(chan string, 1000)}}
	m = NewManager(Config{Domains: []string{"localhost"}, Router: r, Workers: 1, KeyWorkers: 1, Writers: gatePlaces + 1,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	n := 0
	return r, m, func(id string) *Session {
		n++
		s, _ := m.Adopt(&pipe{posted: make(chan func(int), 100)}, jid.MustParse(fmt.Sprintf("user%d@localhost/r", n)))
		s.Data(0, fmt.Appendf(nil, "<message id='%s'/>", id))
		synctest.Wait()
		return s
	}
}

// done returns the IDs of the stanzas that were handled since it was called last.
func (r *gated) done() (ids []string) {
	for len(r.steps) > 0 {
		ids = append(ids, <-r.steps)
	}
	return ids
}

// TestGate: however many stanzas want to pass a gate, they leave a worker to others. They pass
// it in order. What panics, or does not want to pass any more, does not keep its place.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, m, send := newGated()
		f := func(want ...string) {
			t.Helper()
			synctest.Wait()
			if got := r.done(); !slices.Equal(got, want) {
				t.Errorf("handled: %q, want %q", got, want)
			}
		}
		ids := []string{"0", "panic", "2", "unused", "4", "panic", "6", "7"}
		for _, id := range ids {
			send(id)
		}
		f("0", "panic")
		if c, w := m.Counts(), m.writes.stats(); c.Waiting != 6 || w.Waiting != 6 || w.Busy != 2 || m.writes.busy() != 8 {
			t.Errorf("%d, %+v, %d busy; want 6 that wait, and 2 busy workers", c.Waiting, w, m.writes.busy())
		}
		send("other")
		f("other")
		for _, next := range []string{"2", "unused 4", "panic", "6", "7"} {
			r.release <- struct{}{}
			if next == "unused 4" {
				f("unused", "4")
				continue
			}
			f(next)
		}
		r.release <- struct{}{}
		r.release <- struct{}{}
		synctest.Wait()
		if r.gate.inside != 0 || r.gate.waiting != nil || m.Counts().Waiting != 0 || m.Panics() != 2 {
			t.Errorf("%d are inside, %d wait, %d panicked", r.gate.inside, m.Counts().Waiting, m.Panics())
		}
		m.Close()
		if n := m.offloadedBytes.Load(); n != 0 {
			t.Errorf("%d bytes are still counted for finished stanzas", n)
		}
	})
}

// TestGateAtStop: Close waits for stanzas that wait at a gate, also for those of sessions that
// have ended.
func TestGateAtStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, m, send := newGated()
		const n = 20
		var want []string
		for i := range n {
			want = append(want, fmt.Sprint(i))
			if s := send(want[i]); i%2 == 0 {
				s.Closed(0, nil)
			}
		}
		closed := make(chan struct{})
		go func() {
			m.Close()
			close(closed)
		}()
		synctest.Wait()
		for range n {
			select {
			case <-closed:
				t.Error("Close returned while stanzas were waiting")
			default:
			}
			r.release <- struct{}{}
			synctest.Wait()
		}
		<-closed
		if got := r.done(); !slices.Equal(got, want) {
			t.Errorf("handled: %q, want %q", got, want)
		}
	})
}

// TestGateOfOthers: what is not the stanza of a client does not wait at a gate, and does not
// give its place to one that does.
func TestGateOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, m, send := newGated()
		for i := range 4 {
			send(fmt.Sprint(i))
		}
		turn := m.NewTurn()
		for range 3 {
			if !r.gate.Enter(turn) {
				t.Fatal("has to wait")
			}
		}
		for range 3 {
			r.gate.Leave()
		}
		synctest.Wait()
		if got := r.done(); len(got) != gatePlaces || r.gate.inside != gatePlaces {
			t.Errorf("let in: %q; %d are inside", got, r.gate.inside)
		}
		close(r.release)
		m.Close()
		if r.gate.inside != 0 {
			t.Errorf("%d are inside", r.gate.inside)
		}
	})
}
