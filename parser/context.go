package parser

import (
	"bytes"
	"sync"
	"unsafe"
)

// context is what the header of a stream leaves behind: its name, which the
// closing tag has to repeat, the namespaces that it declared and its language.
// It never changes. Most clients send the same header, so contexts are shared: a stream
// that idles costs a pointer.
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
	maxContext   = 2 << 10 // bytes of names and namespaces that a header may leave
	maxInterned  = 256     // shared contexts
	internedSize = 512     // bytes of a context that may be shared
	maxLang      = 64      // bytes of a language tag that is kept (BCP 47 asks for 35)
)

// contexts has the shared contexts, by their bytes. When it is full it is
// emptied: streams keep what they have, and the common ones come back.
var contexts struct {
	sync.Mutex
	m map[string]*context
}

// newContext makes the context of the header in d.
func newContext(d *Tape) (*context, *Error) {
	key := d.contextKey()
	if len(key) > maxContext {
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

// contextKey has all that a context consists of. Names and namespaces have
// neither of the bytes 0 and 1, so that two headers with one key are the same.
// It is behind what text has.
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

// size is the context's memory in bytes as far as it is this stream's alone; 0
// for one that is small enough to be shared.
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

// headerLang is the language of a header, nil if it is too long to be one.
func (d *Tape) headerLang() []byte {
	lang := d.Root().AttrNS(uriXML, "lang")
	if len(lang) > maxLang {
		return nil
	}
	return lang
}
