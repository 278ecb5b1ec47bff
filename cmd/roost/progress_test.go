package main

import (
	"testing"
	"time"
)

// TestProgressText: the line shows the count and the total, and the rate once it can be
// estimated.
func TestProgressText(t *testing.T) {
	f := func(done, total int, elapsed time.Duration, want string) {
		t.Helper()
		p := progress{what: "importing", unit: "accounts", done: done, total: total}
		if got := p.text(elapsed); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f(256, 1024, 500*time.Millisecond, "importing: 256 of 1,024 (25 %)")
	f(3000, 12000, 2*time.Second, "importing: 3,000 of 12,000 (25 %), 1500 accounts/s")
	f(3000, -1, 2*time.Second, "importing: 3,000, 1500 accounts/s")
	f(0, 0, 0, "importing: 0")
}
