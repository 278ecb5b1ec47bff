package parser

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// hostileBytes are pieces of inputs for the kernels, near every boundary of UTF-8 and of
// the byte classes.
var hostileBytes = []string{"a", "z", "0", "9", "-", ".", "_", ":", "/", "=", " ", "\t", "\r", "\n", "<", ">", "&", "'", "\"", "\x00", "\x08", "\x1f", "\x7f", "]",
	"@", "[", "`", "{", "\x2c", "\x5e",
	"\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbd", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "\xe2\x82\xac",
	"\xef\xbf\xbe", "\xef\xbf\xbf", "\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xed\xbf\xbf",
	"\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xfe", "\xe2\x82", "\xf0\x9f\x98", "\xf0\x9f", "\xf8\x88\x80\x80\x80"}

// TestKernel: the vector kernel and the portable code return the same bits and the same
// invalid byte.
func TestKernel(t *testing.T) {
	if !HasVector() {
		t.Skip("this machine has no vector kernel")
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 60000 {
		b := kernelInput(r)
		checkKernel(t, b)
	}
}

// kernelInput is mostly valid, so that errors can come anywhere and not only first.
func kernelInput(r *rand.Rand) []byte {
	n := r.IntN(300)
	bad := r.IntN(4)
	var b []byte
	for len(b) < n {
		switch {
		case r.IntN(100) < bad:
			b = append(b, hostileBytes[r.IntN(len(hostileBytes))]...)
		case r.IntN(3) == 0:
			b = append(b, hostileBytes[r.IntN(39)]...)
		default:
			b = append(b, byte('a'+r.IntN(26)))
		}
	}
	return b
}

func checkKernel(t *testing.T, b []byte) {
	t.Helper()
	b = b[:len(b)-incomplete(b)]
	if len(b) == 0 {
		return
	}
	var v, p, short window
	n1, e1 := v.fillVector(b)
	n2, e2 := p.fillPortable(b)
	if n1 != n2 || e1 != e2 {
		t.Fatalf("%q: the kernel finds %d good bytes and %v, the portable code %d and %v", b, n1, e1, n2, e2)
	}
	if good, e := validPrefix(b); good != n2 || e != e2 {
		t.Fatalf("%q: %d good bytes and %v, want %d and %v", b, n2, e2, good, e)
	}
	words := n1/64 + 1
	for i := range words {
		if v.text[i] != p.text[i] || v.value[i] != p.value[i] || v.name[i] != p.name[i] {
			t.Fatalf("%q: block %d: the kernel has %x %x %x, the portable code %x %x %x", b, i, v.text[i], v.value[i], v.name[i], p.text[i], p.value[i], p.name[i])
		}
	}
	if len(b) < 16 {
		n, e := short.fillShort(b)
		mask := uint64(1)<<len(b) - 1
		if n != n2 || e != e2 || (short.text[0]^p.text[0])&mask != 0 || (short.value[0]^p.value[0])&mask != 0 || (short.name[0]^p.name[0])&mask != 0 {
			t.Fatalf("%q: the short form differs", b)
		}
	}
}

// TestKernelAllBytes: every byte at every position of a block, and every pair of bytes
// across the boundary between two blocks.
func TestKernelAllBytes(t *testing.T) {
	if !HasVector() {
		t.Skip("this machine has no vector kernel")
	}
	for c := range 256 {
		for at := range 130 {
			b := bytes.Repeat([]byte("x"), 130)
			b[at] = byte(c)
			checkKernel(t, b)
		}
		for d := range 256 {
			b := bytes.Repeat([]byte("x"), 70)
			b[63], b[64] = byte(c), byte(d)
			checkKernel(t, b)
			b[63] = 'x'
			b[31], b[32] = byte(c), byte(d)
			checkKernel(t, b)
		}
	}
	// Sequences that are incomplete or invalid at the end of the last block.
	for _, tail := range hostileBytes {
		for _, more := range append(hostileBytes, "") {
			for n := 60; n < 66; n++ {
				b := append(bytes.Repeat([]byte("x"), n), tail+more...)
				checkKernel(t, b)
				checkKernel(t, b[:min(len(b), 64)])
			}
		}
	}
	// All bytes that two continuation bytes may follow, at the boundary.
	for lead := 0xC0; lead < 256; lead++ {
		for c := 0x70; c < 0xD0; c += 1 {
			for _, tail := range []string{"\x80", "\xbf", "\xbe", "a", "\x80\x80", "\xbf\xbf", "\xbd\xbf\xbf"} {
				for at := 60; at < 66; at++ {
					b := bytes.Repeat([]byte("x"), 140)
					copy(b[at:], append([]byte{byte(lead), byte(c)}, tail...))
					checkKernel(t, b)
				}
			}
		}
	}
}

// TestShiftStops: the searches find the first stop, and the stop after the end.
func TestStops(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		b := kernelInput(r)
		var w window
		good, _ := w.fill(b[:len(b)-incomplete(b)])
		b = b[:good]
		for q := range b {
			checkStop(t, b, q, stopText, w.nextText(uint(q)))
			checkStop(t, b, q, stopValue, w.nextValue(uint(q)))
			checkStop(t, b, q, stopName, w.nextName(uint(q)))
		}
	}
}

func checkStop(t *testing.T, b []byte, q int, bit uint64, got uint) {
	t.Helper()
	want := q
	for want < len(b) && classBits[b[want]]&bit == 0 {
		want++
	}
	if int(got) < want || want < len(b) && int(got) != want {
		t.Fatalf("%q from %d: stop at %d, want %d", b, q, got, want)
	}
}
