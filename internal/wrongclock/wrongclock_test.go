package wrongclock

import (
	"testing"
	"time"
)

// TestShift: the wall clock jumps by an hour, the monotonic clock does not.
func TestShift(t *testing.T) {
	if !Supported() {
		t.Skip("not on this architecture")
	}
	before := time.Now()
	Shift()
	after := time.Now()
	if d := after.Round(0).Sub(before.Round(0)); d < time.Hour || d > time.Hour+30*time.Minute {
		t.Errorf("the wall clock has advanced by %v, want an hour", d)
	}
	if d := after.Sub(before); d < 0 || d > 30*time.Minute {
		t.Errorf("the monotonic clock has advanced by %v", d)
	}
}
