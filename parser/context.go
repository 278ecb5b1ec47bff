package parser

import (
	"bytes"
	"sync"
	"unsafe"
)

// context is what the parser keeps of a stream header: its name, which the closing tag
// must repeat, the namespaces that it declares, and its language. It is immutable. Most
// clients send the same header, so contexts are shared, and an idle stream costs only a
// pointer.
type context struct {
	name       []byte // the qualified name
	space      []byte // the default namespace; empty: none
	hasDefault bool
	prefixes   []prefix
	lang       []byte // xml:lang; empty: none
}

type prefix struct {
	name, uri []byte
	first     uint32 // index of the first prefix with this uri
}

const (
	maxContext   = 2 << 10 // limit in bytes of the names and namespaces of a header, escaped: see exceedsContext
	maxInterned  = 256     // limit of shared contexts
	internedSize = 512     // limit in bytes of a context that is shared
	maxLang      = 64      // limit in bytes of a language tag (BCP 47 requires 35)
)

// contexts holds the shared contexts, by their keys. When it is full it is emptied:
// streams keep their contexts, and common ones are added again.
var contexts struct {
	sync.Mutex
	m map[string]*context
}

// newContext returns the context of the header in d.
func newContext(d *Tape) (*context, *Error) {
	key := d.contextKey()
	if exceedsContext(key) {
		return nil, ErrHeaderContext
	}
	if len(key) > internedSize {
		return makeContext(d), nil
	}
	contexts.Lock()
	defer contexts.Unlock()
	if c := contexts.m[string(key)]; c != nil {
		return c, nil
	}
	if contexts.m == nil || len(contexts.m) >= maxInterned {
		contexts.m = make(map[string]*context)
	}
	c := makeContext(d)
	contexts.m[string(key)] = c
	return c, nil
}

// exceedsContext reports whether what a header declares exceeds maxContext. What counts is the size that it
// has in a stanza that is passed on, as a part of which each declaration may be written: in a few
// bytes, a client could otherwise send thousands.
func exceedsContext(key []byte) bool {
	const longest = len("&apos;") // of a byte
	return len(key)*longest > maxContext && len(AppendEscaped(nil, key)) > maxContext
}

// contextKey returns a key with everything that the context consists of. Names and
// namespaces do not contain the bytes 0 and 1, so two headers with the same key have the
// same context. The key uses the spare capacity of text.
func (d *Tape) contextKey() []byte {
	root, lang := &d.tape[0], d.headerLang()
	n := len(d.text)
	key := append(d.text, d.name(root)...)
	for i := 1; i < len(d.tape); i++ {
		t := &d.tape[i]
		if t.Kind != NS {
			continue
		}
		key = append(key, 0)
		if t.PrefixLen != 0 {
			key = append(key, d.local(t)...)
		}
		key = append(key, 0)
		key = appendValue(key, d.src[t.Val:t.End])
	}
	if len(lang) > 0 {
		key = append(append(key, 1), lang...)
	}
	d.text = key[:n]
	return key[n:]
}

// makeContext allocates a context that owns its bytes.
func makeContext(d *Tape) *context {
	c := &context{name: bytes.Clone(d.name(&d.tape[0])), lang: bytes.Clone(d.headerLang())}
	for i := 1; i < len(d.tape); i++ {
		t := &d.tape[i]
		if t.Kind != NS {
			continue
		}
		uri := appendValue(nil, d.src[t.Val:t.End])
		if string(d.name(t)) == "xmlns:xml" {
			continue // built in
		}
		if t.PrefixLen == 0 {
			c.space, c.hasDefault = uri, len(uri) > 0
			continue
		}
		p := prefix{name: bytes.Clone(d.local(t)), uri: uri}
		for p.first < uint32(len(c.prefixes)) && string(c.prefixes[p.first].uri) != string(uri) {
			p.first++
		}
		c.prefixes = append(c.prefixes, p)
	}
	return c
}

// size returns the memory in bytes of a context that belongs to one stream alone; 0 for
// one that is small enough to be shared.
func (c *context) size() int {
	n := len(c.name) + len(c.space) + len(c.lang)
	for i := range c.prefixes {
		n += len(c.prefixes[i].name) + len(c.prefixes[i].uri)
	}
	if n+2*len(c.prefixes) <= internedSize {
		return 0
	}
	return n + int(unsafe.Sizeof(*c)) + cap(c.prefixes)*int(unsafe.Sizeof(prefix{}))
}

// headerLang returns the language of a header, nil if it is too long for a language tag.
func (d *Tape) headerLang() []byte {
	lang := d.Root().AttrNS(uriXML, "lang")
	if len(lang) > maxLang {
		return nil
	}
	return lang
}
