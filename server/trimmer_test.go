package server

import (
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
)

const mib = 1 << 20

// TestTrimmer: it collects after a storm, and not again before a collection is useful
// again.
func TestTrimmer(t *testing.T) {
	var j trimmer
	f := func(desc string, now memory, want bool) {
		t.Helper()
		if got := j.due(now); got != want {
			t.Errorf("%s: due = %v, want %v", desc, got, want)
		}
	}
	f("in the storm", memory{live: 100 * mib, held: 200 * mib, allocated: 500 * mib}, false)
	f("still in it", memory{live: 150 * mib, held: 300 * mib, allocated: 900 * mib}, false)
	f("it is over", memory{live: 150 * mib, held: 300 * mib, allocated: 901 * mib}, true)
	j.after = memory{live: 150 * mib, held: 170 * mib, allocated: 901 * mib}
	f("nothing has happened since", memory{live: 150 * mib, held: 170 * mib, allocated: 902 * mib}, false)
	f("a trickle has gathered", memory{live: 150 * mib, held: 170 * mib, allocated: 915 * mib}, true)
	j.after = memory{live: 150 * mib, held: 152 * mib, allocated: 915 * mib}
	for range followUp - 1 {
		f("the follow-up is not due", memory{live: 150 * mib, held: 152 * mib, allocated: 915 * mib}, false)
	}
	f("memory dropped by caches", memory{live: 150 * mib, held: 152 * mib, allocated: 915 * mib}, true)
	f("one follow-up is enough", memory{live: 150 * mib, held: 152 * mib, allocated: 915 * mib}, false)
	f("little unused heap", memory{live: 150 * mib, held: 155 * mib, allocated: 930 * mib}, false)
}

// TestTrimmerLeaving: when clients that were idle for long leave together, nothing is
// allocated, and the known size of the live heap is out of date. The number of clients
// that have left makes a collection due, once.
func TestTrimmerLeaving(t *testing.T) {
	var j trimmer
	idle := memory{live: 250 * mib, held: 255 * mib, allocated: 900 * mib, clients: 10_000}
	j.after, j.last, j.peak = idle, idle, idle.clients
	f := func(desc string, clients int, want bool) {
		t.Helper()
		now := idle
		now.clients = clients
		if got := j.due(now); got != want {
			t.Errorf("%s: due = %v, want %v", desc, got, want)
		}
		if want {
			j.after, j.last, j.peak = now, now, clients
		}
	}
	f("a few have left", 9_000, false)
	f("some have come back", 9_500, false)
	f("many have left", 8_000, true)
	f("nothing since", 8_000, false)
	f("all have left", 0, true)
	for range followUp - 1 {
		f("no clients", 0, false)
	}
	f("memory dropped by caches", 0, true)
	f("a handful come", 60, false)
	f("and go", 0, false)
}

// TestGiveBackPools: one call of collect also frees the contents of pools.
func TestGiveBackPools(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // no other collection
	pool := sync.Pool{}
	for range 64 {
		pool.Put(new([mib]byte))
	}
	before := readMemory(0)
	var j trimmer
	j.collect(0)
	if after := readMemory(0); after.held+60*mib > before.held {
		t.Errorf("%d of %d MiB are still held", after.held/mib, before.held/mib)
	}
	runtime.KeepAlive(&pool)
}

// TestGiveBack: garbage is returned to the system.
func TestGiveBack(t *testing.T) {
	var j trimmer
	junk := make([][]byte, 64)
	for i := range junk {
		junk[i] = make([]byte, mib)
	}
	before := readMemory(0)
	if before.held < 64*mib || before.allocated < 64*mib {
		t.Fatalf("64 MiB are in use, and memory says %+v", before)
	}
	clear(junk)
	j.collect(0)
	if after := readMemory(0); after.held > before.held-60*mib {
		t.Errorf("%d of %d MiB are still held", after.held/mib, before.held/mib)
	}
}
