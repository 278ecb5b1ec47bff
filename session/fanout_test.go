package session

import (
	"crypto/tls"
	"net/netip"
	"testing"
	"time"
)

// pausing is a connection that knows whether it is read.
type pausing struct {
	paused bool
	addr   string // of the client; "": none
}

func (c *pausing) Hold(int) bool              { return true }
func (c *pausing) Authenticated()             {}
func (c *pausing) Queue([]byte) error         { return nil }
func (c *pausing) Flush() bool                { return false }
func (c *pausing) Queued() int                { return 0 }
func (c *pausing) Pause()                     { c.paused = true }
func (c *pausing) Resume()                    { c.paused = false }
func (c *pausing) Post(func(loop int))        {}
func (c *pausing) StartTLS(*tls.Config) error { return nil }
func (c *pausing) Close(time.Duration)        {}
func (c *pausing) SetDeadline(time.Duration)  {}
func (c *pausing) RemoteAddr() netip.AddrPort {
	addr, _ := netip.ParseAddr(c.addr)
	return netip.AddrPortFrom(addr, 1)
}
func (c *pausing) Secure() bool { return false }

// TestFanout: what a client may cause at once, when it may go on, and that nothing
// is kept of it afterwards.
func TestFanout(t *testing.T) {
	m := NewManager(Config{Domains: []string{"localhost"}, Workers: 1, KeyWorkers: 1, FanoutRate: 1000})
	t.Cleanup(m.Close)
	c := new(pausing)
	s, turn := m.New(c), m.turns[0]
	start := time.Unix(1000, 0)
	at := func(d time.Duration) { turn.now = start.Add(d) }
	f := func(desc string, paused bool) {
		t.Helper()
		if c.paused != paused {
			t.Errorf("%s: paused is %v, want %v", desc, c.paused, paused)
		}
	}
	at(0)
	s.charge(turn, 5000*costDelivery)
	f("five seconds' worth", false)
	s.charge(turn, 100*costDelivery)
	f("more than that", true)
	m.refill(0)
	f("at once", true)
	at(99 * time.Millisecond)
	m.refill(0)
	f("too early", true)
	at(101 * time.Millisecond)
	m.refill(0)
	f("forgiven", false)
	s.charge(turn, 2*costDelivery)
	f("again more", true)
	at(6 * time.Second)
	m.refill(0)
	f("all is forgiven", false)
	if turn.fanout.used != nil || turn.fanout.waiting != nil {
		t.Errorf("kept: %+v", turn.fanout)
	}
	s.charge(turn, 5000*costDelivery)
	f("a full bucket", false)
	s.set(flagGone)
	m.refill(0)
	if turn.fanout.used != nil {
		t.Error("a session that has gone is kept")
	}
	turn.fanout.timer.Stop()
	off := NewManager(Config{Domains: []string{"localhost"}, Workers: 1, KeyWorkers: 1, FanoutRate: -1})
	t.Cleanup(off.Close)
	s = off.New(c)
	s.charge(off.turns[0], 1<<50)
	f("without a limit", false)
}
