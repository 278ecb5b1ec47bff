package parser

import (
	"math/rand/v2"
	"testing"
	"unicode/utf8"
)

// TestValidUTF8: checking eight bytes at a time gives the same result as the standard
// library, for all pairs, for all bytes that may follow a lead byte, and for mixtures.
func TestValidUTF8(t *testing.T) {
	check := func(b []byte) {
		t.Helper()
		if ok, _ := validUTF8(b); ok != utf8.Valid(b) {
			t.Fatalf("%q: %v, want %v", b, ok, !ok)
		}
	}
	pad := []byte("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")
	at := func(i int, b ...byte) []byte {
		c := append([]byte(nil), pad...)
		copy(c[i:], b)
		return c
	}
	for c := range 256 {
		for d := range 256 {
			for i := 4; i < 17; i++ {
				check(at(i, byte(c), byte(d)))
				if c >= 0xE0 {
					check(at(i, byte(c), byte(d), 0x80))
					check(at(i, byte(c), byte(d), 0xBF, 0x80))
				}
			}
		}
	}
	for i := range pad {
		check(append(pad[:i:i], 0xC3))
		check(append(pad[:i:i], 0xE2, 0x82))
	}
	r := rand.New(rand.NewPCG(5, 6))
	for range 100000 {
		var b []byte
		for range r.IntN(12) {
			b = append(b, hostileBytes[r.IntN(len(hostileBytes))]...)
		}
		check(b)
	}
	// Every Unicode character.
	for c := rune(0); c <= utf8.MaxRune; c++ {
		if utf8.ValidRune(c) {
			b := utf8.AppendRune(nil, c)
			if ok, suspect := validUTF8(b); !ok || !suspect && (c == 0xFFFE || c == 0xFFFF) {
				t.Fatalf("%U: %v", c, ok)
			}
		}
	}
}
