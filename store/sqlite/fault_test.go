package sqlite

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"roost/jid"
	"roost/store"
)

var juliet = jid.MustParse("juliet@example.com")

// wantError fails unless err is one line that contains text.
func wantError(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "\n") {
		t.Errorf("the error is %q, want one line with %q", err, text)
	}
}

// pragma executes a pragma on the writer's connection.
func pragma(t *testing.T, s *Store, text string) {
	t.Helper()
	err := s.write(t.Context(), "Test", "pragma", noSavepoint|noTx, func(c *conn) error {
		return sqlitex.ExecuteTransient(c.Conn, "PRAGMA "+text, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestOpenFails(t *testing.T) {
	f := func(desc, want string, prepare func(path string)) {
		t.Helper()
		path := filepath.Join(t.TempDir(), FileName)
		prepare(path)
		s, err := Open(t.Context(), Config{Path: path})
		if err == nil {
			s.Close()
		}
		t.Log(err)
		wantError(t, err, want)
	}
	f("text", "is not a database", func(path string) {
		os.WriteFile(path, bytes.Repeat([]byte("some text "), 1000), 0o600)
	})
	f("directory", "is a directory", func(path string) { os.Mkdir(path, 0o700) })
	f("newer", "newer version of roost", func(path string) {
		openTest(t, Config{Path: path}).Close()
		script(t, path, "PRAGMA user_version = 1000")
	})
	f("foreign", "another program", func(path string) { script(t, path, "CREATE TABLE t (x)") })
	wantError(t, func() error { _, err := Open(t.Context(), Config{}); return err }(), "path of the database file is missing")

	file := filepath.Join(t.TempDir(), "file")
	os.WriteFile(file, nil, 0o600)
	_, err := Open(t.Context(), Config{Path: filepath.Join(file, FileName)})
	wantError(t, err, "not a directory")
}

// script changes a database without the store.
func script(t *testing.T, path, text string) {
	t.Helper()
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite|sqlite.OpenCreate)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := sqlitex.ExecuteScript(c, text, nil); err != nil {
		t.Fatal(err)
	}
}

func TestDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	s := openTest(t, Config{Path: path})
	for i := range 200 {
		s.CreateAccount(t.Context(), store.Account{JID: jid.MustParse(strings.Repeat("x", i+1) + "@example.com")})
	}
	s.Close()
	script(t, path, "PRAGMA wal_checkpoint(TRUNCATE)") // connections that were closed at the same time may have left a log
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 4096; i < len(data); i++ {
		data[i] = 0xa5
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err = Open(t.Context(), Config{Path: path})
	if err == nil {
		defer s.Close()
		_, err = s.ListAccounts(t.Context(), "", jid.JID{}, 1000)
	}
	wantError(t, err, "is damaged")
}

func TestReadOnly(t *testing.T) {
	s := openTest(t, Config{})
	pragma(t, s, "query_only = ON")
	wantError(t, s.CreateAccount(t.Context(), store.Account{JID: juliet}), "cannot be written")
}

// TestFullDisk: on a full disk writes fail and reads work. When there is space again, writes
// work too.
func TestFullDisk(t *testing.T) {
	ctx := t.Context()
	s := openTest(t, Config{})
	if err := s.CreateAccount(ctx, store.Account{JID: juliet}); err != nil {
		t.Fatal(err)
	}
	pragma(t, s, "max_page_count = 50")
	big := make([]byte, 20_000)
	var err error
	kept := 0
	for ; err == nil && kept < 1000; kept++ {
		err = s.AppendOffline(ctx, juliet, store.NewMessage{From: juliet, Stanza: big, Received: time.Now()}, store.OfflineQuota{Messages: 1 << 20})
	}
	wantError(t, err, "no space is left on the disk")
	n, err := s.CountOffline(ctx, juliet)
	if err != nil || n != kept-1 {
		t.Errorf("%d messages are stored, want %d: %v", n, kept-1, err)
	}
	pragma(t, s, "max_page_count = 100000")
	if err := s.AppendOffline(ctx, juliet, store.NewMessage{From: juliet, Stanza: big, Received: time.Now()}, store.OfflineQuota{Messages: 1 << 20}); err != nil {
		t.Error(err)
	}
}

// lock lets another connection hold the write lock until unlock is called.
func lock(t *testing.T, path string) (unlock func()) {
	t.Helper()
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	if err := sqlitex.ExecuteTransient(c, "BEGIN IMMEDIATE", nil); err != nil {
		t.Fatal(err)
	}
	return func() { c.Close() }
}

func TestLocked(t *testing.T) {
	ctx := t.Context()
	s := openTest(t, Config{BusyTimeout: 10 * time.Millisecond})
	unlock := lock(t, s.cfg.Path)
	wantError(t, s.CreateAccount(ctx, store.Account{JID: juliet}), "locked for 10ms")
	// Reads are not affected.
	if _, err := s.Account(ctx, juliet); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
	unlock()
	if err := s.CreateAccount(ctx, store.Account{JID: juliet}); err != nil {
		t.Error(err)
	}
}

// TestContextEnds: a write that was abandoned before it began never happens.
func TestContextEnds(t *testing.T) {
	s := openTest(t, Config{})
	unlock := lock(t, s.cfg.Path)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	lent := []byte("lent")
	err := s.AppendOffline(ctx, juliet, store.NewMessage{From: juliet, Stanza: lent, Received: time.Now()}, store.OfflineQuota{Messages: 10})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	clear(lent)
	err = s.CreateAccount(ctx, store.Account{JID: juliet})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	unlock()
	if _, err := s.Account(t.Context(), juliet); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the abandoned write has happened: %v", err)
	}
}
