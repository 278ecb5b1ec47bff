package parser

// The delimiters of a CDATA section, after "<!".
const (
	sectionStart = "[CDATA["
	sectionEnd   = "]]>"
)

// sectionBegins continues at src[p] after a "<!" that ends at start, and reports whether
// a CDATA section has begun. Anything else that begins with "<!" is refused at its first
// byte (RFC 6120 section 11.1, https://www.rfc-editor.org/rfc/rfc6120#section-11.1).
func (d *Tape) sectionBegins(p, start, end uint) (uint, bool, *Error) {
	for ; p-start < uint(len(sectionStart)); p++ {
		switch {
		case p >= end:
			return p, false, nil
		case d.src[p] == sectionStart[p-start]:
		case p == start:
			return p, false, ErrMarkup
		default:
			return p, false, tagError(d.src[p])
		}
	}
	switch {
	case len(d.open) != 0:
		return p, true, nil
	case d.ctx != nil:
		return p, false, ErrText
	}
	return p, false, ErrProlog
}

// sectionEnds continues at src[p] in a CDATA section whose content begins at start, and
// reports whether it has ended. It uses the stops for text, because a section ends with
// '>'; other stops that are markup in text are skipped.
func (d *Tape) sectionEnds(w *window, p, start, end, shift uint) (uint, bool, *Error) {
	for {
		if p = w.nextText(p+shift) - shift; p >= end {
			return end, false, nil
		}
		c := d.src[p]
		if c != '<' && c != '>' && c != '&' {
			return p, false, ErrChar
		}
		p++
		if c == '>' && p-start >= uint(len(sectionEnd)) && d.src[p-2] == ']' && d.src[p-3] == ']' {
			return p, true, nil
		}
	}
}

// endTag continues at src[p] in an end tag whose name begins at start, and reports
// whether it has ended. The tag must repeat the start tag's name, byte for byte (XML 1.0,
// constraint Element Type Match); only white space may follow the name.
func (d *Tape) endTag(p, start, end uint) (uint, bool, *Error) {
	name, err := d.expectedName()
	if err != nil {
		return p, false, err
	}
	for ; p < end; p++ {
		c := d.src[p]
		switch i := p - start; {
		case i < uint(len(name)):
			if c != name[i] {
				return p, false, ErrMismatch
			}
		case c == '>':
			return p + 1, true, nil
		case class[c]&clsSpace == 0:
			return p, false, ErrMismatch
		}
	}
	return p, false, nil
}

// expectedName returns the name that the next end tag must have.
func (d *Tape) expectedName() ([]byte, *Error) {
	switch {
	case len(d.open) != 0:
		return d.name(&d.tape[d.open[len(d.open)-1].token]), nil
	case d.ctx != nil && len(d.ctx.name) > 0:
		return d.ctx.name, nil
	}
	return nil, ErrSyntax // there is no stream, or it has no start tag
}
