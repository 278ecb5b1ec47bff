package parser

import (
	"bytes"
	"unicode/utf8"
)

// maxDecl bounds the XML declaration, in bytes.
const maxDecl = 256

const bom = "\xEF\xBB\xBF"

// atStart handles the first bytes of a stream. A byte order mark of UTF-8 is
// passed over, once; those of other encodings, and the zero bytes of UTF-16 and
// UTF-32 without one, are refused at once, so that nothing is ever transcoded.
func (d *Doc) atStart(c byte) *Error {
	switch {
	case d.step > 0 || c == bom[0]:
		if c != bom[d.step] {
			return ErrUTF8
		}
		d.pos++
		if d.step++; int(d.step) < len(bom) {
			return nil
		}
		d.step = 0
	case c == 0 || c >= 0xFE:
		return ErrEncoding
	case c != '<' && class[c]&spaceChar == 0:
		return ErrSyntax
	}
	d.decl = true // it may be one: see inOpen
	d.state = inTop
	return nil
}

// inDeclaration is in what follows "<?" at the start of a stream.
func (d *Doc) inDeclaration(b []byte) *Error {
	for d.pos < len(b) {
		c := b[d.pos]
		d.pos++
		n := d.pos - d.mark
		switch {
		case n <= 3:
			if c != "xml"[n-1] {
				return ErrRestricted // a processing instruction
			}
		case n == 4 && class[c]&spaceChar == 0:
			return ErrRestricted
		case c < 0x20 && class[c]&spaceChar == 0, c >= 0x80:
			return ErrDeclaration
		case c == '>':
			if b[d.pos-2] != '?' {
				return ErrDeclaration
			}
			d.decl = false
			d.state = afterDecl
			return checkDeclaration(b[d.mark+3 : d.pos-2])
		case n > maxDecl:
			return ErrDeclaration
		}
	}
	return nil
}

// checkDeclaration checks the inside of an XML declaration (XML production 23):
// version, then encoding, then standalone.
func checkDeclaration(b []byte) *Error {
	version, b, ok := pseudoAttr(b, "version")
	if !ok || len(version) < 3 || string(version[:2]) != "1." || len(bytes.Trim(version[2:], "0123456789")) != 0 {
		return ErrDeclaration
	}
	encoding, rest, ok := pseudoAttr(b, "encoding")
	if ok {
		b = rest
		if !bytes.EqualFold(encoding, []byte("utf-8")) {
			if len(encoding) == 0 {
				return ErrDeclaration
			}
			return ErrEncoding
		}
	}
	standalone, rest, ok := pseudoAttr(b, "standalone")
	if ok {
		b = rest
		if string(standalone) != "yes" && string(standalone) != "no" {
			return ErrDeclaration
		}
	}
	if len(bytes.Trim(b, " \t\r\n")) != 0 {
		return ErrDeclaration
	}
	return nil
}

// pseudoAttr reads white space and name='value'.
func pseudoAttr(b []byte, name string) (value, rest []byte, ok bool) {
	const space = " \t\r\n"
	trimmed := bytes.TrimLeft(b, space)
	after, found := bytes.CutPrefix(trimmed, []byte(name))
	if !found || len(trimmed) == len(b) {
		return nil, b, false
	}
	after, found = bytes.CutPrefix(bytes.TrimLeft(after, space), []byte("="))
	after = bytes.TrimLeft(after, space)
	if !found || len(after) == 0 || after[0] != '\'' && after[0] != '"' {
		return nil, b, false
	}
	end := bytes.IndexByte(after[1:], after[0])
	if end < 0 {
		return nil, b, false
	}
	return after[1 : 1+end], after[2+end:], true
}

// appendReference appends the character of a checked reference, given without
// '&' and ';'.
func appendReference(dst, name []byte) []byte {
	if name[0] != '#' {
		code := uint32(0)
		for _, c := range name {
			code = code<<8 | uint32(c)
		}
		return append(dst, namedChar(code))
	}
	base, digits := uint32(10), name[1:]
	if digits[0] == 'x' {
		base, digits = 16, digits[1:]
	}
	r := uint32(0)
	for _, c := range digits {
		switch {
		case c <= '9':
			r = r*base + uint32(c-'0')
		default:
			r = r*base + uint32(c|0x20-'a') + 10
		}
	}
	return utf8.AppendRune(dst, rune(r))
}
