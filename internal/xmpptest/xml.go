// Package xmpptest plays dialogues: text files of what clients send and what
// the server has to answer, as RFC 6120 section 9 prints them. A dialogue is
// played against anything that can be dialled, in memory or over a socket,
// whole or cut at every byte. What comes back is read by encoding/xml, never by
// our own parser. CONTRIBUTING.md tells how to write one.
package xmpptest

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// wrap gives a piece of a stream the namespaces that its header declared.
const wrap = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"

// node is an element as it is compared: expanded names, attributes in order of
// their names, children in order, text.
type node struct {
	name     xml.Name
	attrs    []xml.Attr
	children []*node
	text     string
}

// errMore says that an element is not whole yet.
var errMore = errors.New("more bytes are needed")

// readNode reads the first element of s and tells how long it is.
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
				return nil, 0, errors.New("an end tag without its start")
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

// trim drops the white space with which a dialogue is laid out.
func (n *node) trim() {
	if len(n.children) > 0 {
		n.text = strings.TrimSpace(n.text)
	}
}

// vars are what wildcards have been bound to.
type vars map[string]string

// matchText compares text with a pattern: {*} stands for anything, {name} for
// something that is the same each time.
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

// expand puts what is bound in the place of wildcards.
func (v vars) expand(s string) string {
	for name, value := range v {
		s = strings.ReplaceAll(s, "{"+name+"}", value)
	}
	return s
}

// match compares an element with a pattern and says where they differ. A child
// <any/> in the pattern stands for whatever children follow.
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
		return fmt.Errorf("<%s> has a <%s> too much", got.name.Local, got.children[len(pattern.children)].name.Local)
	}
	return nil
}

func attrNames(n *node) (names []string) {
	for _, a := range n.attrs {
		names = append(names, a.Name.Local)
	}
	return names
}
