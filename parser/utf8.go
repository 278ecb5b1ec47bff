package parser

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// incomplete returns how many bytes at the end of b are the start of a character that
// continues after b: 0 to 3.
func incomplete(b []byte) int {
	if len(b) == 0 || b[len(b)-1] < 0x80 {
		return 0
	}
	return incompleteSlow(b)
}

func incompleteSlow(b []byte) int {
	for n := 1; n <= 3 && n <= len(b); n++ {
		c := b[len(b)-n]
		if c < 0x80 {
			return 0
		}
		if c >= 0xC0 {
			if n < runeLen(c) && !utf8.FullRune(b[len(b)-n:]) {
				return n
			}
			return 0
		}
	}
	return 0
}

// runeLen returns the length of the character that starts with a lead byte.
func runeLen(c byte) int {
	switch {
	case c < 0xC0:
		return 1
	case c < 0xE0:
		return 2
	case c < 0xF0:
		return 3
	}
	return 4
}

// noncharacter is the start of the encodings of U+FFFE and U+FFFF, which XML does not
// allow (EF BF BE, EF BF BF), and of U+FFC0 to U+FFFD.
var noncharacter = []byte{0xEF, 0xBF}

// validPrefix returns the length of the prefix of b that is UTF-8 and that XML allows,
// and the error of the byte after it. b begins and ends between two characters.
func validPrefix(b []byte) (int, *Error) {
	n, e := len(b), (*Error)(nil)
	ok, suspect := validUTF8(b)
	if !ok {
		n, e = 0, ErrUTF8
		for {
			r, size := utf8.DecodeRune(b[n:])
			if r == utf8.RuneError && size <= 1 {
				break
			}
			n += size
		}
	}
	for i := 0; suspect; i += 2 {
		j := bytes.Index(b[i:n], noncharacter)
		if j < 0 {
			break
		}
		if i += j; i+2 < n && b[i+2] >= 0xBE {
			return i, ErrChar
		}
	}
	return n, e
}

// Words for working on eight bytes at once.
const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
)

// validUTF8 reports whether b is UTF-8, and whether it may contain one of the
// noncharacters that XML forbids. It checks eight bytes at once and without branches: a
// decoder that works character by character mispredicts branches in mixed text and takes
// more than twice as long.
//
// The top bit of each byte of a mask is a property of that byte. The lead bytes determine
// where continuation bytes must be; these must be exactly where the continuation bytes
// are. The few pairs of bytes that are invalid nevertheless are checked separately.
func validUTF8(b []byte) (ok, suspect bool) {
	var wrong, carry, nonchar uint64
	n := len(b)
	for i := 0; i < n; i += 8 {
		var x, next uint64 // these eight bytes, and the eight from one byte later
		if i+9 <= n {
			x = binary.LittleEndian.Uint64(b[i:])
			next = x>>8 | uint64(b[i+8])<<56
		} else {
			var last [8]byte
			copy(last[:], b[i:])
			x = binary.LittleEndian.Uint64(last[:])
			next = x >> 8
		}
		if (x&highs)|carry == 0 {
			continue
		}
		lead2 := x & (x << 1) & highs // a lead byte of two bytes or more
		lead3 := lead2 & (x << 2)
		lead4 := lead3 & (x << 3)
		expect := lead2<<8 | lead3<<16 | lead4<<24 | carry
		carry = lead2>>56 | lead3>>48 | lead4>>40
		wrong |= expect ^ (x &^ (x << 1) & highs)

		// C0 and C1; F8 and above.
		wrong |= lead2&^lead3&^(x&(0x1E*ones)+0x7E*ones) | lead4&(x<<4)
		// After E0 only A0 to BF, after ED only 80 to 9F.
		low := x & (0x0F * ones)
		only3 := lead3 &^ lead4
		wrong |= only3 &^ (low + 0x7F*ones) &^ (next << 2)
		wrong |= only3 &^ (low ^ 0x0D*ones + 0x7F*ones) & (next << 2)
		// After F0 only 90 to BF, after F4 only 80 to 8F; no F5 to F7.
		low = x & (0x07 * ones)
		above := next<<2 | next<<3
		wrong |= lead4 &^ (low + 0x7F*ones) &^ above
		wrong |= lead4 &^ (low ^ 0x04*ones + 0x7F*ones) & above
		wrong |= lead4 & (low + 0x7B*ones)
		// EF may start a noncharacter.
		nonchar |= only3 &^ (x&(0x0F*ones) ^ 0x0F*ones + 0x7F*ones)
	}
	return wrong&highs|carry == 0, nonchar&highs != 0
}
