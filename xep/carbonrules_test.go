package xep

import (
	"strconv"
	"testing"
)

// TestRecentMessages: a message is recognized by its sender, recipient and id, all of them,
// until many others have come after it.
func TestRecentMessages(t *testing.T) {
	m := newRecentMessages()
	f := func(from, to, id string, want bool) {
		t.Helper()
		if got := m.has(from, to, []byte(id)); got != want {
			t.Errorf("%s to %s, id %q: %v, want %v", from, to, id, got, want)
		}
	}
	f("a@x/1", "b@x", "1", false)
	m.add("a@x/1", "b@x", []byte("1"))
	f("a@x/1", "b@x", "1", true)
	f("a@x/2", "b@x", "1", false)
	f("a@x/1", "c@x", "1", false)
	f("a@x/1", "b@x", "2", false)
	f("b@x", "a@x/1", "1", false)
	f("a@x/1b", "@x", "1", false)
	m.add("a@x/1", "b@x", nil)
	f("a@x/1", "b@x", "", false)
	for i := range 20 * recentSize {
		m.add("a@x/1", "d@x", strconv.AppendInt(nil, int64(i), 10))
	}
	f("a@x/1", "b@x", "1", false)
	if n := testing.AllocsPerRun(100, func() {
		m.add("a@x/1", "b@x", []byte("1"))
		f("a@x/1", "b@x", "1", true)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
