package poller

import "testing"

// TestAttemptsDefault: the limit of attempts follows that of connections unless it is
// set.
func TestAttemptsDefault(t *testing.T) {
	f := func(perAddress, attempts, want int) {
		t.Helper()
		c := Config{MaxPerAddress: perAddress, MaxAttempts: attempts}.WithDefaults()
		if got := max(0, c.MaxAttempts); got != want {
			t.Errorf("%d connections, %d attempts given: %d attempts, want %d", perAddress, attempts, got, want)
		}
	}
	f(0, 0, 30000)
	f(100000, 0, 300000)
	f(-1, 0, 0)
	f(5, 7, 7)
	f(5, -1, 0)
}
