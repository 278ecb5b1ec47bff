package parser

import "bytes"

// startTag begins a start tag at its name.
func (d *Doc) startTag() *Error {
	if len(d.stack) >= d.limits.MaxDepth {
		return ErrTooDeep
	}
	d.tag = uint32(len(d.tokens))
	d.tokens = append(d.tokens, Token{Kind: Start, Name: uint32(d.pos), Start: uint32(d.pos - 1)})
	d.mark = d.pos
	d.attrs = 0
	d.prefixed = 0
	d.hasDefault = false
	d.state = inName
	return nil
}

// scanName moves to the end of a name and reports whether it was reached.
func (d *Doc) scanName(b []byte) (done bool, e *Error) {
	i := d.pos
	for i < len(b) && class[b[i]]&nameChar != 0 {
		i++
	}
	d.pos = i
	if i-d.mark > d.limits.MaxName {
		return false, ErrNameTooLong
	}
	return i < len(b), nil
}

// splitName checks a qualified name and returns the length of its prefix with
// the colon (Namespaces in XML, productions 7 to 11). That its first character
// may begin a name was checked where it began.
func splitName(name []byte) (prefix uint16, e *Error) {
	high := byte(0)
	for i, c := range name {
		high |= c
		if c == ':' {
			if prefix != 0 || i == 0 || i+1 == len(name) || class[name[i+1]]&nameStart == 0 {
				return 0, ErrName
			}
			prefix = uint16(i + 1)
		}
	}
	if high >= 0x80 {
		if prefix > 0 {
			if e := validNCName(name[:prefix-1]); e != nil {
				return 0, e
			}
		}
		return prefix, validNCName(name[prefix:])
	}
	return prefix, nil
}

func (d *Doc) inName(b []byte) *Error {
	done, e := d.scanName(b)
	if !done {
		return e
	}
	t := &d.tokens[d.tag]
	t.NameLen = uint16(d.pos - d.mark)
	t.PrefixLen, e = splitName(b[d.mark:d.pos])
	d.state = inTag
	return e
}

// inTag is in a start tag, where an attribute or the tag's end may come.
func (d *Doc) inTag(b []byte) (result, *Error) {
	c := b[d.pos]
	switch {
	case class[c]&spaceChar != 0:
		d.pos++
		d.state = inSpace
	case c == '>':
		d.pos++
		return d.endStartTag(false)
	case c == '/':
		d.pos++
		d.state = inSlash
	case d.state == inSpace && class[c]&nameStart != 0:
		if d.attrs++; d.attrs > d.limits.MaxAttrs {
			return more, ErrTooManyAttrs
		}
		d.mark = d.pos
		d.state = inAttrName
	default:
		return more, ErrSyntax
	}
	return more, nil
}

func (d *Doc) inSlash(b []byte) (result, *Error) {
	if b[d.pos] != '>' {
		return more, ErrSyntax
	}
	d.pos++
	return d.endStartTag(true)
}

func (d *Doc) inAttrName(b []byte) *Error {
	done, e := d.scanName(b)
	if !done {
		return e
	}
	name := b[d.mark:d.pos]
	t := Token{Kind: Attr, Name: uint32(d.mark), NameLen: uint16(len(name))}
	if t.PrefixLen, e = splitName(name); e != nil {
		return e
	}
	switch {
	case string(name) == "xmlns":
		t.Kind = NS
	case t.PrefixLen == 6 && string(name[:6]) == "xmlns:":
		t.Kind = NS
	case t.PrefixLen != 0 && d.prefixed < 2:
		d.prefixed++
	}
	for i := int(d.tag) + 1; i < len(d.tokens); i++ {
		if other := &d.tokens[i]; other.NameLen == t.NameLen && bytes.Equal(d.name(other), name) {
			return ErrDuplicate
		}
	}
	d.tokens = append(d.tokens, t)
	d.state = inEq
	return nil
}

// inEq is between the name of an attribute and its value.
func (d *Doc) inEq(b []byte) *Error {
	c := b[d.pos]
	d.pos++
	switch {
	case class[c]&spaceChar != 0:
	case d.state == inEq && c == '=':
		d.state = inQuote
	case d.state == inQuote && (c == '\'' || c == '"'):
		d.quote = c
		d.mark = d.pos
		d.high = 0
		d.escaped = false
		d.state = inValue
	default:
		return ErrSyntax
	}
	return nil
}

func (d *Doc) inValue(b []byte) *Error {
	for {
		i, high := scan(b, d.pos, d.quote)
		d.high |= high
		d.pos = i
		if i == len(b) {
			return nil
		}
		switch c := b[i]; c {
		case d.quote:
			return d.endValue(b)
		case '&':
			d.escaped = true
			d.pos++
			d.back = inValue
			d.state = inRef
			return nil
		case '<':
			return ErrSyntax
		case '\t', '\n', '\r':
			d.escaped = true
			d.pos++
		default:
			return ErrChar
		}
	}
}

func (d *Doc) endValue(b []byte) *Error {
	if d.high != 0 {
		if e := validRun(b[d.mark:d.pos]); e != nil {
			return e
		}
	}
	t := &d.tokens[len(d.tokens)-1]
	t.Start, t.End = uint32(d.mark), uint32(d.pos)
	if d.escaped {
		t.flags |= flagEscaped
	}
	d.pos++
	d.state = inTag
	if t.Kind == NS {
		return d.declare(t)
	}
	return nil
}

// endStartTag resolves the names of a start tag, now that all its declarations
// are known, and opens the element.
func (d *Doc) endStartTag(empty bool) (result, *Error) {
	t := &d.tokens[d.tag]
	t.End = uint32(d.pos)
	if empty {
		t.flags |= flagEmpty
	}
	l := level{token: d.tag, defaultNS: d.defaultNS}
	if n := len(d.stack); n > 0 {
		l.binds = d.stack[n-1].open
	}
	if !d.hasDefault {
		l.defaultNS = d.inheritedDefault()
	}
	if e := d.resolveTag(t, l.defaultNS); e != nil {
		return more, e
	}
	if d.ctx == nil {
		return header, nil
	}
	d.high, d.escaped = 0, false
	d.mark = d.pos
	d.state = inText
	l.open = uint32(len(d.binds))
	d.stack = append(d.stack, l)
	if empty {
		return d.close(uint32(d.pos)), nil
	}
	return more, nil
}

// close ends the innermost open element; its end tag began at start.
func (d *Doc) close(start uint32) result {
	n := len(d.stack) - 1
	l := &d.stack[n]
	d.tokens[l.token].Link = uint32(len(d.tokens))
	d.tokens = append(d.tokens, Token{Kind: End, Start: start, End: uint32(d.pos), Link: l.token})
	d.binds = d.binds[:l.binds]
	d.stack = d.stack[:n]
	if n == 0 {
		return stanza
	}
	d.high, d.escaped = 0, false
	d.mark = d.pos
	d.state = inText
	return more
}

// startEnd begins an end tag at its '/'.
func (d *Doc) startEnd() *Error {
	if d.ctx == nil {
		return ErrSyntax
	}
	d.pos++
	d.mark = d.pos
	d.state = inEndName
	return nil
}

// inEnd is in an end tag, which must repeat the name of its start tag.
func (d *Doc) inEnd(b []byte) (result, *Error) {
	var same bool
	n := 0
	if len(d.stack) > 0 {
		t := &d.tokens[d.stack[len(d.stack)-1].token]
		n = int(t.NameLen)
		same = len(b)-d.mark > n && string(b[d.mark:d.mark+n]) == string(d.name(t))
	} else {
		n = len(d.ctx.root)
		same = len(b)-d.mark > n && string(b[d.mark:d.mark+n]) == d.ctx.root
	}
	if len(b)-d.mark <= n {
		return d.partialEnd(b)
	}
	if !same {
		return more, ErrMismatch
	}
	d.pos = max(d.pos, d.mark+n)
	for d.pos < len(b) {
		c := b[d.pos]
		d.pos++
		switch {
		case c == '>':
			if len(d.stack) == 0 {
				return closed, nil
			}
			return d.close(uint32(d.mark - 2)), nil
		case class[c]&spaceChar == 0:
			return more, ErrMismatch
		}
	}
	return more, nil
}

// partialEnd looks at an end tag whose name is not whole yet: only name
// characters may be there.
func (d *Doc) partialEnd(b []byte) (result, *Error) {
	done, e := d.scanName(b)
	if e == nil && done {
		e = ErrMismatch
	}
	return more, e
}
