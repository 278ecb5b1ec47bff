package jid

import (
	"strings"
	"testing"
	"unsafe"
)

// TestKept: the compact form loses nothing and has the documented size.
func TestKept(t *testing.T) {
	long := strings.Repeat("x", MaxPart)
	for _, j := range []JID{
		{}, MustParse("localhost"), MustParse("romeo@localhost"), MustParse("romeo@localhost/orchard"),
		MustParse("localhost/x"), MustParse(long + "@localhost/" + long),
	} {
		k := j.Compact()
		if k.JID() != j {
			t.Errorf("%q becomes %q", j, k.JID())
		}
	}
	if n := unsafe.Sizeof(Compact{}); n != 16 {
		t.Errorf("a Compact takes %d bytes, want 16", n)
	}
}
