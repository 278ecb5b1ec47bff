package parser

// Element is one element of a Tape. It is two words long and passed by value. The zero
// Element means that there is no element; all its methods may be called and return zero
// values.
type Element struct {
	d   *Tape
	i   int32 // index of its Start token
	end int32 // index after the last token of its parent
}

// OK reports whether the element exists.
func (e Element) OK() bool { return e.d != nil }

func (e Element) start() *Token { return &e.d.tape[e.i] }

// Local returns the local part of the element's name.
func (e Element) Local() []byte {
	if e.d == nil {
		return nil
	}
	return e.d.local(e.start())
}

// Space returns the element's namespace; empty if it has none.
func (e Element) Space() []byte {
	if e.d == nil {
		return nil
	}
	return e.d.uri(e.start())
}

// Is reports whether the element has this expanded name.
func (e Element) Is(space, local string) bool {
	return e.d != nil && string(e.Local()) == local && string(e.Space()) == space
}

// Attr returns the value of an attribute without a namespace, unescaped and normalized.
// It is nil if the element does not have the attribute, and not nil if it is empty.
func (e Element) Attr(local string) []byte {
	if e.d == nil {
		return nil
	}
	for i := int(e.i) + 1; i < len(e.d.tape); i++ {
		t := &e.d.tape[i]
		if t.Kind != Attr && t.Kind != NS {
			break
		}
		if t.Kind == Attr && t.PrefixLen == 0 && string(e.d.name(t)) == local {
			return e.d.value(t)
		}
	}
	return nil
}

// AttrNS is like Attr for an attribute with a namespace, such as xml:lang.
func (e Element) AttrNS(space, local string) []byte {
	if e.d == nil {
		return nil
	}
	for i := int(e.i) + 1; i < len(e.d.tape); i++ {
		t := &e.d.tape[i]
		if t.Kind != Attr && t.Kind != NS {
			break
		}
		if t.Kind == Attr && string(e.d.local(t)) == local && string(e.d.uri(t)) == space {
			return e.d.value(t)
		}
	}
	return nil
}

// DeclaredDefault returns the default namespace that the element's start tag declares:
// nil if it has no such declaration, empty but not nil if it declares an empty one.
func (e Element) DeclaredDefault() []byte {
	if e.d == nil {
		return nil
	}
	if i := e.d.defaultDecl(e.i); i >= 0 {
		return e.d.value(&e.d.tape[i])
	}
	return nil
}

// EachAttr calls f for each attribute and namespace declaration. rawValue is the value as
// received. isNS reports a namespace declaration; its local name is the prefix, empty for
// the default namespace.
func (e Element) EachAttr(f func(space, local, rawValue []byte, isNS bool)) {
	if e.d == nil {
		return
	}
	d := e.d
	for i := int(e.i) + 1; i < len(d.tape); i++ {
		t := &d.tape[i]
		if t.Kind != Attr && t.Kind != NS {
			break
		}
		local, value := d.local(t), d.src[t.Val:t.End]
		if t.Kind == NS && t.PrefixLen == 0 {
			local = nil
		}
		f(d.uri(t), local, value, t.Kind == NS)
	}
}

// content returns the index of the first token after the element's start tag and the
// index after its last token.
func (e Element) content() (from, to int32) {
	to = int32(e.start().Link)
	for from = e.i + 1; from < to; from++ {
		if k := e.d.tape[from].Kind; k != Attr && k != NS {
			break
		}
	}
	return from, to
}

// First returns the first child element.
func (e Element) First() Element {
	if e.d == nil {
		return Element{}
	}
	from, to := e.content()
	return e.d.element(from, to)
}

// Next returns the element's next sibling.
func (e Element) Next() Element {
	if e.d == nil {
		return Element{}
	}
	return e.d.element(int32(e.start().Link), e.end)
}

// element returns the first element that begins between two indexes of one level.
func (d *Tape) element(from, to int32) Element {
	for ; from < to; from++ {
		if d.tape[from].Kind == Start {
			return Element{d: d, i: from, end: to}
		}
	}
	return Element{}
}

// Child returns the first child element with this expanded name.
func (e Element) Child(space, local string) Element {
	c := e.First()
	for c.OK() && !c.Is(space, local) {
		c = c.Next()
	}
	return c
}

// AppendText appends the element's own character data, with references replaced, line
// ends normalized and CDATA sections included, but without that of its children.
func (e Element) AppendText(dst []byte) []byte {
	if e.d == nil {
		return dst
	}
	d := e.d
	for i, to := e.content(); i < to; i++ {
		switch t := &d.tape[i]; t.Kind {
		case Text:
			dst = appendText(dst, d.src[t.Pos:t.End], t.Escaped())
		case CDATA:
			dst = appendText(dst, d.src[t.Pos:t.End], false)
		case Start:
			i = int32(t.Link) - 1
		}
	}
	return dst
}

// Offset returns the offset of the element in Tape.Raw.
func (e Element) Offset() int { return int(e.start().Pos) - 1 }

// Raw returns the element as received, from '<' to '>'; for a stream header, its start
// tag.
func (e Element) Raw() []byte {
	if e.d == nil {
		return nil
	}
	t := e.start()
	return e.d.src[t.Pos-1 : t.End : t.End]
}
