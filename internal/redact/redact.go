// Package redact hides private text and credentials in copies of the units of a stream, for
// administrators who look for a fault.
//
// A unit is parsed with package parser, as the server itself has parsed it, and is copied
// but for the bytes that are hidden. What cannot be parsed is not shown at all.
package redact

import (
	"bytes"

	"roost/parser"
)

// What is written instead of something hidden.
const (
	Hidden = "…"   // private text
	Secret = "***" // a credential
)

// closeTag is a unit that is not an element: the end of a stream.
const closeTag = "</stream:stream>"

// maxShown is the length of the longest attribute value that is shown without Text, in
// bytes: that of the longest JID (RFC 7622 section 3.1).
const maxShown = 3*1023 + 2

// Redactor redacts one unit after another. It must not be used by two goroutines at once.
type Redactor struct {
	Text    bool // show text and all values of attributes, but for credentials
	scratch *parser.Scratch

	// The unit.
	src    []byte
	tokens []parser.Token
	next   int // index of the next token
	dst    []byte
	copied int // bytes of src that are copied or replaced
}

// New returns a Redactor.
func New() *Redactor {
	const most = 1 << 30 // what the server has accepted or sent is within its own limits
	return &Redactor{scratch: parser.NewScratch(parser.Limits{
		MaxStanza: most, MaxRestricted: most, MaxDepth: most, MaxAttrs: most, MaxNamespaces: most, MaxName: most,
	})}
}

// Append appends a redacted copy of a unit: a first-level element, or the end of a stream.
// scope are the namespaces that are declared outside it, as attributes of a start tag. It
// reports false, and appends nothing, if the unit cannot be parsed.
func (r *Redactor) Append(dst, scope, unit []byte) ([]byte, bool) {
	if string(unit) == closeTag {
		return append(dst, unit...), true
	}
	root, ok := r.parse(scope, unit)
	if !ok {
		return dst, false
	}
	tape := r.scratch.Tape()
	r.src, r.tokens, r.next, r.dst, r.copied = unit, tape.Tokens(), 0, dst, 0
	r.element(root, false)
	dst = append(r.dst, unit[r.copied:]...)
	r.src, r.tokens, r.dst = nil, nil, nil
	return dst, true
}

// AppendStart is Append for a unit that is not there as a whole. It appends only its start
// tag.
func (r *Redactor) AppendStart(dst, scope, unit []byte) ([]byte, bool) {
	start := startTag(unit)
	if start == nil {
		return dst, false
	}
	dst, ok := r.Append(dst, scope, append(start, "/>"...))
	if ok {
		dst = append(bytes.TrimSuffix(dst, []byte("/>")), ">"+Hidden...)
	}
	return dst, ok
}

// startTag returns a copy of the start tag of an element without its end: '>' or '/>'. It
// returns nil if there is no end.
func startTag(unit []byte) []byte {
	quote := byte(0)
	for i, c := range unit {
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '>':
			return bytes.Clone(bytes.TrimSuffix(unit[:i], []byte("/")))
		}
	}
	return nil
}

// parse parses a unit. The result is valid until the next call.
func (r *Redactor) parse(scope, unit []byte) (root parser.Element, ok bool) {
	var p parser.Parser
	defer p.Free(r.scratch)
	header := append(append([]byte("<stream"), scope...), '>')
	if ev, n, err := p.Next(r.scratch, header); ev != parser.StreamOpen || n != len(header) || err != nil {
		return parser.Element{}, false
	}
	ev, n, err := p.Next(r.scratch, unit)
	return r.scratch.Tape().Root(), ev == parser.Stanza && n == len(unit) && err == nil
}

// element redacts the element e, whose start tag is the next token. secret: it is within a
// credential.
func (r *Redactor) element(e parser.Element, secret bool) {
	end := int(r.tokens[r.next].Link)
	secret = secret || isSecret(e)
	child := e.First()
	for r.next++; r.next < end; {
		t := &r.tokens[r.next]
		if t.Kind == parser.Start {
			r.element(child, secret)
			child = child.Next()
			continue
		}
		r.next++
		if t.Kind == parser.Text || t.Kind == parser.CDATA {
			r.text(t, secret)
			continue
		}
		r.attribute(t, secret)
	}
}

// text redacts character data. White space between elements says nothing.
func (r *Redactor) text(t *parser.Token, secret bool) {
	switch {
	case len(bytes.TrimSpace(r.src[t.Pos:t.End])) == 0:
	case secret:
		r.replace(t.Pos, t.End, Secret)
	case !r.Text:
		r.replace(t.Pos, t.End, Hidden)
	}
}

// attribute redacts the value of an attribute or of a declaration of a namespace.
func (r *Redactor) attribute(t *parser.Token, secret bool) {
	name := r.src[t.Pos : t.Pos+uint32(t.NameLen)]
	switch {
	case t.Val == t.End:
	case t.Kind == parser.Attr && (secret || isSecretName(name)):
		r.replace(t.Val, t.End, Secret)
	case r.Text:
	case t.End-t.Val > maxShown || t.Kind == parser.Attr && !shown[string(name)]:
		r.replace(t.Val, t.End, Hidden)
	}
}

// replace writes text instead of a part of the unit.
func (r *Redactor) replace(from, to uint32, text string) {
	r.dst = append(r.dst, r.src[r.copied:from]...)
	r.dst = append(r.dst, text...)
	r.copied = int(to)
}
