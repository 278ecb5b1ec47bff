package prosody

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"roost/migrate"
	"roost/parser"
	"roost/store"
)

// account reads the store "accounts": keys, or a password.
func account(b *migrate.Builder, at string, t *table) {
	b.Password = t.text("password")
	b.Disabled = t.get("disabled") == true
	if created := t.number("created"); created > 0 {
		b.Created = time.Unix(created, 0).UTC()
	}
	stored, server := t.text("stored_key"), t.text("server_key")
	if stored == "" && server == "" {
		return
	}
	k := store.Keys{Salt: []byte(t.text("salt")), Iterations: int(t.number("iteration_count"))}
	var err, failed error
	if k.StoredKey, err = hex.DecodeString(stored); err != nil {
		failed = err
	}
	if k.ServerKey, err = hex.DecodeString(server); err != nil {
		failed = err
	}
	if failed != nil {
		b.Skip(at, "its keys are not hexadecimal")
		return
	}
	mechanism := store.SHA1.Mechanism()
	if len(k.StoredKey) == store.SHA256.Size() {
		mechanism = store.SHA256.Mechanism()
	}
	b.Keys(at, mechanism, k)
}

// roster reads the store "roster". The value of the key false has the pending requests.
func roster(b *migrate.Builder, at string, t *table, now time.Time) {
	for _, p := range t.pairs {
		address, ok := p.key.(string)
		item, isItem := p.value.(*table)
		switch {
		case !ok && p.key == false && isItem:
			requests(b, at, item.table("pending"), now)
			continue
		case ok && address == "pending" && isItem: // before version 0.10
			requests(b, at, item, now)
			continue
		case !ok || !isItem:
			continue
		}
		sub, ok := migrate.SubscriptionOf(item.text("subscription"))
		if !ok {
			b.Skip(at, "contact %q: the subscription %q is none of none, to, from and both", address, item.text("subscription"))
		}
		approved := item.get("approved")
		contact := store.RosterItem{
			Name: item.text("name"), Subscription: sub, Ask: item.text("ask") == "subscribe",
			Approved: approved == true || approved == "true" || approved == "1",
		}
		if groups := item.table("groups"); groups != nil {
			for _, g := range groups.pairs {
				if name, ok := g.key.(string); ok {
					contact.Groups = append(contact.Groups, name)
				}
			}
		}
		b.Contact(at, address, contact)
	}
}

// requests reads the pending requests of a roster: stanzas, or true.
func requests(b *migrate.Builder, at string, t *table, now time.Time) {
	if t == nil {
		return
	}
	for _, p := range t.pairs {
		address, ok := p.key.(string)
		if !ok {
			continue
		}
		if st, ok := p.value.(*table); ok {
			b.Request(at, migrate.XML{Text: []byte(element(st))}, now)
		} else {
			b.RequestFrom(at, address, now)
		}
	}
}

// private reads the store "private".
func private(b *migrate.Builder, at string, t *table) {
	for _, p := range t.pairs {
		if el, ok := p.value.(*table); ok {
			b.Private(at, migrate.XML{Text: []byte(element(el))})
		}
	}
}

// blocklist reads the store "blocklist". Its keys are addresses.
func blocklist(b *migrate.Builder, at string, t *table) {
	for _, p := range t.pairs {
		if address, ok := p.key.(string); ok {
			b.Block(at, address)
		}
	}
}

// message reads an item of the store "offline".
func message(b *migrate.Builder, at string, t *table, now time.Time) {
	if when := t.number("when"); when > 0 {
		now = time.Unix(when, 0)
	}
	if attrs := t.table("attr"); attrs != nil {
		if stamp, err := time.Parse(time.RFC3339, attrs.text("stamp")); err == nil {
			now = stamp
		}
		kept := attrs.pairs[:0]
		for _, p := range attrs.pairs {
			if p.key != "stamp" && p.key != "stamp_legacy" {
				kept = append(kept, p)
			}
		}
		attrs.pairs = kept
	}
	b.Message(at, migrate.XML{Text: []byte(element(t))}, now)
}

// element returns an element in the form of Prosody's util.stanza as XML. What it returns
// need not be well-formed: names are copied.
func element(t *table) string {
	var s strings.Builder
	write(&s, t)
	return s.String()
}

func write(s *strings.Builder, t *table) {
	name := t.text("name")
	s.WriteString("<" + name)
	prefixes := 0
	if attrs := t.table("attr"); attrs != nil {
		for _, p := range attrs.pairs {
			key, _ := p.key.(string)
			value, _ := p.value.(string)
			if space, local, ok := strings.Cut(key, "\x01"); ok {
				prefixes++
				fmt.Fprintf(s, " xmlns:a%d='%s'", prefixes, parser.AppendEscaped(nil, space))
				key = fmt.Sprintf("a%d:%s", prefixes, local)
			}
			fmt.Fprintf(s, " %s='%s'", key, parser.AppendEscaped(nil, value))
		}
	}
	if len(t.list) == 0 {
		s.WriteString("/>")
		return
	}
	s.WriteString(">")
	for _, child := range t.list {
		switch c := child.(type) {
		case string:
			s.Write(parser.AppendEscaped(nil, c))
		case *table:
			write(s, c)
		}
	}
	s.WriteString("</" + name + ">")
}
