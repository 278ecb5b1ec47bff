package server

import "testing"

const mib = 1 << 20

// TestJanitor: it collects when a storm is over, and not again before there is
// something new to gain.
func TestJanitor(t *testing.T) {
	var j janitor
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
	f("what caches gave up", memory{live: 150 * mib, held: 152 * mib, allocated: 915 * mib}, true)
	f("one follow-up is enough", memory{live: 150 * mib, held: 152 * mib, allocated: 915 * mib}, false)
	f("little is held in vain", memory{live: 150 * mib, held: 155 * mib, allocated: 930 * mib}, false)
}

// TestGiveBack: what was garbage is held no longer.
func TestGiveBack(t *testing.T) {
	var j janitor
	junk := make([][]byte, 64)
	for i := range junk {
		junk[i] = make([]byte, mib)
	}
	before := readMemory()
	if before.held < 64*mib || before.allocated < 64*mib {
		t.Fatalf("64 MiB are in use, and memory says %+v", before)
	}
	clear(junk)
	j.collect()
	if after := readMemory(); after.held > before.held-60*mib {
		t.Errorf("%d of %d MiB are still held", after.held/mib, before.held/mib)
	}
}
