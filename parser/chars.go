package parser

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// Classes of ASCII characters in names (XML 1.0 fifth edition, productions 4
// and 4a). Bytes from 0x80 on are let through and checked when the name ends.
const (
	nameStart = 1 << iota
	nameChar
	spaceChar
)

var class = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_', c >= 0x80:
			t[c] = nameStart | nameChar
		case c >= '0' && c <= '9', c == '-', c == '.', c == ':':
			t[c] = nameChar
		case c == ' ', c == '\t', c == '\r', c == '\n':
			t[c] = spaceChar
		}
	}
	return t
}()

// isNameStart is production 4, without the colon (Namespaces in XML,
// production 4).
func isNameStart(r rune) bool {
	switch {
	case r < 0x80:
		return class[r]&nameStart != 0
	case r >= 0xC0 && r <= 0x2FF:
		return r != 0xD7 && r != 0xF7
	case r >= 0x370 && r <= 0x1FFF:
		return r != 0x37E
	case r >= 0x200C && r <= 0x200D, r >= 0x2070 && r <= 0x218F, r >= 0x2C00 && r <= 0x2FEF,
		r >= 0x3001 && r <= 0xD7FF, r >= 0xF900 && r <= 0xFDCF, r >= 0xFDF0 && r <= 0xFFFD,
		r >= 0x10000 && r <= 0xEFFFF:
		return true
	}
	return false
}

// isNameChar is production 4a, without the colon.
func isNameChar(r rune) bool {
	if isNameStart(r) {
		return true
	}
	switch {
	case r < 0x80:
		return r != ':' && class[r]&nameChar != 0
	case r == 0xB7, r >= 0x300 && r <= 0x36F, r >= 0x203F && r <= 0x2040:
		return true
	}
	return false
}

// validNCName checks a part of a name that has bytes from 0x80 on.
func validNCName(b []byte) *Error {
	if !utf8.Valid(b) {
		return ErrUTF8
	}
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if i == 0 && !isNameStart(r) || !isNameChar(r) {
			return ErrName
		}
		i += n
	}
	return nil
}

// isChar is production 2: the characters that XML allows.
func isChar(r uint32) bool {
	switch {
	case r < 0x20:
		return r == '\t' || r == '\n' || r == '\r'
	case r < 0xD800:
		return true
	case r < 0xE000:
		return false
	}
	return r <= 0x10FFFF && r != 0xFFFE && r != 0xFFFF
}

// validRun checks a run of character data that has bytes from 0x80 on: strict
// UTF-8, and neither U+FFFE nor U+FFFF. Bytes below 0x20 were checked already.
func validRun(b []byte) *Error {
	if !utf8.Valid(b) {
		return ErrUTF8
	}
	for {
		i := bytes.Index(b, nonCharStart)
		if i < 0 {
			return nil
		}
		if b[i+2] >= 0xBE {
			return ErrChar
		}
		b = b[i+3:]
	}
}

// nonCharStart begins the encodings of U+FFFE and U+FFFF (EF BF BE and EF BF
// BF), and of the valid U+FFC0 to U+FFFD.
var nonCharStart = []byte{0xEF, 0xBF}

// Words for scanning eight bytes at once.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// scanSWAR finds the first byte from i on that is below 0x20, '<', '&' or c, or
// len(b). high is not zero if a byte before it has its top bit set. It looks at
// eight bytes at once: a byte is below 0x20 if subtracting 0x20 borrows, and
// equal to c if its exclusive or with c is zero, so that subtracting 1 borrows.
// A borrow may run on into the next byte, but the lowest mark is always right.
func scanSWAR(b []byte, i int, c byte) (at int, high uint64) {
	cc := uint64(c) * ones
	for i+8 <= len(b) {
		x := binary.LittleEndian.Uint64(b[i:])
		lt, amp, quote := x^'<'*ones, x^'&'*ones, x^cc
		m := ((x-0x20*ones)&^x | (lt-ones)&^lt | (amp-ones)&^amp | (quote-ones)&^quote) & highs
		if m != 0 {
			n := bits.TrailingZeros64(m)
			return i + n>>3, high | x&highs&(1<<uint(n-7)-1)
		}
		high |= x & highs
		i += 8
	}
	for i < len(b) {
		x := b[i]
		if x < 0x20 || x == '<' || x == '&' || x == c {
			return i, high
		}
		high |= uint64(x & 0x80)
		i++
	}
	return i, high
}

// AppendEscaped appends character data so that it can stand in text and in an
// attribute value with either quote: & < > " ' are replaced by the predefined
// entities, and white space other than blanks by character references, which
// attribute-value normalization leaves alone.
func AppendEscaped[T string | []byte](dst []byte, s T) []byte {
	last := 0
	for i := 0; i < len(s); i++ {
		var ref string
		switch s[i] {
		case '&':
			ref = "&amp;"
		case '<':
			ref = "&lt;"
		case '>':
			ref = "&gt;"
		case '"':
			ref = "&quot;"
		case '\'':
			ref = "&apos;"
		case '\t':
			ref = "&#9;"
		case '\n':
			ref = "&#10;"
		case '\r':
			ref = "&#13;"
		default:
			continue
		}
		dst = append(dst, s[last:i]...)
		dst = append(dst, ref...)
		last = i + 1
	}
	return append(dst, s[last:]...)
}
