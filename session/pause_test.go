package session

import (
	"slices"
	"testing"
)

// TestPausedWithInputLeft: whatever keeps a session from its input, its connection is
// paused when input is left, also where a Resume came late. Bug: a Resume that was
// posted before the session had a reason to wait undid the pause of that reason; what
// came then was kept without a limit, and was handled out of order.
func TestPausedWithInputLeft(t *testing.T) {
	m := NewManager(Config{Domains: []string{"localhost"}, Workers: 1, KeyWorkers: 1})
	t.Cleanup(m.Close)
	for desc, flag := range map[string]uint32{"busy": flagBusy, "throttled": flagThrottled, "backlog": flagBacklog, "delayed": flagDelayed} {
		c := new(pausing)
		s := m.New(c)
		s.set(flag)
		c.Pause()
		c.Resume() // the late one
		if n := s.Data(0, []byte(" ")); n == 0 && !c.paused {
			t.Errorf("%s: input is left, and the connection is read on", desc)
		}
		if flag != flagDelayed && c.paused {
			s.resume(m.turns[0])
			if !c.paused {
				t.Errorf("%s: it goes on while the reason is there", desc)
			}
		}
	}
}

// filling is a connection whose outbox is as the test says.
type filling struct {
	pausing
	queued int
	full   bool // of the socket
	posted []func(loop int)
}

func (c *filling) Queued() int           { return c.queued }
func (c *filling) Flush() bool           { return c.full }
func (c *filling) Post(f func(loop int)) { c.posted = append(c.posted, f) }

func (c *filling) runPosted() {
	for _, f := range c.posted {
		f(0)
	}
	c.posted = nil
}

// TestWaitsForFullSocketOnly: a session waits for Drained only where the socket has
// been full, because only then it is called. Bug: a session saw what another goroutine
// had queued and not yet flushed, the socket then took all of it at once, and the
// session was never read again, or never sent the rest of its messages.
func TestWaitsForFullSocketOnly(t *testing.T) {
	m := NewManager(Config{Domains: []string{"localhost"}, Workers: 1, KeyWorkers: 1})
	t.Cleanup(m.Close)
	c := new(filling)
	s := m.New(c)
	var order []string
	c.queued = maxBacklog + 1 // queued by another goroutine, and not flushed
	if s.backlog(m.turns[0]) || c.paused {
		t.Error("paused for a socket that takes everything")
	}
	s.OnDrain(func(*Turn) { order = append(order, "at once") })
	if len(order) > 0 {
		t.Error("called from within OnDrain")
	}
	c.runPosted()

	c.full = true
	if !s.backlog(m.turns[0]) || !c.paused {
		t.Error("not paused while the socket is full")
	}
	s.OnDrain(func(*Turn) { order = append(order, "drained") })
	c.runPosted()
	if !slices.Equal(order, []string{"at once"}) {
		t.Errorf("%q while the socket is full", order)
	}
	c.full, c.queued = false, 0
	s.Drained(0)
	c.runPosted()
	if !slices.Equal(order, []string{"at once", "drained"}) || c.paused {
		t.Errorf("%q, paused %v, when the socket has taken everything", order, c.paused)
	}
}
