package migrate_test

import (
	"slices"
	"testing"
	"time"

	"roost/migrate"
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
