package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"roost/jid"
	"roost/store"
)

// TestInspect: a database can be inspected while it is open and when it is closed, and is
// not changed.
func TestInspect(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	if _, err := Inspect(t.Context(), path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the database was created")
	}
	credentials, err := store.NewCredentials("secret", store.MinIterations)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"romeo@localhost", "juliet@localhost"} {
		if err := s.CreateAccount(t.Context(), store.Account{JID: jid.MustParse(name), Credentials: credentials}); err != nil {
			t.Fatal(err)
		}
	}
	scripts, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	f := func(desc string) {
		t.Helper()
		i, err := Inspect(t.Context(), path)
		if err != nil || i.Accounts != 2 || i.Version != len(scripts) || i.Current != len(scripts) || len(i.Problems) > 0 || i.Unfinished {
			t.Errorf("%s: %+v, %v", desc, i, err)
		}
	}
	f("open")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	f("closed")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if i, err := Inspect(ended, path); err != nil || !i.Unfinished || i.Accounts != 2 {
		t.Errorf("with an ended context: %+v, %v", i, err)
	}
}

// TestInspectDamage: Inspect finds damage.
func TestInspectDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	s, err := Open(t.Context(), Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// Truncate the log, which may have undamaged pages.
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	if err := sqlitex.ExecuteTransient(c, "PRAGMA wal_checkpoint(TRUNCATE)", nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f := func(desc string, content []byte) {
		t.Helper()
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		i, err := Inspect(t.Context(), path)
		if err == nil && len(i.Problems) == 0 {
			t.Errorf("%s: no problem was found: %+v", desc, i)
		}
	}
	broken := append([]byte(nil), whole...)
	for at := 2 * 4096; at < len(broken); at += 4096 {
		copy(broken[at:], "this is no page of a b-tree")
	}
	f("pages overwritten", broken)
	f("no database at all", []byte("this is a text file, and it has been one for a long time. "+string(make([]byte, 200))))
	foreign := append([]byte(nil), whole...)
	copy(foreign[68:], "\x00\x00\x00\x01") // application_id
	f("another program's", foreign)
}
