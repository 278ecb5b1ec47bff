package xep

import (
	"crypto/sha1"
	"encoding/base64"
	"slices"

	"roost/router"
	"roost/session"
)

const nsCaps = "http://jabber.org/protocol/caps"

// capsNode identifies the software: "A URI that uniquely identifies a software application"
// (XEP-0115 section 4, https://xmpp.org/extensions/xep-0115.html#protocol).
const capsNode = "urn:roost:server"

// caps advertises the server's capabilities in the stream features (XEP-0115 section 6.3,
// https://xmpp.org/extensions/xep-0115.html#stream), so that clients that have cached them
// need not query. Unauthenticated clients could not query them, so they are not sent before
// authentication. disco.go answers queries for the node.
func caps(d *discovery) router.Extension {
	return router.Extension{
		Name:    "caps",
		XEP:     115,
		Version: "1.6.0",
		Title:   "Entity Capabilities",
		Domain:  []string{nsCaps},
		Features: []session.Feature{{Offer: func(_ *session.Session, b []byte) []byte {
			b = append(b, "<c xmlns='"+nsCaps+"' hash='sha-1' node='"+capsNode+"' ver='"...)
			return append(append(b, d.published.Load().ver...), "'/>"...)
		}}},
	}
}

// ver returns the verification string: "In order to help prevent poisoning of entity
// capabilities information, the value of the verification string MUST be generated
// according to the following method" (XEP-0115 section 5.1,
// https://xmpp.org/extensions/xep-0115.html#ver-gen). Section 9.1 makes SHA-1 mandatory; no
// secret depends on it.
func (i info) ver() string {
	i = i.sort()
	var s []byte
	add := func(text string) { s = append(append(s, text...), '<') }
	for _, id := range i.identities {
		add(id.category + "/" + id.kind + "/" + id.lang + "/" + id.name)
	}
	for _, f := range i.features {
		add(f)
	}
	for _, f := range i.forms {
		add(f.Type)
		for _, field := range f.Fields {
			add(field.Var)
			for _, v := range slices.Sorted(slices.Values(field.Values)) {
				add(v)
			}
		}
	}
	sum := sha1.Sum(s)
	return base64.StdEncoding.EncodeToString(sum[:])
}
