package parser

import "unicode/utf8"

// Character classes of a byte.
const (
	clsStart   = 1 << iota // may begin a name; bytes from 0x80 on are checked at the end of the name
	clsSpace               // white space (XML 1.0 production 3)
	clsNameEnd             // ends the name of an element: white space, '>', '/'
	clsName                // may occur inside a name, except the colon
)

var class = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_', c >= 0x80:
			t[c] = clsStart | clsName
		case c >= '0' && c <= '9', c == '-', c == '.':
			t[c] = clsName
		case c == ' ', c == '\t', c == '\r', c == '\n':
			t[c] = clsSpace | clsNameEnd
		case c == '>', c == '/':
			t[c] = clsNameEnd
		}
	}
	return t
}()

// isNameStart is NameStartChar without the colon (XML 1.0 fifth edition,
// production 4; Namespaces in XML, production 4).
func isNameStart(r rune) bool {
	switch {
	case r < 0x80:
		return class[r]&clsStart != 0
	case r < 0x370:
		return r >= 0xC0 && r != 0xD7 && r != 0xF7 && r <= 0x2FF
	case r < 0x2000:
		return r != 0x37E
	case r < 0x3001:
		return r == 0x200C || r == 0x200D || r >= 0x2070 && r <= 0x218F || r >= 0x2C00 && r <= 0x2FEF
	case r < 0x10000:
		return r <= 0xD7FF || r >= 0xF900 && r <= 0xFDCF || r >= 0xFDF0 && r <= 0xFFFD
	}
	return r <= 0xEFFFF
}

// isNameChar is NameChar without the colon (production 4a).
func isNameChar(r rune) bool {
	if r < 0x80 {
		return class[r]&clsName != 0
	}
	return isNameStart(r) || r == 0xB7 || r >= 0x300 && r <= 0x36F || r == 0x203F || r == 0x2040
}

// isNCName reports whether b, which is UTF-8, is a name without a colon.
func isNCName(b []byte) bool {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if !isNameChar(r) || i == 0 && !isNameStart(r) {
			return false
		}
		i += n
	}
	return len(b) > 0
}

// isChar is Char (production 2), for the value of a character reference.
func isChar(r uint32) bool {
	switch {
	case r < 0x20:
		return r == '\t' || r == '\n' || r == '\r'
	case r < 0xE000:
		return r < 0xD800
	}
	return r <= 0x10FFFF && r != 0xFFFE && r != 0xFFFF
}
