package parser

// Tape is one element of a stream: its bytes and a tape of tokens with offsets into them.
// The results of its methods are valid as long as the Tape is. Its methods must not be
// called from two goroutines at once.
type Tape struct {
	registers

	src   []byte    // starts with the element's bytes; the caller's, or own
	own   []byte    // memory for an incomplete or taken element
	tape  []Token   // the tokens so far
	open  []level   // the open elements
	binds []binding // the prefixes that they declare
	text  []byte    // unescaped values
	ctx   *context  // of the stream; nil for its header
	err   *Error    // the error of run
	outer []uint32  // for AppendXML
	memo  []memo    // positions of unescaped namespaces in text
	used  uint64    // bit i: prefix i of the header is used

	declOK bool // the element is the first of the stream: an XML declaration is allowed
	empty  bool // the header is an empty-element tag
}

// begin prepares the Tape for an element whose '<' is src[0]. If src[0] is a byte from
// 0x80 on instead, run returns its error.
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

// copy copies b into the Tape's own memory, unless it is there already.
func (d *Tape) copy(b []byte) []byte {
	if len(b) > 0 && len(d.own) > 0 && &b[0] == &d.own[0] {
		return b
	}
	return append(d.own[:0], b...)
}

// Raw returns the element as received; for a stream header the start tag, without the '>'
// of an empty-element tag.
func (d *Tape) Raw() []byte { return d.src }

// Tokens returns the tokens of the element in document order.
func (d *Tape) Tokens() []Token { return d.tape }

// Root returns the element; for a stream header, only its start tag.
func (d *Tape) Root() Element {
	if len(d.tape) == 0 {
		return Element{}
	}
	return Element{d: d, end: int32(len(d.tape))}
}

// Inherited calls f for each prefix of the stream header that is used by names in this
// element. If Raw is sent on another stream, its start tag must declare these prefixes.
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

// InheritedLang returns the stream header's language, unescaped, which applies to all
// stanzas without an xml:lang of their own (RFC 6120 section 4.7.4,
// https://www.rfc-editor.org/rfc/rfc6120#section-4.7.4); empty if there is none.
func (d *Tape) InheritedLang() []byte {
	if d.ctx == nil {
		return nil
	}
	return d.ctx.lang
}

// Canonical reports whether Raw, with the prefixes of Inherited declared on its start
// tag, has the same meaning in a stream whose default namespace is jabber:client, even
// without the element's own declaration of the default namespace; and whether the
// element's name has no prefix, since not every client understands one. Otherwise use
// Element.AppendXML.
func (d *Tape) Canonical() bool {
	if len(d.tape) == 0 || d.tape[0].PrefixLen != 0 {
		return false
	}
	return string(d.uri(&d.tape[0])) == uriClient
}

// defaultDecl returns the index of the declaration of the default namespace in the start
// tag at i, -1 if it has none.
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

// value returns the value of an Attr or NS token, unescaped and normalized.
func (d *Tape) value(t *Token) []byte {
	raw := d.src[t.Val:t.End:t.End]
	if !t.Escaped() {
		return raw
	}
	n := len(d.text)
	d.text = appendValue(d.text, raw)
	return d.text[n:len(d.text):len(d.text)]
}

// uri returns the namespace of a Start, Attr or NS token: empty for none.
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

// memo is the position in text of a declaration's unescaped value.
type memo struct{ from, to uint32 }

// unescapedURI unescapes a namespace the first time it is needed. Many names may refer to
// one declaration, and there may be many declarations, so the declaration itself stores
// the index of its memo, in the bits of Token.ns that an NS token does not need.
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
