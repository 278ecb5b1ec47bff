package parser

// nameSlow continues a name at src[p], which is not an ASCII name character: a colon, a
// byte from 0x80 on, or a byte that must not end a name. It returns the position at which
// the name continues.
func (d *Tape) nameSlow(s *Scratch, p, start, end uint) (uint, *Error) {
	if p-start > uint(s.limits.MaxName) {
		return p, ErrNameTooLong
	}
	switch c := d.src[p]; {
	case c >= 0x80:
		d.nonASCII = true // checked at the end of the name
		for p < end && d.src[p] >= 0x80 {
			p++
		}
	case c != ':' || d.colon != 0:
		return p, nameError(c)
	default:
		p++
		if d.colon = p - start; d.colon > maxPrefixLen {
			return p, ErrNameTooLong
		}
	}
	return p, nil
}

// checkName checks a name that has a prefix or bytes from 0x80 on.
func (d *Tape) checkName(from, to, colon uint, nonASCII bool) *Error {
	local := d.src[from+colon : to]
	if len(local) == 0 || class[local[0]]&clsStart == 0 {
		return ErrName
	}
	if nonASCII && (colon != 0 && !isNCName(d.src[from:from+colon-1]) || !isNCName(local)) {
		return ErrName
	}
	return nil
}

// markupError returns the error for a byte that must not follow '<'. first reports whether
// this is the element's first '<'.
func (d *Tape) markupError(c byte, first bool) *Error {
	switch {
	case c == '?':
		return ErrMarkup
	case c == 0 && d.declOK && first:
		return ErrEncoding // "<\0": UTF-16 or UTF-32
	}
	return tagError(c)
}

// tagError returns the error for a byte that is not allowed at its position in a tag.
func tagError(c byte) *Error {
	if c < 0x20 && class[c]&clsSpace == 0 {
		return ErrChar
	}
	return ErrSyntax
}

// nameError returns the error for a byte that must not end a name.
func nameError(c byte) *Error {
	if c == ':' {
		return ErrName
	}
	return tagError(c)
}
