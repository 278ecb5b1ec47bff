package router

import (
	"testing"
	"time"

	"roost/session"
)

// TestChangeClock: a client that becomes inactive after presence was held gets a later time.
// The clock advances only then, and not more often than it may.
func TestChangeClock(t *testing.T) {
	var c changeClock
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	stays := func(at time.Time) {
		t.Helper()
		before := c.now(at) // nothing is held
		c.used.Store(true)
		if got := c.now(at); got != before {
			t.Errorf("the time is %d, want %d", got, before)
		}
		c.used.Store(false)
	}
	advance := func(at time.Time) {
		t.Helper()
		before := c.now(at)
		c.used.Store(true)
		if got := c.now(at); got != before+1 {
			t.Errorf("the time is %d, want %d", got, before+1)
		}
		if got := c.now(at); got != before+1 {
			t.Errorf("without a change, the time is %d, want %d", got, before+1)
		}
	}
	for range maxSpare {
		advance(start)
	}
	stays(start)
	stays(start.Add(spareEvery - 1))
	advance(start.Add(spareEvery))
	stays(start.Add(spareEvery))
	advance(start.Add(3 * spareEvery))
	advance(start.Add(3 * spareEvery))
	stays(start.Add(3 * spareEvery))
	later := start.Add(100 * 365 * 24 * time.Hour)
	for range maxSpare {
		advance(later)
	}
	stays(later)
}

// TestUnchanged: which stamps count as changes since a client became inactive, also when the
// numbers wrap. What is older than the stamps reach counts as a change.
func TestUnchanged(t *testing.T) {
	for _, start := range []uint32{1, 1<<16 - 2, periods - 2, 1<<20 - 1} {
		var r Router
		c := &r.changesSeen
		c.ticks.Store(start)
		stamped := func() *session.Session {
			x := new(session.Session)
			x.SetPresenceStamp(uint16(c.ticks.Load()))
			return x
		}
		check := func(desc string, f pendingPresence, x *session.Session, want bool) {
			t.Helper()
			if got := f.unchanged(&r, x); got != want {
				t.Errorf("start %d, %s: unchanged is %v, want %v", start, desc, got, want)
			}
		}
		before := stamped()
		c.ticks.Add(1)
		since := c.now(time.Time{})
		same := stamped()
		c.ticks.Add(1)
		after := stamped()
		if age := c.age(since); age != 1 {
			t.Errorf("start %d: the age is %d, want 1", start, age)
		}
		roster := pendingPresence{own: true, roster: true, since: since}
		for _, ticks := range []uint32{0, 1, 100, stamps - 3} {
			c.ticks.Store(start + 2 + ticks)
			check("before", roster, before, true)
			check("at the same time", roster, same, false)
			check("after", roster, after, false)
			check("everything", pendingPresence{own: true, roster: true}, before, false)
			check("a probe", pendingPresence{since: since}, before, false)
			check("long ago", pendingPresence{roster: true, since: noSince}, before, false)
		}
		c.ticks.Store(start + 1 + stamps)
		check("too long ago", roster, before, false)
	}
}

// TestChangesElsewhere: an account counts as changed since its last change, or since what was
// forgotten, and not before.
func TestChangesElsewhere(t *testing.T) {
	defer func(n int) { maxChanges = n }(maxChanges)
	maxChanges = 2
	var c changeClock
	var e changesElsewhere
	check := func(account string, since uint32, want bool) {
		t.Helper()
		if got := e.changed(&c, account, c.before(c.ticks.Load()-since)); got != want {
			t.Errorf("at %d, %s has changed since %d: %v, want %v", c.ticks.Load(), account, since, got, want)
		}
	}
	check("a", 0, false)
	for i, account := range []string{"a", "b", "c", "d"} {
		c.ticks.Store(uint32(10 + i))
		e.note(&c, account)
	}
	check("a", 10, true) // in older
	check("a", 11, false)
	check("d", 13, true)
	check("x", 0, false)
	c.ticks.Store(14)
	e.note(&c, "e") // "a" and "b" are forgotten; what is not known may have changed until 12
	check("x", 12, true)
	check("x", 13, false)
	check("d", 13, true)
	e.forget(&c)
	check("x", 14, true)
	c.ticks.Store(15)
	check("x", 15, false)
}
