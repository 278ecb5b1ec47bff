package server

import (
	"fmt"
	"hash/crc32"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"testing"
	"time"

	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"roost/admin/api"
	"roost/internal/xmpptest"
	"roost/jid"
	"roost/store"
	"roost/store/sqlite"
)

// TestUnusedAccounts: the administration interface lists accounts by their last use, and deletes
// one only if it is still not used.
func TestUnusedAccounts(t *testing.T) {
	s := startServer(t, nil)
	c := adminOf(t, s)
	today := store.DayOf(time.Now())
	account := func(name string, created time.Time, used store.Day) jid.JID {
		t.Helper()
		j := jid.MustParse(name + "@localhost")
		err := s.store.CreateAccount(t.Context(), store.Account{JID: j, Created: created})
		if err == nil && used > 0 {
			err = s.store.NoteUse(t.Context(), []store.AccountUse{{Owner: j, Day: used}})
		}
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	long := time.Now().AddDate(0, 0, -100)
	account("a-old", long, today-99)
	account("b-recent", long, today-20)
	account("c-never", long, 0)
	account("d-new", time.Now(), 0)
	account("e-old", long, today-40)
	list := func(query string, want ...string) {
		t.Helper()
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for {
			var page api.AccountPage
			if err := c.Get(t.Context(), api.PathAccounts, q, &page); err != nil {
				t.Fatal(err)
			}
			for _, a := range page.Accounts {
				got = append(got, a.JID)
			}
			if page.Cursor == "" {
				break
			}
			q.Set("cursor", page.Cursor)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	for _, limit := range []string{"", "&limit=1", "&limit=2"} {
		list("unused_days=30"+limit, "a-old@localhost", "e-old@localhost")
		list("unused_days=50"+limit, "a-old@localhost")
		list("never_used_days=30"+limit, "c-never@localhost")
		list("unused_days=30&never_used_days=30&prefix=c"+limit, "c-never@localhost")
		list("unused_days=30&domain=example.org" + limit)
	}
	for _, query := range []string{"unused_days=29", "never_used_days=x", "unused_days=36501"} {
		q, _ := url.ParseQuery(query)
		if err := c.Get(t.Context(), api.PathAccounts, q, new(api.AccountPage)); !hasCode(err, api.CodeBadRequest) {
			t.Errorf("%s: %v", query, err)
		}
	}

	// A client that is connected uses its account, whatever is stored; and so does one that has
	// logged in since.
	remove := func(name, query string, code api.ErrorCode) {
		t.Helper()
		q, _ := url.ParseQuery(query)
		err := c.Do(t.Context(), http.MethodDelete, accountPath(api.PathAccount, name+"@localhost"), q, nil, nil)
		if code == "" && err != nil || code != "" && !hasCode(err, code) {
			t.Errorf("%s, %s: %v, want %q", name, query, err, code)
		}
	}
	remove("a-old", "unused_days=29", api.CodeBadRequest)
	remove("a-old", "never_used_days=30", api.CodeConflict)
	remove("a-old", "unused_days=99", api.CodeConflict)
	remove("a-old", "unused_days=90", "")
	remove("a-old", "unused_days=90", api.CodeNotFound)
	remove("b-recent", "unused_days=30", api.CodeConflict)
	remove("c-never", "unused_days=30", api.CodeConflict)
	remove("c-never", "unused_days=30&never_used_days=30", "")
	romeo := jid.MustParse("romeo@localhost")
	p := connect(t, s).login("romeo", "r")
	s.router.FlushPending(t.Context())
	if state, err := s.store.LoginState(t.Context(), romeo); err != nil || state.Used < today {
		t.Errorf("after a login, the day is %d, want %d, %v", state.Used, today, err)
	}
	remove("romeo", "unused_days=30", api.CodeConflict)
	p.ask("</stream:stream>", "</stream:stream>")
	remove("romeo", "unused_days=30&never_used_days=30", api.CodeConflict)
}

// TestUsesNoted: once an hour, a running server notes accounts that stay connected: those whose
// turn it is in the week.
func TestUsesNoted(t *testing.T) {
	tick := ticks(t, useEvery)
	dir := ""
	s := startServer(t, func(c *Config) { dir = c.DataDir })
	romeo, err := s.store.Account(t.Context(), jid.MustParse("romeo@localhost"))
	if err != nil {
		t.Fatal(err)
	}
	hour := time.Now().Unix() / 3600
	all := []jid.JID{nameOfHour(hour), nameOfHour(hour + 1)} // which may begin meanwhile
	for _, j := range all {
		if err := s.store.CreateAccount(t.Context(), store.Account{JID: j, Credentials: romeo.Credentials}); err != nil {
			t.Fatal(err)
		}
		connect(t, s).login(j.Local(), "r")
	}
	s.router.FlushPending(t.Context())
	other, err := zombiezen.OpenConn(filepath.Join(dir, sqlite.FileName), zombiezen.OpenReadWrite)
	if err == nil {
		err = sqlitex.ExecuteTransient(other, "DELETE FROM account_use", nil) // as if the logins were long ago
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	noted := func() (n int) {
		t.Helper()
		s.router.FlushPending(t.Context())
		for _, j := range all {
			state, err := s.store.LoginState(t.Context(), j)
			if err != nil {
				t.Fatal(err)
			}
			if state.Used > 0 {
				n++
			}
		}
		return n
	}
	if n := noted(); n > 0 {
		t.Fatalf("%d accounts are noted before the hour is over", n)
	}
	for begin := time.Now(); noted() == 0; {
		tick(useEvery) // other goroutines may take it, too
		if time.Since(begin) > xmpptest.WaitLimit {
			t.Fatal("no account that stays connected was noted")
		}
	}
}

// nameOfHour returns an account whose turn is in an hour, as router.NoteUses counts them.
func nameOfHour(hour int64) jid.JID {
	const week = 7 * 24
	for n := 0; ; n++ {
		if j := jid.MustParse(fmt.Sprintf("device-%d@localhost", n)); int64(crc32.ChecksumIEEE([]byte(j.String()))%week) == hour%week {
			return j
		}
	}
}
