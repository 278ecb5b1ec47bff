package xep

import (
	"net/netip"
	"testing"
	"time"
)

// newLimiter returns a limiter of n events an hour.
func newLimiter(n int) *limiter {
	l := new(limiter)
	l.set(n)
	return l
}

// count asks n times and returns how often the event was allowed.
func (l *limiter) count(address string, now time.Time, n int) (allowed int) {
	for range n {
		if l.allow(netip.MustParseAddr(address), now) {
			allowed++
		}
	}
	return allowed
}

func TestLimiter(t *testing.T) {
	now := time.Unix(1e9, 0)
	f := func(l *limiter, address string, at time.Duration, n, want int) {
		t.Helper()
		if got := l.count(address, now.Add(at), n); got != want {
			t.Errorf("%s at %v: %d of %d allowed, want %d", address, at, got, n, want)
		}
	}
	l := newLimiter(6)
	f(l, "192.0.2.1", 0, 10, 6)
	f(l, "192.0.2.2", 0, 1, 1)
	f(l, "::ffff:192.0.2.1", 0, 1, 0)       // the same address in IPv6 notation
	f(l, "192.0.2.1", 20*time.Minute, 9, 2) // one expires every ten minutes
	f(l, "192.0.2.1", 5*time.Hour, 10, 6)

	// One customer gets a /64.
	f(l, "2001:db8::1", 0, 6, 6)
	f(l, "2001:db8::ffff:1", 0, 1, 0)
	f(l, "2001:db8:0:1::1", 0, 1, 1)

	f(l, "127.0.0.1", 0, 1000, 1000)
	f(l, "::1", 0, 1000, 1000)
	f(newLimiter(-1), "192.0.2.1", 0, 1000, 1000)
}

// TestLimiterIsBounded: many addresses neither fill the memory nor evade the limit.
func TestLimiterIsBounded(t *testing.T) {
	now := time.Unix(1e9, 0)
	l := newLimiter(2)
	l.maxNetworks = 100
	allowed := 0
	for i := range 10000 {
		if l.allow(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), now) {
			allowed++
		}
	}
	if len(l.busy) > l.maxNetworks+1 {
		t.Errorf("%d networks are tracked, the maximum is %d", len(l.busy), l.maxNetworks)
	}
	if want := l.maxNetworks + 2; allowed != want {
		t.Errorf("%d were allowed, want %d: one each, and 2 for all that share an entry", allowed, want)
	}
	if n := l.count("10.9.9.9", now.Add(3*time.Hour), 2); n != 2 {
		t.Errorf("%d allowed after all events expired, want 2", n)
	}
	if len(l.busy) > 2 {
		t.Errorf("%d networks remain after the sweep", len(l.busy))
	}
}
