package parser

import "sync"

// context is what the header of a stream leaves behind: its name, which the
// closing tag has to repeat, and the namespaces that it declared. It never
// changes. Most clients send the same header, so contexts are shared: a stream
// that idles costs a pointer.
type context struct {
	name       []byte // the qualified name
	space      []byte // the default namespace; empty: none
	hasDefault bool
	prefixes   []prefix
}

type prefix struct {
	name, uri []byte
	first     uint32 // index of the first prefix with this uri
}

const (
	maxContext   = 2 << 10 // bytes of names and namespaces that a header may leave
	maxInterned  = 256     // shared contexts
	internedSize = 512     // bytes of a context that may be shared
)

// contexts has the shared contexts, by their bytes. When it is full it is
// emptied: streams keep what they have, and the common ones come back.
var contexts struct {
	sync.Mutex
	m map[string]*context
}

// newContext makes the context of the header in d.
func newContext(d *Doc) (*context, *Error) {
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

// contextKey has all that a context consists of. Names and namespaces have no
// zero bytes, so that two headers with one key are the same. It is behind what
// text has.
func (d *Doc) contextKey() []byte {
	root := &d.tape[0]
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
	d.text = key[:n]
	return key[n:]
}

// makeContext allocates a context that owns its bytes.
func makeContext(d *Doc) *context {
	c := &context{name: append([]byte(nil), d.name(&d.tape[0])...)}
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
		p := prefix{name: append([]byte(nil), d.local(t)...), uri: uri}
		for p.first < uint32(len(c.prefixes)) && string(c.prefixes[p.first].uri) != string(uri) {
			p.first++
		}
		c.prefixes = append(c.prefixes, p)
	}
	return c
}
