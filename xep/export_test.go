package xep

import (
	"testing"
	"time"
)

// SetMaxCommandTime changes the limit until the test ends.
func SetMaxCommandTime(t *testing.T, d time.Duration) {
	before := maxCommandTime
	maxCommandTime = d
	t.Cleanup(func() { maxCommandTime = before })
}
