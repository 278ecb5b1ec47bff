package session

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"roost/jid"
)

// pausing is a connection that records whether it is read.
type pausing struct {
	NoConn
	paused bool
	loop   int
	posted chan func(loop int) // nil: posted functions are dropped
	addr   string              // of the client; "": none
}

func (c *pausing) Pause()  { c.paused = true }
func (c *pausing) Resume() { c.paused = false }
func (c *pausing) Post(f func(loop int)) {
	if c.posted != nil {
		c.posted <- f
	}
}
func (c *pausing) RemoteAddr() netip.AddrPort {
	addr, _ := netip.ParseAddr(c.addr)
	return netip.AddrPortFrom(addr, 1)
}

// TestFanout tests the burst of an account, when its sessions resume, and that nothing is
// kept after that. All sessions of an account share one bucket, whatever their loops,
// including sessions that have left or are new.
func TestFanout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewManager(Config{Domains: []string{"localhost"}, Loops: 2, FanoutRate: 1000})
		defer m.Close()
		var all []*pausing
		enter := func(loop int, full string) (*Session, *pausing) {
			c := &pausing{loop: loop, posted: make(chan func(int), 100)}
			all = append(all, c)
			s := m.New(c)
			m.link(s, jid.MustParse(full), KickOld, true)
			return s, c
		}
		charge := func(s *Session, deliveries int64) {
			loop := s.Conn().(*pausing).loop
			s.chargeCost(m.turns[loop], deliveries*costDelivery)
			m.EndTurn(loop)
		}
		sleep := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
			for _, c := range all {
				for len(c.posted) > 0 {
					(<-c.posted)(c.loop)
				}
			}
		}
		f := func(desc string, c *pausing, paused bool) {
			t.Helper()
			if c.paused != paused {
				t.Errorf("%s: paused is %v, want %v", desc, c.paused, paused)
			}
		}
		a, onA := enter(0, "romeo@localhost/a")
		b, onB := enter(1, "romeo@localhost/b")
		other, onOther := enter(0, "juliet@localhost/r")
		charge(a, 2500)
		charge(b, 2500)
		f("five seconds' worth", onB, false)
		charge(b, 100)
		f("more than that", onB, true)
		f("the one that does nothing meanwhile", onA, false)
		charge(a, 1)
		f("the one that does something", onA, true)
		charge(other, 5000)
		f("another account", onOther, false)
		sleep(50 * time.Millisecond)
		f("too early", onB, true)
		sleep(200 * time.Millisecond)
		f("forgiven", onA, false)
		f("forgiven", onB, false)

		charge(a, 5000)
		f("again more", onA, true)
		a.set(flagLeft) // it leaves, and the next one arrives
		charge(a, 100)
		next, onNext := enter(1, "romeo@localhost/c")
		next.returnToLoop(1)
		f("a session that comes when much was caused", onNext, true)
		sleep(4800 * time.Millisecond)
		f("its account has that much to wait", onNext, true)
		sleep(400 * time.Millisecond)
		f("its account has waited", onNext, false)

		sleep(10 * time.Second)
		for i := range m.fanout.shards {
			if m.fanout.shards[i].buckets != nil || m.fanout.armed.Load() {
				t.Errorf("kept when all is forgiven: %+v", m.fanout.shards[i].buckets)
			}
		}
		next.returnToLoop(1)
		f("a session that comes then", onNext, false)
		charge(other, 5000)
		f("a full bucket", onOther, false)

		off := NewManager(Config{Domains: []string{"localhost"}, FanoutRate: -1})
		defer off.Close()
		s := off.New(onOther)
		off.link(s, jid.MustParse("romeo@localhost/a"), KickOld, true)
		s.chargeCost(off.turns[0], 1<<50)
		f("without a limit", onOther, false)
	})
}
