package parser

import "strconv"

// Element is a borrowed view of one element of a Doc, valid as long as the Doc
// is. The zero Element stands for one that is not there, and all its methods
// may be called.
type Element struct {
	d *Doc
	i int // index of its Start token
}

// OK reports whether the element is there.
func (e Element) OK() bool { return e.d != nil }

func (e Element) token() *Token { return &e.d.tokens[e.i] }

// Local is the local part of the element's name.
func (e Element) Local() []byte {
	if e.d == nil {
		return nil
	}
	return e.d.local(e.token())
}

// Space is the element's namespace.
func (e Element) Space() []byte {
	if e.d == nil {
		return nil
	}
	return e.d.uri(e.token().ns)
}

// Is reports whether the element has this expanded name.
func (e Element) Is(space, local string) bool {
	return e.d != nil && string(e.Local()) == local && string(e.Space()) == space
}

// Attr is the value of the attribute with this name and no namespace: nil when
// it is not there, empty but not nil when it is empty. References are replaced
// and white space is normalized.
func (e Element) Attr(local string) []byte { return e.attr(nsNone, "", local) }

// AttrNS is Attr for an attribute with a namespace, such as xml:lang.
func (e Element) AttrNS(space, local string) []byte { return e.attr(nsXMLNS, space, local) }

// attr finds an attribute by the number of its namespace or, with nsXMLNS, which
// no attribute has, by the namespace's text.
func (e Element) attr(ns uint16, space, local string) []byte {
	if e.d == nil {
		return nil
	}
	for i := e.i + 1; i < len(e.d.tokens); i++ {
		t := &e.d.tokens[i]
		if t.Kind != Attr && t.Kind != NS {
			break
		}
		if t.Kind == Attr && string(e.d.local(t)) == local &&
			(t.ns == ns || ns == nsXMLNS && string(e.d.uri(t.ns)) == space) {
			return e.d.value(t)
		}
	}
	return nil
}

// value is the unescaped value of an Attr token.
func (d *Doc) value(t *Token) []byte {
	raw := d.buf[t.Start:t.End:t.End]
	if !t.Escaped() {
		return raw
	}
	start := len(d.text)
	d.text = appendUnescaped(d.text, raw, true)
	return d.text[start:len(d.text):len(d.text)]
}

// EachAttr calls f for every attribute and namespace declaration in the order
// of the tag. A declaration has the namespace it declares as its value, and the
// prefix, empty for the default namespace, as its local name. Values of
// attributes are raw: references are not replaced.
func (e Element) EachAttr(f func(space, local, rawValue []byte, isNS bool)) {
	if e.d == nil {
		return
	}
	for i := e.i + 1; i < len(e.d.tokens); i++ {
		switch t := &e.d.tokens[i]; t.Kind {
		case Attr:
			f(e.d.uri(t.ns), e.d.local(t), e.d.buf[t.Start:t.End], false)
		case NS:
			f(knownBytes[nsXMLNS], e.d.prefixOf(t), e.d.uri(t.ns), true)
		default:
			return
		}
	}
}

// First is the first child element.
func (e Element) First() Element {
	if e.d == nil {
		return Element{}
	}
	return e.d.elementFrom(e.i + 1)
}

// Next is the next sibling element.
func (e Element) Next() Element {
	if e.d == nil || e.i == 0 {
		return Element{}
	}
	return e.d.elementFrom(int(e.token().Link) + 1)
}

// elementFrom is the first element from token i on, before an end tag.
func (d *Doc) elementFrom(i int) Element {
	for ; i < len(d.tokens); i++ {
		switch d.tokens[i].Kind {
		case Start:
			return Element{d, i}
		case End:
			return Element{}
		}
	}
	return Element{}
}

// Child is the first child element with this expanded name.
func (e Element) Child(space, local string) Element {
	c := e.First()
	for c.OK() && !c.Is(space, local) {
		c = c.Next()
	}
	return c
}

// AppendText appends the element's own character data, with references
// replaced; that of its child elements is left out.
func (e Element) AppendText(dst []byte) []byte {
	if e.d == nil {
		return dst
	}
	for i := e.i + 1; i < len(e.d.tokens); i++ {
		switch t := &e.d.tokens[i]; t.Kind {
		case Start:
			i = int(t.Link)
		case Text:
			dst = e.d.appendText(dst, t)
		case End:
			return dst
		}
	}
	return dst
}

// appendText appends what a Text token stands for.
func (d *Doc) appendText(dst []byte, t *Token) []byte {
	raw := d.buf[t.Start:t.End]
	switch {
	case !t.Escaped():
		return append(dst, raw...)
	case t.CDATA():
		return appendLines(dst, raw)
	}
	return appendUnescaped(dst, raw, false)
}

// appendLines normalizes line ends.
func appendLines(dst, raw []byte) []byte {
	for i, c := range raw {
		switch {
		case c != '\r':
			dst = append(dst, c)
		case i+1 == len(raw) || raw[i+1] != '\n':
			dst = append(dst, '\n')
		}
	}
	return dst
}

// Raw is the element's bytes, from '<' to '>'; of a stream header, its tag.
func (e Element) Raw() []byte {
	if e.d == nil {
		return nil
	}
	t := e.token()
	if t.Link == 0 {
		return e.d.buf[t.Start:t.End]
	}
	return e.d.buf[t.Start:e.d.tokens[t.Link].End]
}

// Inner is the bytes between the element's tags.
func (e Element) Inner() []byte {
	if e.d == nil || e.token().Link == 0 {
		return nil
	}
	return e.d.buf[e.token().End:e.d.tokens[e.token().Link].Start]
}

// AppendXML appends the element so that it means the same within any element
// whose default namespace is jabber:client: prefixes of elements are replaced
// by declarations of the default namespace, those of attributes are declared
// where they are used.
func (e Element) AppendXML(dst []byte) []byte {
	if e.d == nil || e.token().Link == 0 {
		return dst
	}
	w := writer{d: e.d, dst: dst}
	w.element(e.i, nsClient)
	return w.dst
}

type writer struct {
	d   *Doc
	dst []byte
}

// element writes the element at token i within a default namespace, and returns
// the token behind it. The depth of the recursion is bounded by MaxDepth.
func (w *writer) element(i int, defaultNS uint16) int {
	d, t := w.d, &w.d.tokens[i]
	w.dst = append(append(w.dst, '<'), d.local(t)...)
	if t.ns != defaultNS {
		w.attr("xmlns", d.uri(t.ns))
	}
	end := int(t.Link)
	i = w.attrs(i + 1)
	if i == end {
		w.dst = append(w.dst, "/>"...)
		return end + 1
	}
	w.dst = append(w.dst, '>')
	for i < end {
		switch k := &d.tokens[i]; k.Kind {
		case Start:
			i = w.element(i, t.ns)
		default:
			w.text(k)
			i++
		}
	}
	w.dst = append(append(append(w.dst, "</"...), d.local(t)...), '>')
	return end + 1
}

func (w *writer) text(t *Token) {
	if t.CDATA() {
		w.dst = AppendEscaped(w.dst, w.d.appendText(nil, t))
		return
	}
	w.dst = append(w.dst, w.d.buf[t.Start:t.End]...)
}

// attrs writes the attributes of a tag, from token i on, and returns the token
// behind them.
func (w *writer) attrs(i int) int {
	for n := 0; i < len(w.d.tokens); i++ {
		t := &w.d.tokens[i]
		switch {
		case t.Kind == NS:
			continue
		case t.Kind != Attr:
			return i
		case t.PrefixLen == 0:
			w.raw("", t)
		case t.ns == nsXML:
			w.raw("xml:", t)
		default:
			prefix := "a" + strconv.Itoa(n)
			n++
			w.attr("xmlns:"+prefix, w.d.uri(t.ns))
			w.raw(prefix+":", t)
		}
	}
	return i
}

func (w *writer) attr(name string, value []byte) {
	w.dst = append(append(append(w.dst, ' '), name...), "='"...)
	w.dst = append(AppendEscaped(w.dst, value), '\'')
}

// raw writes an attribute with the bytes of its value as they came; the quote
// that they were in is one that they do not contain.
func (w *writer) raw(prefix string, t *Token) {
	quote := w.d.buf[t.End]
	w.dst = append(append(append(w.dst, ' '), prefix...), w.d.local(t)...)
	w.dst = append(append(w.dst, '='), quote)
	w.dst = append(append(w.dst, w.d.buf[t.Start:t.End]...), quote)
}
