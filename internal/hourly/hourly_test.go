package hourly

import (
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain fails if a test leaks a goroutine.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// count asks n times and returns how often the event was allowed.
func (l *Limit[K]) count(of K, now time.Time, n int) (allowed int) {
	for range n {
		if l.Allow(of, now) {
			allowed++
		}
	}
	return allowed
}

// TestLimit: each party has its own limit, and events expire one by one.
func TestLimit(t *testing.T) {
	now := time.Unix(1e9, 0)
	l := New("")
	f := func(of string, at time.Duration, n, want int) {
		t.Helper()
		if got := l.count(of, now.Add(at), n); got != want {
			t.Errorf("%s at %v: %d of %d allowed, want %d", of, at, got, n, want)
		}
	}
	f("a", 0, 1000, 1000) // no limit was set
	l.Set(6)
	f("a", 0, 10, 6)
	f("b", 0, 1, 1)
	f("a", 20*time.Minute, 9, 2) // one expires every ten minutes
	f("a", 5*time.Hour, 10, 6)
	for _, none := range []int{0, -1} {
		l.Set(none)
		f("a", 5*time.Hour, 1000, 1000)
	}
	l.Set(12) // what was counted remains: an hour of events
	f("a", 5*time.Hour, 10, 0)
	f("a", 5*time.Hour+10*time.Minute, 10, 2)
}

// TestRefuses: Refuses says what Allow would return, and counts nothing.
func TestRefuses(t *testing.T) {
	now := time.Unix(1e9, 0)
	l := New("")
	if l.Refuses("a", now) {
		t.Error("refused without a limit")
	}
	l.Set(6)
	for i := range 20 {
		at := now.Add(time.Duration(i) * 3 * time.Minute)
		for range 10 {
			l.Refuses("a", at)
		}
		refused := l.Refuses("a", at)
		if allowed := l.Allow("a", at); allowed == refused {
			t.Errorf("event %d: refused %t, allowed %t", i, refused, allowed)
		}
	}
	if len(l.busy) != 1 {
		t.Errorf("%d parties are tracked, want 1", len(l.busy))
	}
}

// TestForgotten: a party of which nothing counts any more takes no memory.
func TestForgotten(t *testing.T) {
	now := time.Unix(1e9, 0)
	l := New(-1)
	l.Set(2)
	for i := range 100 {
		l.Allow(i, now)
	}
	l.Allow(7, now.Add(29*time.Minute))
	if len(l.busy) != 100 {
		t.Errorf("%d parties are tracked, want 100", len(l.busy))
	}
	l.Allow(7, now.Add(40*time.Minute))
	if len(l.busy) != 1 {
		t.Errorf("%d parties are tracked, want 1", len(l.busy))
	}
}

// TestLimitIsBounded: many parties neither fill the memory nor evade the limit.
func TestLimitIsBounded(t *testing.T) {
	now := time.Unix(1e9, 0)
	l := New("")
	l.Set(2)
	l.parties = 100
	allowed := 0
	for i := range 10000 {
		if l.Allow(fmt.Sprint(i), now) {
			allowed++
		}
	}
	if len(l.busy) > l.parties+1 {
		t.Errorf("%d parties are tracked, the maximum is %d", len(l.busy), l.parties)
	}
	if want := l.parties + 2; allowed != want {
		t.Errorf("%d were allowed, want %d: one each, and 2 for all that share an entry", allowed, want)
	}
	if n := l.count("another", now.Add(3*time.Hour), 2); n != 2 {
		t.Errorf("%d allowed after all events expired, want 2", n)
	}
	if len(l.busy) > 2 {
		t.Errorf("%d parties remain after the sweep", len(l.busy))
	}
}
