package parser

import "bytes"

// declare puts a namespace declaration in scope (Namespaces in XML, section 3).
func (d *Doc) declare(t *Token) *Error {
	value := d.buf[t.Start:t.End]
	var number uint16
	if t.Escaped() {
		number = d.internText(string(appendUnescaped(nil, value, true)))
	} else {
		number = d.intern(value, t.Start, t.End)
	}
	t.ns = number
	prefix := d.prefixOf(t)
	switch {
	case number == nsXMLNS, string(prefix) == "xmlns":
		return ErrReserved
	case (number == nsXML) != (string(prefix) == "xml"):
		return ErrReserved
	case len(prefix) == 0:
		d.defaultNS, d.hasDefault = number, true
		return nil
	case len(value) == 0:
		return ErrReserved // a prefix cannot be undeclared
	}
	n := len(d.binds)
	if d.ctx != nil {
		n += len(d.ctx.prefixes)
	}
	if n >= d.limits.MaxNamespaces {
		return ErrTooManyPrefix
	}
	d.binds = append(d.binds, binding{start: t.Name + uint32(t.PrefixLen), n: uint32(len(prefix)), ns: number})
	return nil
}

// intern returns the number of a namespace that stands at start in buf.
func (d *Doc) intern(value []byte, start, end uint32) uint16 {
	if len(value) == 0 {
		return nsNone
	}
	if n := lookupKnown(value); n != 0 {
		return n
	}
	for i := range d.uris {
		if bytes.Equal(d.uri(firstOwn+uint16(i)), value) {
			return firstOwn + uint16(i)
		}
	}
	d.uris = append(d.uris, uri{start: start, end: end})
	return firstOwn + uint16(len(d.uris)-1)
}

// internText is intern for a namespace that does not stand in buf.
func (d *Doc) internText(value string) uint16 {
	n := d.intern([]byte(value), 0, 0)
	if n >= firstOwn {
		if u := &d.uris[n-firstOwn]; u.end == 0 {
			u.s = value
		}
	}
	return n
}

// inheritedDefault is the default namespace around the tag under way.
func (d *Doc) inheritedDefault() uint16 {
	if n := len(d.stack); n > 0 {
		return d.stack[n-1].defaultNS
	}
	if d.ctx == nil {
		return nsNone
	}
	c := &d.ctx.defaultNS
	d.otherDefault = c.number != nsClient
	if c.number == nsNone && c.uri != "" {
		return d.internText(c.uri)
	}
	return c.number
}

// resolve is the namespace of a prefix.
func (d *Doc) resolve(prefix []byte) (uint16, *Error) {
	for i := len(d.binds) - 1; i >= 0; i-- {
		b := &d.binds[i]
		if int(b.n) == len(prefix) && string(d.buf[b.start:b.start+b.n]) == string(prefix) {
			return b.ns, nil
		}
	}
	if string(prefix) == "xml" {
		return nsXML, nil
	}
	if d.ctx != nil {
		for i := range d.ctx.prefixes {
			p := &d.ctx.prefixes[i]
			if p.prefix == string(prefix) {
				d.inherits = true
				if p.number != nsNone {
					return p.number, nil
				}
				return d.internText(p.uri), nil
			}
		}
	}
	return 0, ErrUnbound
}

// resolveTag gives the names of a start tag their namespaces and finds
// attributes that are the same by expanded name (Namespaces in XML, section
// 6.3).
func (d *Doc) resolveTag(t *Token, defaultNS uint16) (e *Error) {
	t.ns = defaultNS
	if t.PrefixLen != 0 {
		if t.ns, e = d.resolve(d.buf[t.Name : t.Name+uint32(t.PrefixLen)-1]); e != nil {
			return e
		}
	}
	if d.prefixed == 0 {
		return nil
	}
	tag := d.tokens[d.tag+1:]
	for i := range tag {
		a := &tag[i]
		if a.Kind != Attr || a.PrefixLen == 0 {
			continue
		}
		if a.ns, e = d.resolve(d.buf[a.Name : a.Name+uint32(a.PrefixLen)-1]); e != nil {
			return e
		}
		for j := 0; j < i && d.prefixed > 1; j++ {
			o := &tag[j]
			if o.Kind == Attr && o.PrefixLen != 0 && o.ns == a.ns && bytes.Equal(d.local(o), d.local(a)) {
				return ErrDuplicate
			}
		}
	}
	return nil
}

// appendUnescaped appends what raw character data stands for: references are
// replaced, line ends normalized (XML section 2.11) and, in an attribute value,
// white space turned into blanks (section 3.3.3).
func appendUnescaped(dst, raw []byte, value bool) []byte {
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '&':
			end := i + bytes.IndexByte(raw[i:], ';')
			dst = appendReference(dst, raw[i+1:end])
			i = end
		case c == '\r' && i+1 < len(raw) && raw[i+1] == '\n':
		case value && (c == '\t' || c == '\n' || c == '\r'):
			dst = append(dst, ' ')
		case c == '\r':
			dst = append(dst, '\n')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
