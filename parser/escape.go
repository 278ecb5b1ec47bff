package parser

import (
	"bytes"
	"unicode/utf8"
)

// replacement is what AppendEscaped writes instead of a byte; empty: the byte itself.
var replacement = func() (t [128]string) {
	for c := range 0x20 {
		t[c] = "\uFFFD"
	}
	for c, s := range map[byte]string{'&': "&amp;", '<': "&lt;", '>': "&gt;", '"': "&quot;", '\'': "&apos;",
		'\t': "&#9;", '\n': "&#10;", '\r': "&#13;"} {
		t[c] = s
	}
	return t
}()

// AppendEscaped appends s for use as text or as an attribute value in either kind of
// quotes, so that a parser reads exactly s. The five special characters become references
// to predefined entities; tabs and line ends become character references, which
// normalization does not change. Characters that XML does not allow, and bytes that are
// not valid UTF-8, become U+FFFD, so that the result is always well-formed.
func AppendEscaped[T string | []byte](dst []byte, s T) []byte {
	last := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			r := replacement[c]
			i++
			if r != "" {
				dst = append(append(dst, s[last:i-1]...), r...)
				last = i
			}
			continue
		}
		n := validRune(s[i:min(len(s), i+utf8.UTFMax)])
		if n == 0 {
			dst = append(append(dst, s[last:i]...), "\uFFFD"...)
			last = i + 1
		}
		i += max(n, 1)
	}
	return append(dst, s[last:]...)
}

// validRune returns the length of the first character of s, 0 if it is not one that XML
// allows.
func validRune[T string | []byte](s T) int {
	var b [utf8.UTFMax]byte
	n := copy(b[:], s)
	r, size := utf8.DecodeRune(b[:n])
	if r == utf8.RuneError && size <= 1 || r == 0xFFFE || r == 0xFFFF {
		return 0
	}
	return size
}

// appendText appends checked character data with references replaced and line ends
// normalized (XML 1.0 section 2.11: a line end becomes a single #xA).
func appendText(dst, raw []byte, escaped bool) []byte {
	if !escaped && bytes.IndexByte(raw, '\r') < 0 {
		return append(dst, raw...)
	}
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '&' && escaped:
			dst, i = appendReference(dst, raw, i)
		case c != '\r':
			dst = append(dst, c)
		case i+1 == len(raw) || raw[i+1] != '\n':
			dst = append(dst, '\n')
		}
	}
	return dst
}

// appendValue appends a checked attribute value, unescaped and normalized (XML 1.0
// section 3.3.3: white space becomes #x20, except from character references).
func appendValue(dst, raw []byte) []byte {
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '&':
			dst, i = appendReference(dst, raw, i)
		case c == '\r' && i+1 < len(raw) && raw[i+1] == '\n':
			// a CR LF becomes one space
		case c < 0x20:
			dst = append(dst, ' ')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// appendReference appends the character of the checked reference at raw[i] and returns
// the index of its ';'.
func appendReference(dst, raw []byte, i int) ([]byte, int) {
	end := i + bytes.IndexByte(raw[i:], ';')
	name := raw[i+1 : end]
	if name[0] != '#' {
		return append(dst, predefined(name)), end
	}
	digits, r := name[1:], reference{step: refDec}
	if digits[0] == 'x' {
		digits, r.step = digits[1:], refHex
	}
	for _, c := range digits {
		r.digit(c)
	}
	return utf8.AppendRune(dst, rune(r.value)), end
}
