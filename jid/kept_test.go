package jid

import (
	"strings"
	"testing"
	"unsafe"
)

// TestKept: nothing is lost in the compact form, and it is as small as promised.
func TestKept(t *testing.T) {
	long := strings.Repeat("x", MaxPart)
	for _, j := range []JID{
		{}, MustParse("localhost"), MustParse("romeo@localhost"), MustParse("romeo@localhost/orchard"),
		MustParse("localhost/x"), MustParse(long + "@localhost/" + long),
	} {
		k := j.Keep()
		if k.JID() != j {
			t.Errorf("%q is kept as %q", j, k.JID())
		}
	}
	if n := unsafe.Sizeof(Kept{}); n != 16 {
		t.Errorf("a Kept takes %d bytes, want 16", n)
	}
}
