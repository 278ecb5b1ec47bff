package sqlite

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"roost/store"
)

// append16 stores a message of 16 KiB for juliet.
func append16(t *testing.T, s *Store) {
	t.Helper()
	m := store.NewMessage{From: juliet, Stanza: bytes.Repeat([]byte("m"), 16<<10), Received: time.Now()}
	if err := s.AppendOffline(t.Context(), juliet, m, store.OfflineQuota{Messages: 1 << 20}); err != nil {
		t.Fatal(err)
	}
}

// openFilled returns a store with n such messages.
func openFilled(t *testing.T, cfg Config, n int) *Store {
	t.Helper()
	s := openTest(t, cfg)
	if err := s.CreateAccount(t.Context(), store.Account{JID: juliet}); err != nil {
		t.Fatal(err)
	}
	for range n {
		append16(t, s)
	}
	return s
}

// TestSnapshotBesideWrites: a snapshot is complete after as many steps as it has pages,
// although something is stored after each of them, and has the moment of its first step. It
// is one file.
func TestSnapshotBesideWrites(t *testing.T) {
	const before = 200 // 3.2 MiB
	s := openFilled(t, Config{}, before)
	dir := t.TempDir()
	file := filepath.Join(dir, "copy")
	steps, last := 0, int64(0)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	info, err := location{s.cfg}.Snapshot(ctx, file, func(done, total int64) {
		if steps++; steps > 20 {
			cancel() // it begins again and again
		}
		append16(t, s)
		last = total - done
	})
	if err != nil || info.Accounts != 1 || info.Version != NewestTables() || last != 0 || steps < 3 {
		t.Fatalf("%+v, %v; %d steps, %d bytes missing", info, err, steps, last)
	}
	entries, err := os.ReadDir(dir)
	header := make([]byte, 20)
	f, e := os.Open(file)
	if e == nil {
		_, e = f.Read(header)
		_ = f.Close()
	}
	if err != nil || e != nil || len(entries) != 1 || header[18] != 1 || header[19] != 1 {
		t.Errorf("%v, %v; files %v; versions %v", err, e, entries, header[18:])
	}
	c := openTest(t, Config{Path: file})
	if n, err := c.CountOffline(t.Context(), juliet); err != nil || n != before {
		t.Errorf("%d messages, %v", n, err)
	}
	if n, err := s.CountOffline(t.Context(), juliet); err != nil || n != before+steps {
		t.Errorf("the source has %d messages, %v", n, err)
	}
}

// TestSnapshotErrors: what cannot be copied is said, and the source is not changed.
func TestSnapshotErrors(t *testing.T) {
	f := func(path, want string) error {
		t.Helper()
		_, err := location{Config{Path: path}}.Snapshot(t.Context(), filepath.Join(t.TempDir(), "copy"), func(int64, int64) {})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
		return err
	}
	missing := filepath.Join(t.TempDir(), FileName)
	if err := f(missing, missing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("the database was created")
	}
	foreign := filepath.Join(t.TempDir(), "foreign")
	c, err := sqlite.OpenConn(foreign)
	if err == nil {
		err = errors.Join(sqlitex.ExecuteTransient(c, "CREATE TABLE x (y)", nil), c.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	f(foreign, errForeign.Error())

	s := openFilled(t, Config{}, 20)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(s.cfg.Path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 8 * 4096; i < len(text); i += 4096 { // not the schema
		copy(text[i:], "damage")
	}
	if err := os.WriteFile(s.cfg.Path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	f(s.cfg.Path, "damaged")
}

// TestOldReader: while another process reads an old page, the writer does not wait for it
// again and again. When that process has finished, the log starts over, and its file gives its
// space back in steps.
func TestOldReader(t *testing.T) {
	const logBytes = 256 << 10
	s := openFilled(t, Config{LogBytes: logBytes}, 1)
	old, err := connectFor(s.cfg.Path, sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = old.Close() }()
	if err := sqlitex.ExecuteTransient(old, "BEGIN", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := queryInt(old, "SELECT count(*) FROM offline"); err != nil {
		t.Fatal(err)
	}
	state := func() (size int64, tries int) {
		if err := s.write(t.Context(), "Test", "state", noSavepoint|noTx, func(c *conn) error {
			size, tries = logSize(c), s.checkpoint.tries
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return size, tries
	}
	for range 200 {
		append16(t, s)
	}
	size, tries := state()
	if size < 8*logBytes {
		t.Errorf("the log has %d bytes: nothing kept it", size)
	}
	if tries > 10 {
		t.Errorf("the log was to start over %d times", tries)
	}
	full := s.logFileSize()
	if full < size {
		t.Errorf("the log's file has %d bytes, and the log %d", full, size)
	}
	if err := sqlitex.ExecuteTransient(old, "ROLLBACK", nil); err != nil {
		t.Fatal(err)
	}
	for size, before := state(); size > 4*logBytes; {
		append16(t, s)
		if size, tries = state(); tries > before+10 {
			t.Fatalf("the log still has %d bytes", size)
		}
	}
	for last := full; last > keptLogs*logBytes; {
		_, before := state()
		for append16(t, s); s.logFileSize() == last; append16(t, s) {
			if _, tries := state(); tries > before+10 {
				t.Fatalf("the log's file still has %d bytes", last)
			}
		}
		size := s.logFileSize()
		if last-size > 2*logBytes {
			t.Errorf("%d bytes are given back at once", last-size)
		}
		last = size
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
