package session

import (
	"slices"
	"testing"
)

// TestPausedWithUnreadInput: whenever a session leaves input unread, its connection is
// paused, even after a late Resume. Bug: a Resume posted before the session had a reason to
// wait undid the pause for that reason; further input was stored without a limit and
// handled out of order.
func TestPausedWithUnreadInput(t *testing.T) {
	m := NewManager(Config{Domains: []string{"localhost"}, Workers: 1, KeyWorkers: 1})
	t.Cleanup(m.Close)
	for desc, flag := range map[string]uint32{"busy": flagBusy, "throttled": flagThrottled, "backlog": flagBacklog, "delayed": flagDelayed} {
		c := new(pausing)
		s := m.New(c)
		s.set(flag)
		c.Pause()
		c.Resume() // the late Resume
		if n := s.Data(0, []byte(" ")); n == 0 && !c.paused {
			t.Errorf("%s: input is left, but the connection is still read", desc)
		}
		if flag != flagDelayed && c.paused {
			s.resume(m.turns[0])
			if !c.paused {
				t.Errorf("%s: reading resumed although the reason remains", desc)
			}
		}
	}
}

// filling is a connection whose outbox and socket are as full as the test sets.
type filling struct {
	pausing
	queued int
	full   bool // the socket is full
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

// TestWaitsForFullSocketOnly: a session waits for Drained only if the socket was full,
// because otherwise Drained is not called. Bug: a session counted output that another
// goroutine had queued and not flushed; the socket then accepted all of it at once, and the
// session was never read again, or never sent the rest of its messages.
func TestWaitsForFullSocketOnly(t *testing.T) {
	m := NewManager(Config{Domains: []string{"localhost"}, Workers: 1, KeyWorkers: 1})
	t.Cleanup(m.Close)
	c := new(filling)
	s := m.New(c)
	var order []string
	c.queued = maxBacklog + 1 // queued by another goroutine and not flushed
	if s.backlog(m.turns[0]) || c.paused {
		t.Error("paused for a socket that accepts everything")
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
		t.Errorf("%q, paused %v, after the socket has accepted everything", order, c.paused)
	}
}
