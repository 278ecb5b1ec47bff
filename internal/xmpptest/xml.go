// Package xmpptest plays dialogues: text files with what clients send and what they must
// receive, in the style of the examples in RFC 6120 section 9. A dialogue is played against
// a server in memory or over a socket, in whole or split at each byte. The replies are
// parsed by encoding/xml, never by package parser. CONTRIBUTING.md describes how to write a
// dialogue.
package xmpptest

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// wrap is put before an element of a stream to declare the namespaces of the stream header.
const wrap = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"

// node is an element in the form in which elements are compared: expanded names, attributes
// sorted by name, children in order, text.
type node struct {
	name     xml.Name
	attrs    []xml.Attr
	children []*node
	text     string
}

// errMore means that an element is incomplete.
var errMore = errors.New("more bytes are needed")

// readNode parses the first element of s and returns its length in bytes.
func readNode(s string) (*node, int, error) {
	dec := xml.NewDecoder(strings.NewReader(wrap + s))
	if _, err := dec.Token(); err != nil {
		return nil, 0, err
	}
	var stack []*node
	for {
		tok, err := dec.Token()
		if err != nil {
			var syntax *xml.SyntaxError
			if err == io.EOF || errors.As(err, &syntax) && strings.Contains(syntax.Msg, "unexpected EOF") {
				return nil, 0, errMore
			}
			return nil, 0, err
		}
		switch k := tok.(type) {
		case xml.StartElement:
			n := newNode(k)
			if len(stack) > 0 {
				top := stack[len(stack)-1]
				top.children = append(top.children, n)
			}
			stack = append(stack, n)
		case xml.CharData:
			if len(stack) > 0 {
				stack[len(stack)-1].text += string(k)
			}
		case xml.EndElement:
			if len(stack) == 0 {
				return nil, 0, errors.New("an end tag without a start tag")
			}
			n := stack[len(stack)-1]
			n.trim()
			if stack = stack[:len(stack)-1]; len(stack) == 0 {
				return n, int(dec.InputOffset()) - len(wrap), nil
			}
		}
	}
}

func newNode(k xml.StartElement) *node {
	n := &node{name: k.Name}
	for _, a := range k.Attr {
		if a.Name.Space != "xmlns" && a.Name != (xml.Name{Local: "xmlns"}) {
			n.attrs = append(n.attrs, a)
		}
	}
	slices.SortFunc(n.attrs, func(a, b xml.Attr) int {
		return strings.Compare(a.Name.Space+" "+a.Name.Local, b.Name.Space+" "+b.Name.Local)
	})
	return n
}

// trim removes the white space between child elements.
func (n *node) trim() {
	if len(n.children) > 0 {
		n.text = strings.TrimSpace(n.text)
	}
}

// vars has the values of wildcards.
type vars map[string]string

// matchText compares text with a pattern: {*} matches anything, and {name} matches the same
// text each time.
func (v vars) matchText(pattern, got string) bool {
	if !strings.HasPrefix(pattern, "{") || !strings.HasSuffix(pattern, "}") {
		return pattern == got
	}
	name := pattern[1 : len(pattern)-1]
	if name == "*" {
		return true
	}
	if bound, ok := v[name]; ok {
		return bound == got
	}
	v[name] = got
	return true
}

// expand replaces wildcards that have values.
func (v vars) expand(s string) string {
	for name, value := range v {
		s = strings.ReplaceAll(s, "{"+name+"}", value)
	}
	return s
}

// match compares an element with a pattern and returns the difference as an error. A child
// <any/> in the pattern matches all remaining children.
func (v vars) match(pattern, got *node) error {
	if pattern.name != got.name {
		return fmt.Errorf("element {%s}%s, want {%s}%s", got.name.Space, got.name.Local, pattern.name.Space, pattern.name.Local)
	}
	if len(pattern.attrs) != len(got.attrs) {
		return fmt.Errorf("<%s> has attributes %s, want %s", got.name.Local, attrNames(got), attrNames(pattern))
	}
	for i, a := range pattern.attrs {
		b := got.attrs[i]
		if a.Name != b.Name || !v.matchText(a.Value, b.Value) {
			return fmt.Errorf("<%s> has %s=%q, want %s=%q", got.name.Local, b.Name.Local, b.Value, a.Name.Local, a.Value)
		}
	}
	if !v.matchText(pattern.text, got.text) {
		return fmt.Errorf("<%s> has the text %q, want %q", got.name.Local, got.text, pattern.text)
	}
	for i, p := range pattern.children {
		if p.name.Local == "any" {
			return nil
		}
		if i >= len(got.children) {
			return fmt.Errorf("<%s> has no <%s>", got.name.Local, p.name.Local)
		}
		if err := v.match(p, got.children[i]); err != nil {
			return err
		}
	}
	if len(got.children) > len(pattern.children) {
		return fmt.Errorf("<%s> has an unexpected <%s>", got.name.Local, got.children[len(pattern.children)].name.Local)
	}
	return nil
}

func attrNames(n *node) (names []string) {
	for _, a := range n.attrs {
		names = append(names, a.Name.Local)
	}
	return names
}
