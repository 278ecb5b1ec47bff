package router

import (
	"errors"
	"math"
	"slices"
	"testing"
)

// TestRetries: after a failure, the attempt ends; the next one begins with others. There are
// never two.
func TestRetries(t *testing.T) {
	var scheduled []func()
	var done []int
	failing := map[int]bool{1: true, 2: true, 3: true}
	q := retries[int]{later: func(f func()) { scheduled = append(scheduled, f) }}
	q.try = func(x int) error {
		if failing[x] {
			return errors.New("fails")
		}
		done = append(done, x)
		return nil
	}
	attempt := func(want ...int) {
		t.Helper()
		if len(scheduled) != 1 {
			t.Fatalf("%d attempts are scheduled", len(scheduled))
		}
		next := scheduled[0]
		scheduled, done = nil, nil
		if next(); !slices.Equal(done, want) {
			t.Errorf("done: %v, want %v", done, want)
		}
	}
	for x := range 3 {
		if !q.add(x+1, 3) {
			t.Errorf("%d is refused", x+1)
		}
	}
	if q.add(4, 3) {
		t.Error("there is no limit")
	}
	attempt() // 1 fails
	delete(failing, 2)
	delete(failing, 3)
	attempt(2, 3) // then 1 again
	delete(failing, 1)
	attempt(1)
	if len(scheduled) != 0 {
		t.Error("an attempt is scheduled for nothing")
	}
	q.add(5, math.MaxInt)
	attempt(5)
}
