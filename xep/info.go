package xep

import (
	"cmp"
	"slices"

	"roost/parser"
	"roost/router"
)

// software is the server's name in service discovery and XEP-0092.
const software = "roost"

// identity describes an entity (XEP-0030 section 3.1,
// https://xmpp.org/extensions/xep-0030.html#info-basic).
type identity struct {
	category, kind, lang, name string
}

// info is what service discovery returns about an entity, sorted and without duplicates, as
// the verification string of XEP-0115 requires.
type info struct {
	identities []identity
	features   []string
	forms      []router.Form
}

// serverInfo collects what the registered extensions publish about the server.
func serverInfo(r *router.Router) info {
	i := info{identities: []identity{{category: "server", kind: "im", name: software}}}
	for _, x := range r.Extensions() {
		if x.Offered == nil || x.Offered() {
			i.features = append(i.features, x.Domain...)
		}
		if x.Forms != nil {
			i.forms = append(i.forms, x.Forms()...)
		}
	}
	return i.sort()
}

// accountInfo collects what the registered extensions publish about an account.
func accountInfo(r *router.Router) info {
	i := info{identities: []identity{{category: "account", kind: "registered"}}}
	for _, x := range r.Extensions() {
		i.features = append(i.features, x.Account...)
	}
	return i.sort()
}

// sort puts everything in the order of XEP-0115 section 5.1, by octet.
func (i info) sort() info {
	slices.SortFunc(i.identities, func(a, b identity) int {
		return cmp.Or(cmp.Compare(a.category, b.category), cmp.Compare(a.kind, b.kind), cmp.Compare(a.lang, b.lang))
	})
	slices.Sort(i.features)
	i.features = slices.Compact(i.features)
	i.forms = slices.Clone(i.forms)
	slices.SortFunc(i.forms, func(a, b router.Form) int { return cmp.Compare(a.Type, b.Type) })
	for n := range i.forms {
		f := &i.forms[n]
		f.Fields = slices.Clone(f.Fields)
		slices.SortFunc(f.Fields, func(a, b router.Field) int { return cmp.Compare(a.Var, b.Var) })
	}
	return i
}

// appendXML appends the content of the <query/> of disco#info.
func (i info) appendXML(b []byte) []byte {
	for _, id := range i.identities {
		b = append(b, "<identity"...)
		b = appendAttr(b, "category", id.category)
		b = appendAttr(b, "type", id.kind)
		if id.lang != "" {
			b = appendAttr(b, "xml:lang", id.lang)
		}
		if id.name != "" {
			b = appendAttr(b, "name", id.name)
		}
		b = append(b, "/>"...)
	}
	for _, f := range i.features {
		b = append(b, "<feature"...)
		b = appendAttr(b, "var", f)
		b = append(b, "/>"...)
	}
	for _, f := range i.forms {
		b = appendForm(b, f)
	}
	return b
}

// appendForm appends a data form of type 'result' (XEP-0128).
func appendForm(b []byte, f router.Form) []byte {
	b = append(b, "<x xmlns='jabber:x:data' type='result'>"...)
	b = appendField(b, router.Field{Var: "FORM_TYPE", Type: "hidden", Values: []string{f.Type}})
	for _, field := range f.Fields {
		b = appendField(b, field)
	}
	return append(b, "</x>"...)
}

func appendField(b []byte, f router.Field) []byte {
	b = append(b, "<field"...)
	b = appendAttr(b, "var", f.Var)
	if f.Type != "" {
		b = appendAttr(b, "type", f.Type)
	}
	b = append(b, '>')
	for _, v := range f.Values {
		b = append(b, "<value>"...)
		b = parser.AppendEscaped(b, v)
		b = append(b, "</value>"...)
	}
	return append(b, "</field>"...)
}

func appendAttr(b []byte, name, value string) []byte {
	b = append(b, ' ')
	b = append(b, name...)
	b = append(b, "='"...)
	b = parser.AppendEscaped(b, value)
	return append(b, '\'')
}
