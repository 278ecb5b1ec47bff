package prosody

import (
	"slices"
	"strings"

	"roost/migrate"
	"roost/parser"
)

const nsVCard4 = "urn:ietf:params:xml:ns:vcard-4.0"

// vcard4 adds a vCard of the newer kind (XEP-0292), which Prosody keeps in a node of personal
// eventing, as the older kind (XEP-0054): with the fields that Prosody itself shows to clients
// that ask for that.
func vcard4(b *migrate.Builder, at string, x migrate.XML) {
	tape, err := b.Parse(x)
	if err != nil {
		b.Skip(at, "vCard: %v", err)
		return
	}
	root := tape.Root()
	if root.Is("http://jabber.org/protocol/pubsub", "item") {
		root = root.First()
	}
	if !root.Is(nsVCard4, "vcard") {
		b.Skip(at, "vCard: the element is another one")
		return
	}
	out := &card{b: []byte("<vCard xmlns='" + migrate.VCardKind + "'>")}
	for el := root.First(); el.OK(); el = el.Next() {
		if string(el.Space()) == nsVCard4 {
			out.field(el)
		}
	}
	b.VCard(at, migrate.XML{Text: append(out.b, "</vCard>"...)})
}

// card is a vCard that is being written.
type card struct{ b []byte }

// texts are the fields with a text that have the same name in both kinds, and the name of the
// element with the text.
var texts = map[string]string{
	"fn": "text", "nickname": "text", "title": "text", "role": "text", "categories": "text", "note": "text", "url": "uri", "bday": "date",
}

func child(el parser.Element, name string) string {
	return string(el.Child(nsVCard4, name).AppendText(nil))
}

func (c *card) field(el parser.Element) {
	name := string(el.Local())
	if kind, ok := texts[name]; ok {
		c.text(strings.ToUpper(name), child(el, kind))
		return
	}
	switch name {
	case "n":
		c.group("N", el, nil, "FAMILY", "surname", "GIVEN", "given", "MIDDLE", "additional", "PREFIX", "prefix", "SUFFIX", "suffix")
	case "email":
		c.group("EMAIL", el, []string{"INTERNET"}, "USERID", "text")
	case "tel":
		c.open("TEL", el, nil)
		c.text("NUMBER", strings.TrimPrefix(child(el, "uri"), "tel:"))
		c.add("</TEL>")
	case "adr":
		c.group("ADR", el, nil, "POBOX", "pobox", "EXTADD", "ext", "STREET", "street", "LOCALITY", "locality", "REGION", "region", "PCODE", "code", "CTRY", "country")
	case "org":
		c.group("ORG", el, nil, "ORGNAME", "text")
	case "impp":
		if address, ok := strings.CutPrefix(child(el, "uri"), "xmpp:"); ok {
			c.text("JABBERID", address)
		}
	}
}

func (c *card) add(s string) { c.b = append(c.b, s...) }

// text adds an element with a text, unless that is empty.
func (c *card) text(name, value string) {
	if value != "" {
		c.add("<" + name + ">")
		c.b = parser.AppendEscaped(c.b, value)
		c.add("</" + name + ">")
	}
}

// open adds a start tag, and an empty element for each of these kinds and for whether the
// field is for home or work.
func (c *card) open(name string, el parser.Element, kinds []string) {
	c.add("<" + name + ">")
	if kind := strings.ToUpper(child(el.Child(nsVCard4, "parameters").Child(nsVCard4, "type"), "text")); kind == "HOME" || kind == "WORK" {
		kinds = append(slices.Clone(kinds), kind)
	}
	for _, kind := range kinds {
		c.add("<" + kind + "/>")
	}
}

// group adds an element with children. names are pairs: the name of a child, and that in the
// newer kind.
func (c *card) group(name string, el parser.Element, kinds []string, names ...string) {
	c.open(name, el, kinds)
	for i := 0; i < len(names); i += 2 {
		c.text(names[i], child(el, names[i+1]))
	}
	c.add("</" + name + ">")
}
