//go:build linux

package poller

import (
	"testing"
	"time"
)

// TestStalledRecord: a partial record must be completed in time, in both layers; after a
// complete record there is no time limit.
func TestStalledRecord(t *testing.T) {
	for _, std := range []bool{false, true} {
		s := serve(t, Config{Loops: 1, RecordTimeout: time.Second, StdTLS: std}, testTLS(t), nil)
		idle := newTLSPeer(t, dial(t, s.addr), nil)
		idle.send(idle.data("whole"))
		idle.expect("whole")
		first := <-s.conns
		for _, n := range []int{1, 5, 20} {
			p := newTLSPeer(t, dial(t, s.addr), nil)
			p.send(p.data("whole"), p.data("in part")[:n])
			p.expect("whole")
			if err := reason(t, <-s.conns); err != ErrStalled {
				t.Errorf("std %v: %d bytes of a record: %v, want ErrStalled", std, n, err)
			}
		}
		idle.send(idle.data("still here"))
		idle.expect("still here")
		select {
		case err := <-first.closed:
			t.Errorf("std %v: a connection without a partial record: %v", std, err)
		default:
		}
	}
}

// TestStallBegins: the time for a record begins with its first byte, in both layers and
// for any split; the time of a pause does not count.
func TestStallBegins(t *testing.T) {
	for _, std := range []bool{false, true} {
		s := serve(t, Config{Loops: 1, StdTLS: std}, testTLS(t), nil)
		p := newTLSPeer(t, dial(t, s.addr), nil)
		e := <-s.conns
		eventually(t, "secured", e.secured.Load)
		stall := func() (at uint32) {
			onLoop(e.c, func() bool { at = e.c.stall; return true })
			return at
		}
		one, two := p.data("one"), p.data("two")
		p.send(one[:10])
		eventually(t, "a record has begun", func() bool { return stall() > 0 })
		first, reads := stall(), s.Stats().Reads
		s.later(5 * time.Second)
		p.send(one[10:11])
		eventually(t, "one byte more has come", func() bool { return s.Stats().Reads > reads })
		if at := stall(); at != first {
			t.Errorf("std %v: after one more byte the deadline is %d, want %d", std, at, first)
		}
		p.send(one[11:], two[:10])
		p.expect("one")
		if at := stall(); at < first+5 {
			t.Errorf("std %v: the deadline of the second record is %d, of the first %d", std, at, first)
		}
		onLoop(e.c, func() bool { e.c.Pause(); return true })
		s.later(10 * time.Minute)
		e.c.Resume()
		s.later(time.Second)
		p.send(two[10:])
		p.expect("two")
		if at := stall(); at != 0 {
			t.Errorf("std %v: deadline %d after a complete record", std, at)
		}
	}
}
