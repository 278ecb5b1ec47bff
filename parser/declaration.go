package parser

import "bytes"

// maxDeclaration is the longest XML declaration, in bytes.
const maxDeclaration = 1 << 10

// declaration continues the XML declaration at src[p], after "<?". Its grammar (XML 1.0
// production 23) is checked once it is complete; until then only bytes that cannot belong
// to one are refused.
func (d *Tape) declaration(p, end uint) (uint, bool, *Error) {
	const name = "xml"
	src := d.src
	for ; p < end; p++ {
		c, i := src[p], p-2
		switch {
		case i < uint(len(name)):
			if c != name[i] {
				return p, false, ErrMarkup // another processing instruction
			}
		case i == uint(len(name)):
			if class[c]&clsSpace == 0 {
				return p, false, ErrMarkup
			}
		case c == '>':
			if src[p-1] != '?' {
				return p, false, ErrDeclaration
			}
			return p + 1, true, checkDeclaration(src[5 : p-1])
		case c == '<' || c >= 0x80 || c < 0x20 && class[c]&clsSpace == 0:
			return p, false, ErrDeclaration
		case i > maxDeclaration:
			return p, false, ErrTooLarge
		}
	}
	return p, false, nil
}

// checkDeclaration checks the bytes between "<?xml" and "?>". RFC 6120 section 11.6
// (https://www.rfc-editor.org/rfc/rfc6120#section-11.6): "Implementations MUST NOT
// attempt to use any other encoding", and the stream error is unsupported-encoding.
func checkDeclaration(b []byte) *Error {
	version, b, ok := pseudoAttr(b, "version")
	if !ok || !isVersion(version) {
		return ErrDeclaration
	}
	encoding, b, hasEncoding := pseudoAttr(b, "encoding")
	if hasEncoding && !isEncodingName(encoding) {
		return ErrDeclaration
	}
	standalone, b, ok := pseudoAttr(b, "standalone")
	if ok && string(standalone) != "yes" && string(standalone) != "no" {
		return ErrDeclaration
	}
	if len(trimSpace(b)) != 0 {
		return ErrDeclaration
	}
	if hasEncoding && !bytes.EqualFold(encoding, []byte("UTF-8")) {
		return ErrEncoding
	}
	return nil
}

// pseudoAttr removes white space and name="value" from the start of b, if present.
func pseudoAttr(b []byte, name string) (value, rest []byte, ok bool) {
	a := trimSpace(b)
	if len(a) == len(b) || !bytes.HasPrefix(a, []byte(name)) {
		return nil, b, false
	}
	a = trimSpace(a[len(name):])
	if len(a) == 0 || a[0] != '=' {
		return nil, b, false
	}
	a = trimSpace(a[1:])
	if len(a) == 0 || a[0] != '"' && a[0] != '\'' {
		return nil, b, false
	}
	n := bytes.IndexByte(a[1:], a[0])
	if n < 0 {
		return nil, b, false
	}
	return a[1 : 1+n], a[2+n:], true
}

func trimSpace(b []byte) []byte {
	for len(b) > 0 && class[b[0]]&clsSpace != 0 {
		b = b[1:]
	}
	return b
}

// isVersion is production 26. Every 1.x is read as 1.0 (XML 1.0 section 2.8).
func isVersion(b []byte) bool {
	if len(b) < 3 || string(b[:2]) != "1." {
		return false
	}
	for _, c := range b[2:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// isEncodingName is production 81.
func isEncodingName(b []byte) bool {
	for i, c := range b {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || class[c]&clsName == 0) {
			return false
		}
	}
	return len(b) > 0
}
