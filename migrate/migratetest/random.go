// Package migratetest makes random accounts, for tests of package migrate and of the formats
// that accounts are read from and written to.
package migratetest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"roost/jid"
	"roost/migrate"
	"roost/store"
)

// Accounts returns n random accounts with data of all kinds, as a server could have them,
// in the order of their addresses.
func Accounts(t testing.TB, r *rand.Rand, n int) (all []store.AccountData) {
	t.Helper()
	b := migrate.NewBuilder(func(p migrate.Problem) { t.Errorf("a random account: %v", p) })
	for i := range n {
		b.Begin("random", fmt.Sprintf("user%04d", i), []string{"a.example", "b.example"}[2*i/n])
		fill(b, r)
		all = append(all, b.AccountData)
	}
	return all
}

func fill(b *migrate.Builder, r *rand.Rand) {
	b.Created, b.Disabled = seconds(r), r.IntN(4) == 0
	for h := range store.NumHashes {
		if r.IntN(3) > 0 || h == store.SHA1 {
			b.Keys("", h.Mechanism(), store.Keys{Salt: some(r, store.SaltSize), Iterations: store.MinIterations + r.IntN(10000), StoredKey: some(r, h.Size()), ServerKey: some(r, h.Size())})
		}
	}
	for i := range r.IntN(4) {
		item := store.RosterItem{Name: text(r), Subscription: store.Subscription(r.IntN(4)), Ask: r.IntN(3) == 0, Approved: r.IntN(3) == 0}
		for g := range r.IntN(3) {
			item.Groups = append(item.Groups, fmt.Sprint(g)+text(r))
		}
		b.Contact("", fmt.Sprintf("contact%d@%s", i, []string{"c.example", "ü.example"}[r.IntN(2)]), item)
	}
	for i := range r.IntN(3) {
		b.Request("", xml(fmt.Sprintf("<presence id='p%d' type='subscribe' from='asker%d@c.example/x'>%s</presence>", i, i, content(r))), seconds(r))
	}
	if r.IntN(4) == 0 {
		b.RequestFrom("", "quiet@c.example", seconds(r))
	}
	for range r.IntN(4) {
		stanza := fmt.Sprintf("<message to=\"%v\" from='sender%d@c.example/ä &apos;%d' type='chat'>%s<body>%s</body></message>", b.JID, r.IntN(3), r.IntN(3), content(r), escaped(r))
		b.Message("", xml(stanza), time.UnixMilli(r.Int64N(4e12)))
	}
	for i := range r.IntN(3) {
		b.Block("", []string{"spam.example", "one@spam.example", "one@spam.example/x y"}[i])
	}
	for i := range r.IntN(3) {
		b.Private("", xml(fmt.Sprintf("<p%d xmlns='urn:private:%d'>%s</p%d>", i, i, content(r), i)))
	}
	if r.IntN(2) == 0 {
		b.VCard("", xml("<vCard xmlns='vcard-temp'><FN>"+escaped(r)+"</FN>"+content(r)+"</vCard>"))
	}
	if r.IntN(2) == 0 {
		b.Online("", seconds(r), text(r))
	}
	if r.IntN(2) == 0 {
		b.UsedOn("", seconds(r).Format(time.DateOnly))
	}
}

func xml(s string) migrate.XML { return migrate.XML{Text: []byte(s)} }

func seconds(r *rand.Rand) time.Time { return time.Unix(r.Int64N(4e9), 0).UTC() }

func some(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// text returns a text that XML allows.
func text(r *rand.Rand) string {
	const letters = `abc "'<>&äß語🙂]]>`
	var b strings.Builder
	all := []rune(letters)
	for range r.IntN(12) {
		b.WriteRune(all[r.IntN(len(all))])
	}
	return strings.TrimSpace(b.String())
}

// escaped returns a text as it may occur in XML.
func escaped(r *rand.Rand) string {
	s := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "'", "&apos;").Replace("x" + text(r))
	if r.IntN(4) == 0 {
		s += "&#x41;&#10;"
	}
	return s
}

// content returns a part of the content of an element.
func content(r *rand.Rand) string {
	all := []string{
		"", " ", "<a xmlns='urn:a'/>", "<a:b xmlns:a='urn:a' a:c=\"d\" e='f&quot;'><g/></a:b>", "<t xmlns='urn:t' xml:lang='de'>" + escaped(r) + "</t>",
		"<c xmlns='urn:c'><![CDATA[<&>]]></c>", "<delay xmlns='urn:xmpp:delay' from='c.example' stamp='2020-01-01T00:00:00Z'/>",
		"<d xmlns='urn:d'><e xmlns=''><f/></e></d>",
	}
	return all[r.IntN(len(all))] + all[r.IntN(len(all))]
}

// Stored returns what a store has, with its accounts in the order of their addresses. IDs
// and times that the store sets are left out.
func Stored(t testing.TB, s store.Store) (all []store.AccountData) {
	t.Helper()
	err := migrate.Export(t.Context(), s, "", func(d *store.AccountData) error {
		d.Generation, d.Event = 0, 0
		for i := range d.Roster {
			d.Roster[i].Version = 0
		}
		if d.Last != nil {
			d.Last.Owner, d.Last.Event = jid.JID{}, 0
		}
		all = append(all, *d)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Reads returns the accounts of a source, and its problems.
func Reads(t testing.TB, from migrate.Source) (all []migrate.Account, problems []string, err error) {
	t.Helper()
	err = from.Read(t.Context(), migrate.Receiver{
		Account: func(a *migrate.Account) error {
			all = append(all, *a)
			return nil
		},
		Problem:    func(p migrate.Problem) { problems = append(problems, p.String()) },
		Invitation: func(*store.Invitation) error { return nil },
	})
	return all, problems, err
}
