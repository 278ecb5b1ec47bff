package migrate_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"roost/jid"
	"roost/migrate"
	"roost/store"
)

// TestMaxAccount: what exceeds the size of an account is left out, which is reported once.
func TestMaxAccount(t *testing.T) {
	var problems []string
	b := migrate.NewBuilder(func(p migrate.Problem) { problems = append(problems, p.String()) })
	b.Begin("f:1", "a", "a.example")
	text := append([]byte("<message from='b@b.example'><body>"), make([]byte, migrate.MaxElement-1000)...)
	for i := range text[34:] {
		text[34+i] = 'x'
	}
	text = append(text, "</body></message>"...)
	for range migrate.MaxAccount/migrate.MaxElement + 2 {
		b.Message("f:2", migrate.XML{Text: text}, time.Time{})
	}
	if n := len(b.Messages); n != migrate.MaxAccount/migrate.MaxElement || b.Size() > migrate.MaxAccount+1<<10 {
		t.Errorf("%d messages, %d bytes", n, b.Size())
	}
	if !slices.Equal(problems, []string{"f:2: a@a.example: the account has more than 32 MiB: what follows is left out"}) {
		t.Errorf("%q", problems)
	}
}

// TestLongAddress: addresses that are too long for a roster or a blocklist are left out.
func TestLongAddress(t *testing.T) {
	var problems []string
	b := migrate.NewBuilder(func(p migrate.Problem) { problems = append(problems, p.String()) })
	b.Begin("f:1", "a", "a.example")
	fits := strings.Repeat("l", jid.MaxPart) + "@" + strings.Repeat("domain.", 70) + "example/"
	fits += strings.Repeat("r", store.MaxKey-len(fits))
	for _, address := range []string{fits, fits + "r"} {
		b.Contact("f:2", address, store.RosterItem{})
		b.Block("f:3", address)
	}
	if len(b.Roster) != 1 || b.Roster[0].JID.String() != fits || len(b.Blobs) != 1 || b.Blobs[0].Key != fits {
		t.Errorf("%d contacts and %d blocked addresses, want one of each", len(b.Roster), len(b.Blobs))
	}
	const reason = `…": an address or a key is longer than 2500 bytes`
	if len(problems) != 2 || !strings.HasPrefix(problems[0], `f:2: a@a.example: contact "l`) || !strings.HasPrefix(problems[1], `f:3: a@a.example: blocked "l`) ||
		!strings.HasSuffix(problems[0], reason) || !strings.HasSuffix(problems[1], reason) {
		t.Errorf("%q", problems)
	}
}
