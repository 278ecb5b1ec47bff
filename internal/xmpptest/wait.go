package xmpptest

import (
	"testing"
	"time"
)

// WaitLimit is how long a test waits for an event before it fails. It is long: only
// a test that fails waits for it, and a machine may be busy.
const WaitLimit = 2 * time.Minute

// Eventually waits for what is only seen by asking; the rest of the sentence "never:"
// says what that was.
func Eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(WaitLimit); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}
