package router

import (
	"testing"
	"time"
)

// TestPairs: keys are remembered for pairTime, and forgotten after twice as long; too many
// do not fill the memory.
func TestPairs(t *testing.T) {
	start := time.Unix(1e9, 0)
	var p pairs
	f := func(after time.Duration, key uint64, want bool) {
		t.Helper()
		if p.has(key, start.Add(after)) != want {
			t.Errorf("%d after %v: %v", key, after, !want)
		}
	}
	f(0, 1, false)
	p.add(1, start)
	f(0, 1, true)
	f(0, 2, false)
	f(pairTime, 1, true)
	p.add(2, start.Add(pairTime))
	f(2*pairTime-1, 1, true)
	f(2*pairTime, 1, false)
	f(2*pairTime, 2, true)
	f(9*pairTime, 2, false)
	for key := range uint64(10 * maxPairs) {
		p.add(key, start.Add(9*pairTime))
	}
	if n := len(p.young) + len(p.old); n > 2*maxPairs {
		t.Errorf("%d pairs are remembered", n)
	}
	f(9*pairTime, 10*maxPairs-1, true)
	f(9*pairTime, 1, false)
}
