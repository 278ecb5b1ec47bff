package jid

import (
	"strings"
	"testing"
	"unsafe"
)

// TestAllocations: normalizing normalized ASCII does not allocate.
func TestAllocations(t *testing.T) {
	f := func(desc string, want float64, do func()) {
		t.Helper()
		if got := testing.AllocsPerRun(100, do); got > want {
			t.Errorf("%s: %v allocations", desc, got)
		}
	}
	full := []byte("juliet.capulet@chat.example.com/Phone-4711")
	s := string(full)
	j := MustParse(s)
	f("ParseBytes", 0, func() { ParseBytes(full) })
	f("Parse", 0, func() { Parse(s) })
	f("Parse of an IPv6 domainpart", 0, func() { NormalizeDomain("[2001:db8::1]") })
	f("NormalizeResource", 0, func() { NormalizeResource("Phone 4711") })
	f("New", 1, func() { New("juliet", "example.com", "balcony") })
	f("parts", 0, func() { _, _, _, _ = j.Local(), j.Domain(), j.Resource(), j.Bare() })
	f("WithResource", 1, func() { j.WithResource("x") })
}

// TestTooLong: an address with a part that is too long is rejected before normalization,
// which would allocate memory and take hundreds of microseconds.
func TestTooLong(t *testing.T) {
	long := strings.Repeat("\u00fc", MaxPart/2+1)
	for _, s := range []string{
		long + "@b\u00fccher.example",
		"J\u00fcliet@" + long,
		"J\u00fcliet@b\u00fccher.example/" + long,
		"J\u00fcliet@b\u00fccher.example/" + strings.Repeat("\u00fc", 2000),
	} {
		got := testing.AllocsPerRun(10, func() {
			if _, err := Parse(s); err == nil {
				t.Errorf("%d bytes were accepted as an address", len(s))
			}
		})
		if got != 0 {
			t.Errorf("%v allocations to reject %d bytes", got, len(s))
		}
	}
	if got := testing.AllocsPerRun(10, func() { _, _ = NormalizeResource(long) }); got != 0 {
		t.Errorf("%v allocations to reject a resource", got)
	}
}

func TestSize(t *testing.T) {
	if got := unsafe.Sizeof(JID{}); got > 24 {
		t.Errorf("a JID takes %d bytes", got)
	}
}

func BenchmarkParse(b *testing.B) {
	f := func(name, in string) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				Parse(in)
			}
		})
	}
	f("bare", "juliet@example.com")
	f("full", "juliet.capulet@chat.example.com/Phone-4711")
	f("upper", "Juliet@Example.com/balcony")
	f("unicode", "\u03c0\u03c1@b\u00fccher.example/\u265a")
	f("refused", "a:b@example.com")
	f("too-long", strings.Repeat("\u00dc", 2000)+"@example.com")
	f("wide", wideLabel(340)) // punycode would take quadratic time
}

// wideLabel returns a label of n different characters.
func wideLabel(n int) string {
	b := make([]rune, n)
	for i := range b {
		b[i] = rune(0x4e00 + i)
	}
	return string(b)
}
