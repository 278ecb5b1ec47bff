package parser

// nameSlow goes on in a name at src[p], which is no ASCII letter or digit: a
// colon, a character from 0x80 on, or what ends no name. It returns where the
// name goes on.
func (d *Tape) nameSlow(s *Scratch, p, start, end uint) (uint, *Error) {
	if p-start > uint(s.limits.MaxName) {
		return p, ErrNameTooLong
	}
	switch c := d.src[p]; {
	case c >= 0x80:
		d.nonASCII = true // judged at the name's end, when it is whole
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

// checkName checks a name that has a prefix, or bytes from 0x80 on.
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

// markupError is the error for a byte behind '<' that begins nothing.
func (d *Tape) markupError(c byte) *Error {
	switch {
	case c == '?':
		return ErrMarkup
	case c == 0 && d.declOK && len(d.tape) == 0:
		return ErrEncoding // "<\0": UTF-16 or UTF-32
	}
	return tagError(c)
}

// tagError is the error for a byte that may not be where it is in a tag.
func tagError(c byte) *Error {
	if c < 0x20 && class[c]&clsSpace == 0 {
		return ErrChar
	}
	return ErrSyntax
}

// nameError is the error for a byte that ends a name and may not.
func nameError(c byte) *Error {
	if c == ':' {
		return ErrName
	}
	return tagError(c)
}
