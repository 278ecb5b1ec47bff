package server

import (
	"testing"
	"testing/fstest"

	"roost/capacity"
)

// TestMachine: the memory that is free is for further sessions. Those that are online count
// in the total, and only there.
func TestMachine(t *testing.T) {
	s := startServer(t, nil)
	m := &machine{s: s, host: capacity.Host{Root: fstest.MapFS{"proc/meminfo": {Data: []byte("MemAvailable: 1000000 kB\n")}}}}
	before, why := m.capacity()
	if before <= 0 || why != "memory available" || m.remaining()["memory"] != before {
		t.Fatalf("%d (%s), remaining %v", before, why, m.remaining())
	}
	for i := range 3 {
		connect(t, s).login("romeo", string(rune('a'+i)))
	}
	if again, _ := m.capacity(); again != before {
		t.Errorf("%d, want %d: the files were read again", again, before)
	}
	m.at = m.at.Add(-2 * checkAge)
	after, _ := m.capacity()
	if further := m.remaining()["memory"]; further != before || after != before+3 {
		t.Errorf("with three sessions: %d, %d of them further; want %d and %d", after, further, before+3, before)
	}
}
