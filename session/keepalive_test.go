package session

import (
	"strings"
	"testing"
)

func TestKeepAlive(t *testing.T) {
	f := func(p string, want bool) {
		t.Helper()
		if got := new(Session).KeepAlive([]byte(p)); got != want {
			t.Errorf("%q: %v", p, got)
		}
	}
	f(" ", true)
	f("\r\n", true)
	f("\t ", true)
	f(strings.Repeat(" ", 64), true)
	f(strings.Repeat(" ", 65), false) // more than a keep-alive needs
	f("\n<", false)
	f("\x00", false)
}
