package stores

import (
	"path/filepath"
	"strings"
	"testing"

	"roost/jid"
	"roost/store"
)

// TestLocate: the files that URLs name, and the errors for invalid URLs.
func TestLocate(t *testing.T) {
	f := func(text, path string) {
		t.Helper()
		l, err := Locate(text)
		if err != nil {
			t.Error(err)
			return
		}
		if got := l.(store.Local).Path(); got != path {
			t.Errorf("%s names %q, want %q", text, got, path)
		}
	}
	f("sqlite:/var/lib/roost/roost.db", "/var/lib/roost/roost.db")
	f("sqlite:///var/lib/roost.db?reserve=0", "/var/lib/roost.db")
	f("sqlite:data/roost.db", "data/roost.db")
	f("SQLite:roost.db", "roost.db")
	for _, dir := range []string{"/var/lib/roost", "relative", "/a dir/100%/é?#&/x:y", "a:b", "a%41"} {
		f(Default(dir), filepath.Join(dir, FileName))
	}

	wrong := func(text, want string) {
		t.Helper()
		_, err := Locate(text)
		if err == nil {
			t.Errorf("%s is accepted", text)
			return
		}
		if got := err.Error(); !strings.Contains(got, want) || strings.Contains(got, "\n") || strings.Contains(got, "hunter2") {
			t.Errorf("%s: %q, want %q in one line", text, got, want)
		}
	}
	wrong("mysql://u:hunter2@host/db", `there is no kind of store "mysql": it must begin with one of postgres:, postgresql:, sqlite:`)
	wrong("/var/lib/roost.db", "no scheme: it must begin with one of postgres:")
	wrong("", "no scheme")
	wrong("x://u:hunter2@host:hunter2/", "syntax error: it must begin with one of postgres:")
	wrong("sqlite://u:hunter2@host/db", "sqlite:///PATH with three slashes")
	wrong("postgres://u:hunter2@host", "the name of the database is missing")
	wrong("postgres:host/db", "write postgres://")
	wrong("postgres://u:hunter2@host/db?sslmode=maybe", "check sslmode")
	wrong("postgresql://u@host/db?password=hunter2&pool_max_conns=x", "check sslmode")
	wrong("sqlite:", "the file name is missing")
	wrong("sqlite:a#b", "%23")
	wrong("sqlite:a?cache=1", `unknown parameter "cache"`)
	wrong("sqlite:a?reserve=much", "a number of bytes")
	wrong("sqlite:a?reserve=-1", "a number of bytes")
	wrong("sqlite:a?reserve=1&reserve=2", "a number of bytes")
}

// TestOpen: Open opens the store that a URL names, with its parameter.
func TestOpen(t *testing.T) {
	dir, juliet := t.TempDir(), jid.MustParse("juliet@example.com")
	for i, text := range []string{Default(dir) + "?reserve=0", Default(dir) + "?reserve=4096"} {
		s, err := Open(t.Context(), text, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			err = s.CreateAccount(t.Context(), store.Account{JID: juliet})
		} else {
			_, err = s.Account(t.Context(), juliet)
		}
		if err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		reserve, _ := filepath.Glob(filepath.Join(dir, FileName+"-reserve"))
		if len(reserve) != i {
			t.Errorf("%s: reserve %q", text, reserve)
		}
	}
	if s, err := Open(t.Context(), "sqlite:"+dir, store.Options{}); err == nil || s != nil {
		t.Errorf("a directory was opened: %v, %v", s, err)
	}
	if s, err := Open(t.Context(), "mysql:x", store.Options{}); err == nil || s != nil {
		t.Errorf("%v, %v", s, err)
	}
	l, err := Locate(Default(dir))
	if err != nil {
		t.Fatal(err)
	}
	if i, err := l.(store.Inspector).Inspect(t.Context()); err != nil || i.Accounts != 1 || len(i.Problems) != 0 {
		t.Errorf("%+v, %v", i, err)
	}
}

// TestRedact: neither of the passwords of a URL is shown.
func TestRedact(t *testing.T) {
	for text, want := range map[string]string{
		"postgres://roost:secret@db/roost":                                             "postgres://roost:xxxxx@db/roost",
		"postgres://roost@db/roost?password=secret&sslmode=require&sslpassword=secret": "postgres://roost@db/roost?password=xxxxx&sslmode=require&sslpassword=xxxxx",
		"sqlite:/srv/roost.db?reserve=0":                                               "sqlite:/srv/roost.db?reserve=0",
		"postgres://roost:secret@[db/roost":                                            "URL",
	} {
		if got := Redact(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	if _, err := Open(t.Context(), "postgres://roost@127.0.0.1:1/roost?sslpassword=secret", store.Options{}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
}
