package parser

// inText is in the content of an element.
func (d *Doc) inText(b []byte) *Error {
	for {
		i, high := scan(b, d.pos, '>')
		d.high |= high
		d.pos = i
		if i == len(b) {
			return nil
		}
		switch c := b[i]; c {
		case '<':
			if i > d.mark {
				if e := d.endText(0); e != nil {
					return e
				}
			}
			d.pos++
			d.state = inOpen
			return nil
		case '&':
			d.escaped = true
			d.pos++
			d.back = inText
			d.state = inRef
			return nil
		case '>':
			// XML section 2.4: "]]>" is not allowed in character data.
			if i-d.mark >= 2 && b[i-1] == ']' && b[i-2] == ']' {
				return ErrSyntax
			}
			d.pos++
		case '\t', '\n':
			d.pos++
		case '\r':
			d.escaped = true // a line end that is normalized (XML section 2.11)
			d.pos++
		default:
			return ErrChar
		}
	}
}

// endText puts the run from mark to pos on the tape.
func (d *Doc) endText(flags uint8) *Error {
	if d.high != 0 {
		if e := validRun(d.buf[d.mark:d.pos]); e != nil {
			return e
		}
		d.high = 0
	}
	if d.escaped {
		flags |= flagEscaped
		d.escaped = false
	}
	d.tokens = append(d.tokens, Token{Kind: Text, flags: flags, Start: uint32(d.mark), End: uint32(d.pos)})
	return nil
}

// cdataStart follows "<!".
const cdataStart = "[CDATA["

// inSection is behind "<!": only a CDATA section may follow.
func (d *Doc) inSection(b []byte) *Error {
	for d.state == inBang {
		if d.pos == len(b) {
			return nil
		}
		if b[d.pos] != cdataStart[d.step] {
			if d.step == 0 {
				return ErrRestricted // a comment, or a DTD
			}
			return ErrSyntax
		}
		d.pos++
		if d.step++; int(d.step) == len(cdataStart) {
			d.mark = d.pos
			d.high, d.escaped = 0, false
			d.state = inCDATA
		}
	}
	for {
		i, high := scan(b, d.pos, '>')
		d.high |= high
		d.pos = i
		if i == len(b) {
			return nil
		}
		switch c := b[i]; {
		case c == '>' && i-d.mark >= 2 && b[i-1] == ']' && b[i-2] == ']':
			d.pos = i - 2
			if d.pos > d.mark {
				if e := d.endText(flagCDATA); e != nil {
					return e
				}
			}
			d.pos = i + 1
			d.mark = d.pos
			d.high, d.escaped = 0, false
			d.state = inText
			return nil
		case c == '\r':
			d.escaped = true
		case c < 0x20 && c != '\t' && c != '\n':
			return ErrChar
		}
		d.pos++
	}
}

// inReference is behind '&'. The five predefined entities and character
// references are all there are (RFC 6120 section 11.1).
func (d *Doc) inReference(b []byte) *Error {
	for d.pos < len(b) && d.state != d.back {
		c := b[d.pos]
		d.pos++
		var e *Error
		switch d.state {
		case inRef:
			e = d.beginReference(c)
		case inNamedRef:
			e = d.namedReference(c)
		default:
			e = d.numericReference(c)
		}
		if e != nil {
			return e
		}
	}
	return nil
}

func (d *Doc) beginReference(c byte) *Error {
	d.code, d.step = 0, 0
	switch {
	case c == '#':
		d.state = inNumRef
	case class[c]&nameStart != 0:
		d.state = inNamedRef
		d.code, d.step = uint32(c), 1
	default:
		return ErrReference
	}
	return nil
}

// namedReference gathers the name of an entity, of which the longest that is
// allowed has four letters.
func (d *Doc) namedReference(c byte) *Error {
	switch {
	case c == ';':
		if d.step > 4 || namedChar(d.code) == 0 {
			return ErrRestricted // an entity that a DTD would have to declare
		}
		d.state = d.back
	case class[c]&nameChar == 0:
		return ErrReference
	case d.step > 4:
		// The name is longer than any that is allowed; how much longer makes
		// no difference.
	default:
		d.code = d.code<<8 | uint32(c)
		d.step++
	}
	return nil
}

// namedChar is the character of a predefined entity, whose name is given as
// letters in a number, or 0.
func namedChar(name uint32) byte {
	switch name {
	case 'l'<<8 | 't':
		return '<'
	case 'g'<<8 | 't':
		return '>'
	case 'a'<<16 | 'm'<<8 | 'p':
		return '&'
	case 'a'<<24 | 'p'<<16 | 'o'<<8 | 's':
		return '\''
	case 'q'<<24 | 'u'<<16 | 'o'<<8 | 't':
		return '"'
	}
	return 0
}

// numericReference gathers the number of a character. It is refused as soon as
// it is too large, so that it cannot overflow.
func (d *Doc) numericReference(c byte) *Error {
	if d.state == inNumRef {
		d.state = inDecRef
		if c == 'x' {
			d.state = inHexRef
			return nil
		}
	}
	if c == ';' {
		if d.step == 0 || !isChar(d.code) {
			return ErrReference
		}
		d.state = d.back
		return nil
	}
	digit, base := uint32(c-'0'), uint32(10)
	if d.state == inHexRef {
		base = 16
		if lower := c | 0x20; lower >= 'a' && lower <= 'f' {
			digit = uint32(lower-'a') + 10
		} else if digit > 9 {
			return ErrReference
		}
	}
	if digit >= base {
		return ErrReference
	}
	d.step = 1
	if d.code = d.code*base + digit; d.code > 0x10FFFF {
		return ErrReference
	}
	return nil
}
