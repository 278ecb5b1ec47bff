package parser

// Work that has to be done when a tag ends: bits of registers.tag. Most tags need none.
const (
	tagDefault = 1 << iota // the default namespace is declared
	tagDeclare             // prefixes are declared
	tagPrefix              // the element's name has a prefix
	tagAttrs               // names of attributes have prefixes
)

// binding is a prefix that an open element has declared.
type binding struct {
	pos   uint32 // offset of the prefix in the element's bytes
	n     uint32 // its length
	token uint32 // index of its NS token
}

// duplicate reports whether the last token of the tape has the same name as another
// attribute of the tag. It is called only if the hashes are equal; Limits.MaxAttrs limits
// the number of comparisons.
func (d *Tape) duplicate(tape []Token, cur uint) bool {
	last := &tape[len(tape)-1]
	name := d.name(last)
	for i := cur + 1; i < uint(len(tape)-1); i++ {
		if t := &tape[i]; t.NameLen == last.NameLen && string(d.name(t)) == string(name) {
			return true
		}
	}
	return false
}

// classifyAttr marks an attribute as a namespace declaration if it is one, and returns
// the work that has to be done when the tag ends.
func (d *Tape) classifyAttr(t *Token) uint8 {
	switch {
	case t.PrefixLen == 0:
		if string(d.name(t)) != "xmlns" {
			return 0
		}
		t.Kind = NS
		return tagDefault
	case string(d.src[t.Pos:t.Pos+uint32(t.PrefixLen)]) == "xmlns:":
		t.Kind = NS
		return tagDeclare
	}
	return tagAttrs
}

// resolve resolves the namespaces of the last tag on the tape: first its declarations,
// which apply to the whole tag, then its names. It returns the default namespace that is
// in scope from here on.
func (d *Tape) resolve(s *Scratch, cur uint, tag uint8, ns uint32) (uint32, *Error) {
	var err *Error
	if tag&(tagDefault|tagDeclare) != 0 {
		if ns, err = d.declare(s, cur, ns); err != nil {
			return ns, err
		}
	}
	t := &d.tape[cur]
	t.ns = ns
	if tag&tagPrefix != 0 {
		if t.ns, err = d.lookup(t); err != nil {
			return ns, err
		}
	}
	if tag&tagAttrs != 0 {
		err = d.resolveAttrs(cur)
	}
	return ns, err
}

// declare handles the namespace declarations of a tag.
func (d *Tape) declare(s *Scratch, cur uint, ns uint32) (uint32, *Error) {
	for i := cur + 1; i < uint(len(d.tape)); i++ {
		t := &d.tape[i]
		if t.Kind != NS {
			continue
		}
		uri := d.space(nsToken + uint32(i))
		if t.PrefixLen == 0 {
			// Namespaces in XML, section 3 (https://www.w3.org/TR/xml-names/#ns-decl):
			// other prefixes MUST NOT be bound to these namespace names, "and they MUST
			// NOT be declared as the default namespace".
			if isReserved(uri) {
				return ns, ErrReserved
			}
			ns = nsNone
			if len(uri) > 0 {
				ns = nsToken + uint32(i)
			}
			t.Link = ns
			continue
		}
		if err := d.bind(s, uint32(i), uri); err != nil {
			return ns, err
		}
	}
	return ns, nil
}

// bind binds a prefix (Namespaces in XML, section 3, Reserved Prefixes and
// Namespace Names; section 5: No Prefix Undeclaring).
func (d *Tape) bind(s *Scratch, i uint32, uri []byte) *Error {
	name := d.local(&d.tape[i])
	switch {
	case string(name) == "xml":
		if string(uri) != uriXML {
			return ErrReserved
		}
		return nil
	case string(name) == "xmlns", isReserved(uri):
		return ErrReserved
	case len(uri) == 0:
		return ErrUndeclare
	}
	n, most := len(d.binds), s.limits.MaxNamespaces
	if d.ctx != nil {
		n += len(d.ctx.prefixes)
	} else {
		most = min(most, maxPrefixes)
	}
	if n >= most {
		return ErrNamespaces
	}
	t := &d.tape[i]
	t.Link = d.firstWithURI(uri, nsToken+i)
	d.binds = append(d.binds, binding{pos: t.Pos + uint32(t.PrefixLen), n: uint32(len(name)), token: i})
	return nil
}

// firstWithURI returns the first declaration in scope with this namespace, or ns itself.
// It allows two prefixes to be compared without comparing their namespaces, which may be
// long, for each name.
func (d *Tape) firstWithURI(uri []byte, ns uint32) uint32 {
	if d.ctx != nil {
		for i := range d.ctx.prefixes {
			if p := &d.ctx.prefixes[i]; string(p.uri) == string(uri) {
				return nsHeader + p.first
			}
		}
	}
	for i := range d.binds {
		if other := nsToken + d.binds[i].token; string(d.space(other)) == string(uri) {
			return d.tape[other-nsToken].Link
		}
	}
	return ns
}

// canonicalNS returns the declaration that represents all prefixes with the same
// namespace as ns.
func (d *Tape) canonicalNS(ns uint32) uint32 {
	switch {
	case ns >= nsToken:
		return d.tape[ns-nsToken].Link
	case ns >= nsHeader:
		return nsHeader + d.ctx.prefixes[ns-nsHeader].first
	}
	return ns
}

func isReserved(uri []byte) bool {
	return len(uri) == len(uriXML) && string(uri) == uriXML || len(uri) == len(uriXMLNS) && string(uri) == uriXMLNS
}

// lookup returns the innermost declaration of a name's prefix.
func (d *Tape) lookup(t *Token) (uint32, *Error) {
	p := d.src[t.Pos : t.Pos+uint32(t.PrefixLen)-1]
	for i := len(d.binds) - 1; i >= 0; i-- {
		b := &d.binds[i]
		if b.n == uint32(len(p)) && string(d.src[b.pos:b.pos+b.n]) == string(p) {
			return nsToken + b.token, nil
		}
	}
	if d.ctx != nil {
		for i := range d.ctx.prefixes {
			if string(d.ctx.prefixes[i].name) == string(p) {
				d.used |= 1 << i
				return nsHeader + uint32(i), nil
			}
		}
	}
	if string(p) == "xml" {
		return nsXML, nil
	}
	return 0, ErrUnbound
}

// resolveAttrs resolves the namespaces of attributes with a prefix, and refuses two
// attributes with the same expanded name, the pair of namespace and local name
// (Namespaces in XML, section 6.3).
func (d *Tape) resolveAttrs(cur uint) *Error {
	for i := cur + 1; i < uint(len(d.tape)); i++ {
		t := &d.tape[i]
		if t.Kind != Attr || t.PrefixLen == 0 {
			continue
		}
		ns, err := d.lookup(t)
		if err != nil {
			return err
		}
		t.ns |= ns
		for k := cur + 1; k < i; k++ {
			o := &d.tape[k]
			if o.Kind == Attr && o.PrefixLen != 0 && d.sameName(t, o) {
				return ErrDuplicate
			}
		}
	}
	return nil
}

func (d *Tape) sameName(a, b *Token) bool {
	return d.canonicalNS(a.ns&^flagEscaped) == d.canonicalNS(b.ns&^flagEscaped) && string(d.local(a)) == string(d.local(b))
}
