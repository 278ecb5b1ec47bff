package stanza

import (
	"bytes"
	"time"

	"roost/parser"
)

// Head is the start tag of a stanza that the server generates. Empty fields are omitted.
type Head struct {
	Kind         Kind
	Type         Type
	ID, From, To string
}

// AppendStart appends the start tag. The caller appends the content and the end tag.
func (h Head) AppendStart(dst []byte) []byte {
	dst = h.appendOpen(dst)
	return append(dst, '>')
}

// AppendEmpty appends a stanza without content.
func (h Head) AppendEmpty(dst []byte) []byte {
	dst = h.appendOpen(dst)
	return append(dst, "/>"...)
}

func (h Head) appendOpen(dst []byte) []byte {
	dst = append(dst, '<')
	dst = append(dst, h.Kind.String()...)
	if t := h.Type.String(); t != "" && h.Type != Normal {
		dst = append(dst, " type='"...)
		dst = append(dst, t...)
		dst = append(dst, '\'')
	}
	if h.ID != "" {
		dst = appendAttr(dst, "id", h.ID)
	}
	if h.From != "" {
		dst = appendAttr(dst, "from", h.From)
	}
	if h.To != "" {
		dst = appendAttr(dst, "to", h.To)
	}
	return dst
}

func appendAttr[T string | []byte](dst []byte, name string, value T) []byte {
	dst = append(dst, ' ')
	dst = append(dst, name...)
	dst = append(dst, "='"...)
	dst = parser.AppendEscaped(dst, value)
	return append(dst, '\'')
}

// Edit specifies how AppendForward changes a stanza.
type Edit struct {
	From   string // the new 'from', none if empty; the client's own is dropped
	To     string // the new 'to'; if empty, the client's own is kept
	DropID bool   // omit 'id'
	DropTo bool   // omit 'to'
	Embed  bool   // the result goes inside another element (XEP-0297), so declare its namespace
}

// AppendForward appends st as it is sent to its recipient: unchanged except for its
// addresses. RFC 6120 section 8.1.2.1
// (https://www.rfc-editor.org/rfc/rfc6120#section-8.1.2.1): the server stamps 'from'.
// Section 8.4 (https://www.rfc-editor.org/rfc/rfc6120#section-8.4): unknown content is
// forwarded unmodified. Prefixes and the language that the client declared in its stream
// header are declared again, because the recipient's stream header does not declare them
// (section 8.1.5, https://www.rfc-editor.org/rfc/rfc6120#section-8.1.5).
func AppendForward(dst []byte, st *Stanza, e Edit) []byte {
	if !st.Tape.Canonical() {
		return appendForwardSlow(dst, st, e)
	}
	raw, tape := st.Tape.Raw(), st.Tape.Tokens()
	root := &tape[0]
	dst = append(dst, raw[:root.Pos+uint32(root.NameLen)]...)
	dst = e.appendNamespace(dst)
	dst = e.appendAddresses(dst)
	for i := 1; i < len(tape) && (tape[i].Kind == parser.Attr || tape[i].Kind == parser.NS); i++ {
		t := &tape[i]
		if name := raw[t.Pos : t.Pos+uint32(t.NameLen)]; e.drops(name) || string(name) == "xmlns" {
			continue // the recipient's stream has jabber:client as its default
		}
		dst = append(dst, ' ')
		dst = append(dst, raw[t.Pos:t.End+1]...) // including the closing quote
	}
	dst = appendInherited(dst, st.Tape)
	dst = appendLang(dst, st)
	rest := root.Val - 1
	if raw[rest-1] == '/' {
		rest--
	}
	for _, el := range st.omitted {
		from := uint32(el.Offset())
		dst = append(dst, raw[rest:from]...)
		rest = from + uint32(len(el.Raw()))
	}
	return append(dst, raw[rest:]...)
}

// appendForwardSlow is AppendForward for a stanza whose bytes cannot be forwarded as they
// are: it first rewrites the stanza with the declarations that it needs.
func appendForwardSlow(dst []byte, st *Stanza, e Edit) []byte {
	name, attrs, rest := splitStart(st.Root.AppendXML(nil))
	dst = append(dst, name...)
	if !declaresDefault(attrs) {
		dst = e.appendNamespace(dst)
	}
	dst = e.appendAddresses(dst)
	for len(attrs) > 0 {
		var key, whole []byte
		key, whole, attrs = nextAttr(attrs)
		if e.drops(key) {
			continue
		}
		dst = append(dst, ' ')
		dst = append(dst, whole...)
	}
	dst = appendLang(dst, st)
	if st.Omits() {
		return appendChildren(dst, st, name[1:])
	}
	return append(dst, rest...)
}

// appendChildren appends the end of the start tag of a stanza with this name, those of its
// children that are not omitted, and its end tag.
func appendChildren(dst []byte, st *Stanza, name []byte) []byte {
	dst = append(dst, '>')
	omitted := st.omitted
	for el := st.Root.First(); el.OK(); el = el.Next() {
		if len(omitted) > 0 && el == omitted[0] {
			omitted = omitted[1:]
			continue
		}
		dst = el.AppendXML(dst)
	}
	dst = append(dst, "</"...)
	dst = append(dst, name...)
	return append(dst, '>')
}

func (e *Edit) appendAddresses(dst []byte) []byte {
	if e.From != "" {
		dst = appendAttr(dst, "from", e.From)
	}
	if e.To != "" {
		dst = appendAttr(dst, "to", e.To)
	}
	return dst
}

// appendNamespace appends the declaration that an embedded stanza needs, because the
// default namespace of the element around it differs from that of the recipient's stream.
func (e *Edit) appendNamespace(dst []byte) []byte {
	if e.Embed {
		dst = append(dst, " xmlns='"+NSClient+"'"...)
	}
	return dst
}

// declaresDefault reports whether a validated list of attributes declares the default
// namespace.
func declaresDefault(attrs []byte) bool {
	for len(attrs) > 0 {
		var key []byte
		if key, _, attrs = nextAttr(attrs); string(key) == "xmlns" {
			return true
		}
	}
	return false
}

// drops reports whether an attribute that the client wrote is omitted.
func (e *Edit) drops(name []byte) bool {
	switch string(name) {
	case "from":
		return true
	case "to":
		return e.To != "" || e.DropTo
	case "id":
		return e.DropID
	}
	return false
}

func appendInherited(dst []byte, d *parser.Tape) []byte {
	d.Inherited(func(prefix, uri []byte) {
		dst = append(dst, " xmlns:"...)
		dst = append(dst, prefix...)
		dst = append(dst, "='"...)
		dst = parser.AppendEscaped(dst, uri)
		dst = append(dst, '\'')
	})
	return dst
}

// appendLang appends the language of the client's stream if the stanza does not specify its
// own.
func appendLang(dst []byte, st *Stanza) []byte {
	if lang := st.Tape.InheritedLang(); len(lang) > 0 && st.Lang() == nil {
		dst = appendAttr(dst, "xml:lang", lang)
	}
	return dst
}

// splitStart splits a validated stanza after its name and after its attributes: "<iq", "
// a='b'", ">…". The parser has validated the bytes, so this cannot fail.
func splitStart(raw []byte) (name, attrs, rest []byte) {
	n := bytes.IndexAny(raw, " \t\r\n/>")
	end := n
	for raw[end] != '>' && raw[end] != '/' {
		switch q := raw[end]; q {
		case '\'', '"':
			end += 1 + bytes.IndexByte(raw[end+1:], q)
		}
		end++
	}
	return raw[:n], raw[n:end], raw[end:]
}

// nextAttr splits the first attribute off a validated list.
func nextAttr(attrs []byte) (key, whole, rest []byte) {
	attrs = bytes.TrimLeft(attrs, " \t\r\n")
	if len(attrs) == 0 {
		return nil, nil, nil
	}
	eq := bytes.IndexByte(attrs, '=')
	open := eq + 1
	for attrs[open] != '\'' && attrs[open] != '"' {
		open++
	}
	end := open + 2 + bytes.IndexByte(attrs[open+1:], attrs[open])
	key = bytes.TrimRight(attrs[:eq], " \t\r\n")
	return key, attrs[:end], attrs[end:]
}

// From returns the sender of a complete stanza, as it is written in its start tag: escaped,
// and nil if there is none.
func From(whole []byte) []byte {
	_, attrs, _ := splitStart(whole)
	for len(attrs) > 0 {
		var key, attr []byte
		if key, attr, attrs = nextAttr(attrs); string(key) == "from" {
			return attr[bytes.IndexAny(attr, `'"`)+1 : len(attr)-1]
		}
	}
	return nil
}

// AppendInside appends a complete stanza with child as its last child element.
func AppendInside(dst, whole, child []byte) []byte {
	if bytes.HasSuffix(whole, []byte("/>")) && selfClosed(whole) {
		name, _, _ := splitStart(whole)
		dst = append(dst, whole[:len(whole)-2]...)
		dst = append(dst, '>')
		dst = append(dst, child...)
		dst = append(dst, "</"...)
		dst = append(dst, name[1:]...)
		return append(dst, '>')
	}
	end := bytes.LastIndexByte(whole, '<')
	dst = append(dst, whole[:end]...)
	dst = append(dst, child...)
	return append(dst, whole[end:]...)
}

// selfClosed reports whether the stanza is a single empty-element tag.
func selfClosed(whole []byte) bool {
	_, _, rest := splitStart(whole)
	return len(rest) == 2
}

// AppendDelay appends the delay stamp of a stored stanza (XEP-0203,
// https://xmpp.org/extensions/xep-0203.html#protocol). by is the entity that stored it, at
// is the time of receipt.
func AppendDelay(dst []byte, by string, at time.Time) []byte {
	dst = append(dst, "<delay xmlns='"+NSDelay+"'"...)
	dst = appendAttr(dst, "from", by)
	dst = append(dst, " stamp='"...)
	dst = at.UTC().AppendFormat(dst, delayStamp)
	return append(dst, "'/>"...)
}

// delayStamp is the format of the time in a delay stamp. All stamps are equally long.
const delayStamp = "2006-01-02T15:04:05.000Z"

// CutDelay removes the delay stamp that is the last child of a complete stanza, where
// AppendInside has put what AppendDelay wrote. It changes whole, and returns the stanza
// without the stamp and the stamp's time. It panics if there is none.
func CutDelay(whole []byte) (rest []byte, at time.Time) {
	end := bytes.LastIndexByte(whole, '<') // of the end tag
	begin := bytes.LastIndex(whole[:end], []byte("<delay xmlns='"+NSDelay+"'"))
	value := end - len("'/>")
	at, err := time.Parse(delayStamp, string(whole[value-len(delayStamp):value]))
	if begin < 0 || err != nil {
		panic("stanza: BUG: no delay stamp to cut")
	}
	return append(whole[:begin], whole[end:]...), at
}
