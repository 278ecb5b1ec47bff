package pie

import (
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
	"time"

	"roost/migrate"
	"roost/parser"
	"roost/stanza"
	"roost/store"
)

// part reads a child of user. Those with many children are read child by child.
func (f *file) part(start xml.StartElement, scope string) error {
	at, inner := f.at(), withScope(scope, start)
	each := func(add func(at string, x migrate.XML)) error {
		return f.children(func(xml.StartElement) error {
			at := f.at()
			text, err := f.raw()
			if err == nil {
				add(at, migrate.XML{Scope: inner, Text: text})
			}
			return err
		})
	}
	whole := func(add func(at string, x migrate.XML)) error {
		text, err := f.raw()
		if err == nil {
			add(at, migrate.XML{Scope: scope, Text: text})
		}
		return err
	}
	switch (xml.Name{Space: start.Name.Space, Local: start.Name.Local}) {
	case xml.Name{Space: nsSCRAM, Local: "scram-credentials"}:
		return whole(f.keys)
	case xml.Name{Space: nsRoster, Local: "query"}:
		return each(f.contact)
	case xml.Name{Space: nsPie, Local: "offline-messages"}:
		return each(func(at string, x migrate.XML) { f.b.Message(at, x, f.from.Now) })
	case xml.Name{Space: stanza.NSClient, Local: "presence"}:
		return whole(func(at string, x migrate.XML) { f.b.Request(at, x, f.from.Now) })
	case xml.Name{Space: migrate.PrivateKind, Local: "query"}:
		return each(f.b.Private)
	case xml.Name{Space: migrate.VCardKind, Local: "vCard"}:
		return whole(f.b.VCard)
	case xml.Name{Space: nsPrivacy, Local: "query"}:
		return whole(f.privacy)
	case xml.Name{Space: nsBlocking, Local: "blocklist"}:
		return each(f.blocked)
	case xml.Name{Space: nsAccount, Local: "account"}:
		return whole(f.account)
	}
	what := fmt.Sprintf("the element <%s xmlns='%s'>", start.Name.Local, start.Name.Space)
	switch {
	case start.Name.Local == "pubsub":
		what = "personal eventing (PEP)"
	case start.Name.Space == nsArchive:
		what = "the message archive"
	}
	f.b.Skip(at, "%s is not imported", what)
	return f.skip()
}

// parse parses an element, and reports if that is not possible.
func (f *file) parse(at string, x migrate.XML) (root parser.Element, ok bool) {
	tape, err := f.b.Parse(x)
	if err != nil {
		f.b.Skip(at, "%v", err)
		return root, false
	}
	return tape.Root(), true
}

// keys adds the keys of a mechanism.
func (f *file) keys(at string, x migrate.XML) {
	root, ok := f.parse(at, x)
	if !ok {
		return
	}
	value := func(name string) string { return strings.TrimSpace(string(root.Child(nsSCRAM, name).AppendText(nil))) }
	mechanism := string(root.Attr("mechanism"))
	iterations, err := strconv.Atoi(value("iter-count"))
	if err != nil {
		f.b.Skip(at, "keys for %s: the iteration count is not a number", mechanism)
		return
	}
	salt, stored, server := value("salt"), value("stored-key"), value("server-key")
	if inner, ok := twice(mechanism, stored); ok {
		// COMPAT: ejabberd 23.01 encodes what is encoded already.
		stored = inner
		server, salt = decoded(server), decoded(salt)
	}
	f.b.EncodedKeys(at, mechanism, iterations, salt, stored, server)
}

// twice returns a key that is encoded in base64 once, if it is encoded twice.
func twice(mechanism, key string) (string, bool) {
	for h := range store.NumHashes {
		if h.Mechanism() != mechanism {
			continue
		}
		inner := decoded(key)
		value, err := base64.StdEncoding.DecodeString(inner)
		return inner, err == nil && len(value) == h.Size() && len(inner) != h.Size()
	}
	return "", false
}

// decoded returns a text that is encoded in base64; "" if it is not.
func decoded(text string) string {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return ""
	}
	return string(b)
}

// contact adds a roster item.
func (f *file) contact(at string, x migrate.XML) {
	el, ok := f.parse(at, x)
	if !ok {
		return
	}
	if !el.Is(nsRoster, "item") {
		f.b.Skip(at, "roster: the element %s is not an item", el.Local())
		return
	}
	address, state := string(el.Attr("jid")), string(el.Attr("subscription"))
	sub, ok := migrate.SubscriptionOf(state)
	if !ok {
		f.b.Skip(at, "contact %q: the subscription %q is none of none, to, from and both", address, state)
	}
	item := store.RosterItem{Name: string(el.Attr("name")), Subscription: sub, Ask: string(el.Attr("ask")) == "subscribe", Approved: isTrue(el.Attr("approved"))}
	for g := el.First(); g.OK(); g = g.Next() {
		if g.Is(nsRoster, "group") {
			item.Groups = append(item.Groups, string(g.AppendText(nil)))
		}
	}
	f.b.Contact(at, address, item)
}

// isTrue returns the value of a boolean (https://www.w3.org/TR/xmlschema-2/#boolean).
func isTrue(value []byte) bool { return string(value) == "true" || string(value) == "1" }

// privacy adds the addresses that the default privacy list (XEP-0016) denies everything.
func (f *file) privacy(at string, x migrate.XML) {
	root, ok := f.parse(at, x)
	if !ok {
		return
	}
	name := string(root.Child(nsPrivacy, "default").Attr("name"))
	for list := root.First(); list.OK(); list = list.Next() {
		switch {
		case !list.Is(nsPrivacy, "list"):
		case name == "" || string(list.Attr("name")) != name:
			f.b.Skip(at, "the privacy list %q is not imported: it is not the default", list.Attr("name"))
		default:
			f.rules(at, list)
		}
	}
}

// rules adds the addresses that a privacy list denies everything.
func (f *file) rules(at string, list parser.Element) {
	for item := list.First(); item.OK(); item = item.Next() {
		if !item.Is(nsPrivacy, "item") {
			continue
		}
		kinds := 0
		for el := item.First(); el.OK(); el = el.Next() {
			kinds++
		}
		if string(item.Attr("type")) != "jid" || string(item.Attr("action")) != "deny" || kinds != 0 && kinds != 4 {
			f.b.Skip(at, "a rule of a privacy list is not imported: only those are that deny an address everything")
			continue
		}
		f.b.Block(at, string(item.Attr("value")))
	}
}

// blocked adds an item of a list of blocked addresses (XEP-0191).
func (f *file) blocked(at string, x migrate.XML) {
	if el, ok := f.parse(at, x); ok {
		f.b.Block(at, string(el.Attr("jid")))
	}
}

// account sets what only this server writes.
func (f *file) account(at string, x migrate.XML) {
	el, ok := f.parse(at, x)
	if !ok {
		return
	}
	stamp := func(name string) (t time.Time, ok bool) {
		text := string(el.Attr(name))
		if text == "" {
			return t, false
		}
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			f.b.Skip(at, "the time %s=%q is not valid", name, text)
		}
		return t.UTC(), err == nil
	}
	if t, ok := stamp("created"); ok {
		f.b.Created = t
	}
	f.b.Disabled = isTrue(el.Attr("disabled"))
	if t, ok := stamp("last"); ok {
		f.b.Online(at, t, string(el.Attr("status")))
	}
	if day := el.Attr("used"); len(day) > 0 {
		f.b.UsedOn(at, string(day))
	}
}
