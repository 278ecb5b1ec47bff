package parser

import "sync"

// Doc is one element of a stream: its bytes, and a tape of tokens. All slices
// that its methods return are valid as long as the Doc is.
type Doc struct {
	machine
	buf     []byte // the element so far; lent by the caller, or own
	own     []byte // memory of the Doc's own, used once an element is cut or taken
	tokens  []Token
	uris    []uri     // the document's own namespaces, from number firstOwn on
	binds   []binding // namespace declarations in scope
	stack   []level   // open elements
	text    []byte    // unescaped values
	scratch []byte
	ctx     *context
	limits  *Limits
}

// uri is a namespace that has no fixed number: a part of buf, or a string.
type uri struct {
	start, end uint32
	s          string
}

// binding is a prefix declared by an open element of the document; nil-length
// prefixes are kept in level.
type binding struct {
	start, n uint32 // of the prefix, in buf
	ns       uint16
}

// level is an open element.
type level struct {
	token     uint32 // its Start
	binds     uint32 // len(binds) before its declarations
	open      uint32 // len(binds) with them
	defaultNS uint16
}

// keepBytes is the largest buffer that goes back to the pool with its Doc.
const keepBytes = 64 << 10

var docs = sync.Pool{New: func() any { return new(Doc) }}

func newDoc() *Doc { return docs.Get().(*Doc) }

// Release gives the Doc back. Nothing of it may be used afterwards.
func (d *Doc) Release() {
	if cap(d.own) > keepBytes {
		d.own = nil
	}
	if cap(d.tokens) > keepBytes/24 {
		d.tokens = nil
	}
	if cap(d.text) > keepBytes {
		d.text = nil
	}
	d.buf, d.ctx, d.limits = nil, nil, nil
	docs.Put(d)
}

// keep makes the Doc independent of the bytes that were lent to it.
func (d *Doc) keep() {
	d.own = append(d.own[:0], d.buf...)
	d.buf = d.own
}

// begin makes the Doc ready for an element that starts with data[0]. maybeDecl
// says that an XML declaration may come first.
func (d *Doc) begin(ctx *context, limits *Limits, data []byte, maybeDecl bool) {
	d.buf = data
	d.ctx, d.limits = ctx, limits
	d.machine = machine{state: inTop}
	if maybeDecl {
		d.state = inStart
	}
	d.tokens, d.uris, d.binds, d.stack, d.text = d.tokens[:0], d.uris[:0], d.binds[:0], d.stack[:0], d.text[:0]
}

// Raw is the element as it came, or the stream header with what was before it.
func (d *Doc) Raw() []byte { return d.buf }

// Tokens is the tape.
func (d *Doc) Tokens() []Token { return d.tokens }

// Root is the element: of a stream header, its start tag.
func (d *Doc) Root() Element {
	if len(d.tokens) == 0 || d.tokens[0].Kind != Start {
		return Element{}
	}
	return Element{d: d}
}

// Space is the namespace of a Start or Attr token, or that which an NS token
// declares.
func (d *Doc) Space(t *Token) []byte { return d.uri(t.ns) }

// uri is the text of a namespace number.
func (d *Doc) uri(ns uint16) []byte {
	if ns < firstOwn {
		return knownBytes[ns]
	}
	u := &d.uris[ns-firstOwn]
	if u.s != "" {
		return []byte(u.s)
	}
	return d.buf[u.start:u.end]
}

var knownBytes = func() [][]byte {
	b := make([][]byte, len(knownURIs))
	for i, u := range knownURIs {
		b[i] = []byte(u)
	}
	return b
}()

// name is the qualified name of a token.
func (d *Doc) name(t *Token) []byte { return d.buf[t.Name : t.Name+uint32(t.NameLen)] }

// local is the local part of a token's name.
func (d *Doc) local(t *Token) []byte {
	return d.buf[t.Name+uint32(t.PrefixLen) : t.Name+uint32(t.NameLen)]
}

// prefixOf is the prefix that an NS token declares, empty for the default.
func (d *Doc) prefixOf(t *Token) []byte {
	if t.PrefixLen == 0 {
		return nil
	}
	return d.local(t)
}

// Inherited calls f for every prefix that was declared on the stream header and
// is used in this element: raw bytes that leave for another stream need these
// declared again.
func (d *Doc) Inherited(f func(prefix, uri []byte)) {
	if !d.inherits {
		return
	}
	for i := range d.ctx.prefixes {
		p := &d.ctx.prefixes[i]
		if d.usesPrefix(p.prefix) {
			f([]byte(p.prefix), []byte(p.uri))
		}
	}
}

// usesPrefix reports whether any name of the element has this prefix. It may
// say so of one that the element declares itself, which does no harm: the inner
// declaration counts there.
func (d *Doc) usesPrefix(prefix string) bool {
	for i := range d.tokens {
		t := &d.tokens[i]
		if (t.Kind == Start || t.Kind == Attr) && int(t.PrefixLen) == len(prefix)+1 &&
			string(d.buf[t.Name:t.Name+uint32(len(prefix))]) == prefix {
			return !d.declares(prefix)
		}
	}
	return false
}

// declares reports whether the root declares the prefix itself.
func (d *Doc) declares(prefix string) bool {
	for i := 1; i < len(d.tokens) && (d.tokens[i].Kind == Attr || d.tokens[i].Kind == NS); i++ {
		if t := &d.tokens[i]; t.Kind == NS && string(d.prefixOf(t)) == prefix {
			return true
		}
	}
	return false
}

// Canonical reports whether the raw bytes, with Inherited declared on the root,
// mean the same within a stream whose default namespace is jabber:client. It is
// false for a root with a prefix, and where the default namespace is another.
func (d *Doc) Canonical() bool {
	root := &d.tokens[0]
	return root.PrefixLen == 0 && knownURIs[nsClient] == string(d.uri(root.ns)) && !d.otherDefault
}

const nsClient = 3
