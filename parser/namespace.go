package parser

import (
	"strings"
	"sync"
)

// Numbers of namespaces. Those that XMPP uses have fixed numbers, so that
// comparing them is comparing integers and nothing is looked up twice; others
// are numbered per document, behind these.
const (
	nsNone  = 0
	nsXML   = 1
	nsXMLNS = 2
)

// knownURIs are the namespaces with fixed numbers.
var knownURIs = []string{
	"",
	"http://www.w3.org/XML/1998/namespace",
	"http://www.w3.org/2000/xmlns/",
	"jabber:client",
	"http://etherx.jabber.org/streams",
	"jabber:server",
	"urn:ietf:params:xml:ns:xmpp-stanzas",
	"urn:ietf:params:xml:ns:xmpp-streams",
	"urn:ietf:params:xml:ns:xmpp-tls",
	"urn:ietf:params:xml:ns:xmpp-sasl",
	"urn:ietf:params:xml:ns:xmpp-bind",
	"urn:ietf:params:xml:ns:xmpp-session",
	"jabber:iq:roster",
	"jabber:iq:version",
	"jabber:iq:last",
	"jabber:iq:private",
	"jabber:iq:register",
	"jabber:x:data",
	"jabber:x:oob",
	"jabber:x:conference",
	"vcard-temp",
	"vcard-temp:x:update",
	"urn:xmpp:ping",
	"urn:xmpp:time",
	"urn:xmpp:delay",
	"urn:xmpp:receipts",
	"urn:xmpp:sm:3",
	"urn:xmpp:csi:0",
	"urn:xmpp:carbons:2",
	"urn:xmpp:forward:0",
	"urn:xmpp:mam:2",
	"urn:xmpp:sid:0",
	"urn:xmpp:hints",
	"urn:xmpp:chat-markers:0",
	"urn:xmpp:message-correct:0",
	"urn:xmpp:idle:1",
	"urn:xmpp:avatar:metadata",
	"urn:xmpp:eme:0",
	"urn:xmpp:reply:0",
	"urn:xmpp:reactions:0",
	"urn:xmpp:push:0",
	"http://jabber.org/protocol/caps",
	"http://jabber.org/protocol/chatstates",
	"http://jabber.org/protocol/disco#info",
	"http://jabber.org/protocol/disco#items",
	"http://jabber.org/protocol/muc",
	"http://jabber.org/protocol/muc#user",
	"http://jabber.org/protocol/pubsub",
	"http://jabber.org/protocol/pubsub#event",
	"http://jabber.org/protocol/rsm",
	"http://jabber.org/protocol/nick",
	"eu.siacs.conversations.axolotl",
	"http://www.w3.org/1999/xhtml",
	"http://jabber.org/protocol/xhtml-im",
}

// firstOwn is the number of a document's first namespace of its own.
var firstOwn = uint16(len(knownURIs))

// known finds a known namespace by a hash of its length and two of its bytes:
// a Go map was measured to cost a quarter of the whole parse.
var known = func() (t [256]uint8) {
	for i, uri := range knownURIs[1:] {
		h := uriHash(uri)
		for t[h] != 0 {
			h++
		}
		t[h] = uint8(i + 1)
	}
	return t
}()

func uriHash[T string | []byte](uri T) uint8 {
	n := len(uri)
	return uint8(n*7) ^ uri[n-1]*5 ^ uri[n*2/3]*29
}

// lookupKnown returns the number of a known namespace, 0 if it is not known.
func lookupKnown(uri []byte) uint16 {
	if len(uri) == 0 {
		return nsNone
	}
	for h := uriHash(uri); known[h] != 0; h++ {
		if knownURIs[known[h]] == string(uri) {
			return uint16(known[h])
		}
	}
	return nsNone
}

// context is what the header of a stream leaves: its name, which the closing
// tag repeats, and the namespaces that it declared. Nearly all clients send the
// same, so contexts are shared.
type context struct {
	root      string // the header's qualified name
	defaultNS prefixed
	prefixes  []prefixed
}

// prefixed is a declaration of the header; number is 0 for a namespace without
// a fixed number.
type prefixed struct {
	prefix, uri string
	number      uint16
}

// contexts are the shared contexts. Their number is bounded: past that, a
// stream with an unusual header pays for its own.
var contexts struct {
	sync.RWMutex
	m map[string]*context
}

const maxContexts = 4096

// contextOf returns the context of a header.
func contextOf(d *Doc) *context {
	key := d.scratch[:0]
	root := &d.tokens[0]
	key = append(key, d.buf[root.Name:root.Name+uint32(root.NameLen)]...)
	for i := range d.tokens {
		if t := &d.tokens[i]; t.Kind == NS {
			key = append(key, 0)
			key = append(key, d.prefixOf(t)...)
			key = append(key, 0)
			key = append(key, d.uri(t.ns)...)
		}
	}
	d.scratch = key
	contexts.RLock()
	c := contexts.m[string(key)]
	contexts.RUnlock()
	if c != nil {
		return c
	}
	return newContext(string(key))
}

func newContext(key string) *context {
	parts := strings.Split(key, "\x00")
	c := &context{root: parts[0]}
	for i := 1; i+1 < len(parts); i += 2 {
		p := prefixed{parts[i], parts[i+1], lookupKnown([]byte(parts[i+1]))}
		if p.prefix == "" {
			c.defaultNS = p
		} else {
			c.prefixes = append(c.prefixes, p)
		}
	}
	contexts.Lock()
	defer contexts.Unlock()
	if contexts.m == nil {
		contexts.m = make(map[string]*context)
	}
	if len(contexts.m) < maxContexts {
		contexts.m[key] = c
	}
	return c
}
