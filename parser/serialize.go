package parser

import "slices"

// AppendXML appends the element so that it has the same meaning in any context whose
// default namespace is jabber:client. Elements are written without prefixes, and each
// declares the default namespace if it differs from its parent's; prefixes of attributes
// are declared where they are used. Values and text are copied as received. For a stream
// header it appends the start tag.
//
// If the declarations would become longer than the element itself, names keep their
// prefixes instead, and the start tag declares those declared outside the element: the
// result is never much longer than twice the element.
func (e Element) AppendXML(dst []byte) []byte {
	if e.d == nil {
		return dst
	}
	w := writer{d: e.d, dst: dst, budget: len(e.Raw()) + minBudget}
	if w.element(e.i, nsClient) {
		return w.dst
	}
	return e.appendPrefixed(dst)
}

// minBudget is the number of bytes of declarations that are allowed even for a small
// element.
const minBudget = 1 << 10

// writer writes elements without prefixes.
type writer struct {
	d      *Tape
	dst    []byte
	budget int // bytes of declarations that may still be written

	// The last two namespaces that were compared byte by byte, and whether they are
	// equal. Namespaces may be long, and there may be many short elements.
	a, b  uint32
	equal bool
}

// sameSpace reports whether two namespaces are equal.
func (w *writer) sameSpace(a, b uint32) bool {
	a, b = w.d.canonicalNS(a), w.d.canonicalNS(b)
	if a == b {
		return true
	}
	if a != w.a || b != w.b {
		w.a, w.b, w.equal = a, b, string(w.d.space(a)) == string(w.d.space(b))
	}
	return w.equal
}

// element writes the element at i, whose parent's namespace is outer. It returns false if
// the budget was exceeded.
func (w *writer) element(i int32, outer uint32) bool {
	d := w.d
	t := &d.tape[i]
	name, space := d.local(t), t.ns
	if space == nsXML {
		name, space = d.name(t), outer // the namespace of xml must keep its prefix
	}
	w.dst = append(w.dst, '<')
	w.dst = append(w.dst, name...)
	if !w.sameSpace(outer, space) {
		w.declare(nil, d.space(space))
	}
	i++
	for ; i < int32(t.Link) && (d.tape[i].Kind == Attr || d.tape[i].Kind == NS); i++ {
		w.attr(i)
	}
	if w.budget < 0 {
		return false
	}
	switch {
	case d.ctx == nil:
		w.dst = append(w.dst, '>') // a stream header
		return true
	case t.Val == t.End:
		w.dst = append(w.dst, "/>"...)
		return true
	}
	w.dst = append(w.dst, '>')
	for ; i < int32(t.Link); i++ {
		switch c := &d.tape[i]; c.Kind {
		case Text:
			w.dst = append(w.dst, d.src[c.Pos:c.End]...)
		case CDATA:
			w.dst = append(w.dst, d.src[c.Pos-uint32(len("<!"+sectionStart)):c.End+uint32(len(sectionEnd))]...)
		case Start:
			if !w.element(i, space) {
				return false
			}
			i = int32(c.Link) - 1
		}
	}
	w.dst = append(w.dst, "</"...)
	w.dst = append(w.dst, name...)
	w.dst = append(w.dst, '>')
	return true
}

// attr writes the attribute at i, with a declaration of its prefix if it is the first
// attribute of its tag with that prefix. Received declarations are omitted.
func (w *writer) attr(i int32) {
	d := w.d
	t := &d.tape[i]
	if t.Kind == NS {
		return
	}
	if ns := t.ns &^ flagEscaped; ns >= nsHeader {
		first := true
		for k := i - 1; first && d.tape[k].Kind != Start; k-- {
			o := &d.tape[k]
			first = o.Kind != Attr || o.PrefixLen == 0 || o.ns&^flagEscaped != ns
		}
		if first {
			w.declare(d.src[t.Pos:t.Pos+uint32(t.PrefixLen)-1], d.space(ns))
		}
	}
	w.dst = append(w.dst, ' ')
	w.dst = append(w.dst, d.name(t)...)
	w.dst = append(w.dst, '=')
	w.dst = append(w.dst, d.src[t.Val-1:t.End+1]...) // with its quotes
}

func (w *writer) declare(prefix, uri []byte) {
	n := len(w.dst)
	if w.budget >= len(uri) {
		w.dst = appendDecl(w.dst, prefix, uri)
	}
	w.budget -= len(w.dst) - n
	if len(w.dst) == n {
		w.budget = -1
	}
}

func appendDecl(dst, prefix, uri []byte) []byte {
	dst = append(dst, " xmlns"...)
	if len(prefix) > 0 {
		dst = append(dst, ':')
		dst = append(dst, prefix...)
	}
	dst = append(dst, "='"...)
	dst = AppendEscaped(dst, uri)
	return append(dst, '\'')
}

// appendPrefixed appends the element as received, plus declarations of the namespaces
// that it uses and that are declared outside it.
func (e Element) appendPrefixed(dst []byte) []byte {
	d, t := e.d, e.start()
	dst = append(dst, '<')
	dst = append(dst, d.name(t)...)
	if d.defaultDecl(e.i) < 0 {
		ns := t.ns
		if t.PrefixLen != 0 {
			ns = d.defaultAt(e.i)
		}
		if uri := d.space(ns); string(uri) != uriClient {
			dst = appendDecl(dst, nil, uri)
		}
	}
	dst = e.appendOuter(dst)
	return append(dst, d.src[t.Pos+uint32(t.NameLen):t.End]...)
}

// defaultAt returns the default namespace outside the Start token at i: that of its
// innermost ancestor with a declaration.
func (d *Tape) defaultAt(i int32) uint32 {
	ns := uint32(nsNone)
	if d.ctx != nil && d.ctx.hasDefault {
		ns = nsDefault
	}
	for k := int32(0); k < i; k++ {
		t := &d.tape[k]
		if t.Kind != Start {
			continue
		}
		if int32(t.Link) <= i {
			k = int32(t.Link) - 1
			continue
		}
		if n := d.defaultDecl(k); n >= 0 {
			ns = nsNone
			if t := &d.tape[n]; t.End > t.Val {
				ns = nsToken + uint32(n)
			}
		}
	}
	return ns
}

// appendOuter appends declarations of the prefixes that names in the element use and that
// are declared outside it. Outside the element each prefix has only one meaning.
func (e Element) appendOuter(dst []byte) []byte {
	d := e.d
	d.outer = d.outer[:0]
	for i, to := e.i, int32(e.start().Link); i < to; i++ {
		t := &d.tape[i]
		if t.Kind != Start && t.Kind != Attr || t.PrefixLen == 0 {
			continue
		}
		ns := t.ns &^ flagEscaped
		inner := ns >= nsToken && ns-nsToken > uint32(e.i)
		if ns < nsHeader || inner || slices.Contains(d.outer, ns) {
			continue
		}
		d.outer = append(d.outer, ns)
		dst = appendDecl(dst, d.src[t.Pos:t.Pos+uint32(t.PrefixLen)-1], d.space(ns))
	}
	return dst
}
