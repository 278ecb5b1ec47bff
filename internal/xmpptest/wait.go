package xmpptest

import (
	"testing"
	"time"
)

// WaitLimit is how long a test waits for an event before it fails. It is long because the
// machine may be busy and only failing tests wait that long.
const WaitLimit = 2 * time.Minute

// Eventually waits until f returns true. It is for conditions that can only be polled. what
// describes the condition.
func Eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(WaitLimit); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}
