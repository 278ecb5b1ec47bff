package parser

// Tape is one element of a stream: its bytes, and a tape of tokens with offsets
// into them. What its methods return is valid as long as the Tape is; none of
// them may be called from two goroutines at once.
type Tape struct {
	registers

	src   []byte    // the element's bytes and perhaps more: lent, or own
	own   []byte    // memory for an element that is cut or taken
	tape  []Token   // what there is so far
	open  []level   // the elements that are open
	binds []binding // the prefixes that they declare
	text  []byte    // values that had to be unescaped
	ctx   *context  // of the stream; nil for its header
	err   *Error    // why run has failed
	outer []uint32  // for AppendXML
	memo  []memo    // where in text namespaces are that had to be unescaped
	used  uint64    // bit i: prefix i of the header is used

	declOK bool // the element begins the stream: an XML declaration may be here
	empty  bool // the header is an empty-element tag
}

// begin makes the Tape ready for an element whose '<' is src[0]. If that is a
// byte from 0x80 on, run tells what is wrong with it.
func (d *Tape) begin(ctx *context, src []byte, declOK bool) {
	d.src, d.ctx, d.declOK = src, ctx, declOK
	d.pos, d.state, d.ns = 1, atOpen, nsNone
	if src[0] != '<' {
		d.pos, d.state = 0, atText
	}
	if ctx != nil && ctx.hasDefault {
		d.ns = nsDefault
	}
	d.tape, d.open, d.binds, d.text = d.tape[:0], d.open[:0], d.binds[:0], d.text[:0]
	d.memo, d.used, d.empty = d.memo[:0], 0, false
}

// copy copies b into memory of the Tape's own, unless it is there already.
func (d *Tape) copy(b []byte) []byte {
	if len(b) > 0 && len(d.own) > 0 && &b[0] == &d.own[0] {
		return b
	}
	return append(d.own[:0], b...)
}

// Raw is the element as it came: for a stream header the start tag, without the
// '>' of an empty-element tag.
func (d *Tape) Raw() []byte { return d.src }

// Tokens is the tape: what the element consists of, in document order.
func (d *Tape) Tokens() []Token { return d.tape }

// Root is the element; of a stream header only the start tag is there.
func (d *Tape) Root() Element {
	if len(d.tape) == 0 {
		return Element{}
	}
	return Element{d: d, end: int32(len(d.tape))}
}

// Inherited calls f for each prefix of the stream header that names in this
// element refer to. When Raw goes to another stream, these are declared again
// on its start tag.
func (d *Tape) Inherited(f func(prefix, uri []byte)) {
	if d.used == 0 {
		return
	}
	for i := range d.ctx.prefixes {
		if p := &d.ctx.prefixes[i]; d.used&(1<<i) != 0 {
			f(p.name, p.uri)
		}
	}
}

// InheritedLang is the language that the stream header gave to all stanzas
// without an xml:lang of their own (RFC 6120 section 4.7.4), unescaped; empty if
// it gave none.
func (d *Tape) InheritedLang() []byte {
	if d.ctx == nil {
		return nil
	}
	return d.ctx.lang
}

// Canonical reports whether Raw, with what Inherited lists declared on its start
// tag, means the same in a stream whose default namespace is jabber:client, and
// would mean so without the element's own declaration of the default namespace;
// and whether the element's name has no prefix, which not every client
// understands. Otherwise Element.AppendXML is the way.
func (d *Tape) Canonical() bool {
	if len(d.tape) == 0 || d.tape[0].PrefixLen != 0 {
		return false
	}
	return string(d.uri(&d.tape[0])) == uriClient
}

// defaultDecl is the index of the declaration of the default namespace by the
// Start token at i, -1 if it has none.
func (d *Tape) defaultDecl(i int32) int32 {
	for i++; int(i) < len(d.tape); i++ {
		switch t := &d.tape[i]; {
		case t.Kind == NS && t.PrefixLen == 0:
			return i
		case t.Kind != NS && t.Kind != Attr:
			return -1
		}
	}
	return -1
}

func (d *Tape) name(t *Token) []byte { return d.src[t.Pos : t.Pos+uint32(t.NameLen)] }

func (d *Tape) local(t *Token) []byte {
	return d.src[t.Pos+uint32(t.PrefixLen) : t.Pos+uint32(t.NameLen)]
}

// value is the value of an Attr or NS token, unescaped and normalized.
func (d *Tape) value(t *Token) []byte {
	raw := d.src[t.Val:t.End:t.End]
	if !t.Escaped() {
		return raw
	}
	n := len(d.text)
	d.text = appendValue(d.text, raw)
	return d.text[n:len(d.text):len(d.text)]
}

// uri is the namespace of a Start, Attr or NS token: empty for none.
func (d *Tape) uri(t *Token) []byte {
	if t.Kind == NS {
		return bytesXMLNS
	}
	return d.space(t.ns &^ flagEscaped)
}

func (d *Tape) space(ns uint32) []byte {
	switch {
	case ns >= nsToken:
		t := &d.tape[ns-nsToken]
		if !t.Escaped() {
			return d.src[t.Val:t.End:t.End]
		}
		return d.unescapedURI(t)
	case ns >= nsHeader:
		return d.ctx.prefixes[ns-nsHeader].uri
	}
	return d.fixedSpace(ns)
}

// memo is where the unescaped value of a declaration is, in text.
type memo struct{ from, to uint32 }

// unescapedURI unescapes a namespace the first time that it is asked for. Many
// names may refer to one declaration, and there may be many declarations: so the
// declaration itself remembers which memo it has, in the bits of Token.ns that
// an NS token does not need.
func (d *Tape) unescapedURI(t *Token) []byte {
	if i := t.ns &^ flagEscaped; i != 0 {
		m := d.memo[i-1]
		return d.text[m.from:m.to:m.to]
	}
	uri := d.value(t)
	to := uint32(len(d.text))
	d.memo = append(d.memo, memo{to - uint32(len(uri)), to})
	t.ns |= uint32(len(d.memo))
	return uri
}

var bytesXML, bytesXMLNS, bytesClient = []byte(uriXML), []byte(uriXMLNS), []byte(uriClient)

func (d *Tape) fixedSpace(ns uint32) []byte {
	switch ns {
	case nsXML:
		return bytesXML
	case nsClient:
		return bytesClient
	case nsDefault:
		return d.ctx.space
	}
	return nil
}
