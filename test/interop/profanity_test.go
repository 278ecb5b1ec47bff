//go:build interop

package interop

import "testing"

// TestProfanity uses Profanity (0.13) on a terminal, as profanity/session.py says.
func TestProfanity(t *testing.T) {
	inPython("profanity", "session").run(t, newServer(t))
}
