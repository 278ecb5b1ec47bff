package sqlite

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"zombiezen.com/go/sqlite/sqlitex"

	"roost/jid"
	"roost/store"
)

// TestOthersChanges: a store sees the account events of another process.
func TestOthersChanges(t *testing.T) {
	ctx := t.Context()
	server := openTest(t, Config{})
	command := openTest(t, Config{Path: server.cfg.Path})
	if err := server.CreateAccount(ctx, store.Account{JID: juliet}); err != nil {
		t.Fatal(err)
	}
	last, err := server.LastAccountEvent(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := command.DeleteAccount(ctx, juliet, store.AnyEvent); err != nil {
		t.Fatal(err)
	}
	events, err := server.AccountEvents(ctx, last, 10)
	if err != nil || len(events) != 1 || events[0].Kind != store.AccountDeleted || events[0].JID != juliet {
		t.Errorf("events %+v, %v", events, err)
	}
}

// TestTwoWriters: concurrent writes of two processes succeed.
func TestTwoWriters(t *testing.T) {
	ctx := t.Context()
	a := openTest(t, Config{LogBytes: 64 << 10})
	b := openTest(t, Config{Path: a.cfg.Path, LogBytes: 64 << 10})
	if err := a.CreateAccount(ctx, store.Account{JID: juliet}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, s := range []*Store{a, b, a, b} {
		wg.Go(func() {
			for range 50 {
				if err := s.AppendOffline(ctx, juliet, store.NewMessage{From: juliet, Stanza: make([]byte, 1000), Received: time.Now()}, store.OfflineQuota{Messages: 1 << 20}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n, err := a.CountOffline(ctx, juliet); err != nil || n != 200 {
		t.Errorf("%d messages, %v", n, err)
	}
}

// TestMigrate: a new file gets all tables, also if several open it at once, and opening it
// again changes nothing.
func TestMigrate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "er", FileName)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s, err := Open(t.Context(), Config{Path: path})
			if err != nil {
				t.Error(err)
				return
			}
			s.Close()
		})
	}
	wg.Wait()
	scripts, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	s := openTest(t, Config{Path: path})
	c := <-s.readers
	version, err := sqlitex.ResultInt(c.Prep("PRAGMA user_version"))
	s.readers <- c
	if err != nil || version != len(scripts) || version == 0 {
		t.Errorf("version %d of %d, %v", version, len(scripts), err)
	}
	for _, name := range []string{path, path + "-wal"} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

// TestQueries prepares every statement, and so finds missing columns and missing queries.
func TestQueries(t *testing.T) {
	s := openTest(t, Config{})
	c := <-s.readers
	defer func() { s.readers <- c }()
	for q := range numQueries {
		if queries[q] == "" {
			t.Errorf("query %d is empty", q)
		}
		if _, err := c.stmt(q); err != nil {
			t.Errorf("%s: %v", queries[q], err)
		}
	}
}

// TestLogIsLimited: the log stays small however much is written, and its content is in the
// database.
func TestLogIsLimited(t *testing.T) {
	ctx := t.Context()
	const logBytes = 256 << 10
	s := openTest(t, Config{LogBytes: logBytes})
	owners := make([]jid.JID, 16)
	for i := range owners {
		owners[i] = jid.MustParse(fmt.Sprintf("u%d@example.com", i))
		if err := s.CreateAccount(ctx, store.Account{JID: owners[i]}); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for _, owner := range owners {
		wg.Go(func() {
			for i := range 100 {
				if err := s.AppendOffline(ctx, owner, store.NewMessage{From: juliet, Stanza: bytes.Repeat([]byte{byte(i)}, 10_000), Received: time.Now()}, store.OfflineQuota{Messages: 1000}); err != nil {
					t.Error(err)
				}
				if msgs, _, err := s.Offline(ctx, owner, 0, 1); err != nil || len(msgs) != 1 {
					t.Errorf("%d messages, %v", len(msgs), err)
				}
			}
		})
	}
	wg.Wait()
	// 16 MB were written. If a reader prevented a truncation, the log may have
	// exceeded its limit for a while.
	if size := s.logFileSize(); size > 16*logBytes {
		t.Errorf("the log has %d bytes", size)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	i, err := Inspect(ctx, s.cfg.Path)
	if err != nil || len(i.Problems) != 0 {
		t.Errorf("%+v, %v", i, err)
	}
}
