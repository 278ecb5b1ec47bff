package sqlite

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"roost/jid"
	"roost/store"
)

// stepped returns a channel that receives after each step of the upkeep. Call it before the
// first deletion.
func stepped(t *testing.T, s *Store) <-chan struct{} {
	t.Helper()
	steps := make(chan struct{}, 1)
	err := s.write(t.Context(), "Test", "set", noSavepoint|noTx, func(*conn) error {
		s.upkeep.stepped = func() {
			select {
			case steps <- struct{}{}:
			default:
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

// until waits for steps of the upkeep until f returns true.
func until(t *testing.T, steps <-chan struct{}, what string, f func() bool) {
	t.Helper()
	for late := time.After(2 * time.Minute); !f(); {
		select {
		case <-steps:
		case <-late:
			t.Fatalf("timeout while waiting for %s", what)
		}
	}
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// emptyMailbox deletes all messages of an account.
func emptyMailbox(t testing.TB, s *Store, owner jid.JID) {
	t.Helper()
	if err := deleteAll(t.Context(), s, owner); err != nil {
		t.Fatal(err)
	}
}

func deleteAll(ctx context.Context, s *Store, owner jid.JID) error {
	messages, _, err := s.Offline(ctx, owner, 0, 1<<30)
	if err != nil {
		return err
	}
	ids := make([]int64, len(messages))
	for i, m := range messages {
		ids[i] = m.ID
	}
	return s.DeleteOffline(ctx, owner, ids)
}

func fillMailbox(t *testing.T, s *Store, owner jid.JID, n, size int) {
	t.Helper()
	for range n {
		m := store.NewMessage{From: owner, Stanza: bytes.Repeat([]byte("m"), size), Received: time.Now()}
		if err := s.AppendOffline(t.Context(), owner, m, store.OfflineQuota{}); err != nil {
			t.Fatal(err)
		}
	}
}

// cutLog moves the complete log into the database and truncates it.
func cutLog(t *testing.T, s *Store) {
	t.Helper()
	if err := s.write(t.Context(), "Test", "cut", noSavepoint|noTx, func(c *conn) error {
		s.waitCheckpoint() // which would prevent it
		s.truncateLog(c, resetWait)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// TestShrinks: after large deletions the file becomes as small as before, while writes
// continue.
func TestShrinks(t *testing.T) {
	ctx := t.Context()
	s := openTest(t, Config{LogBytes: 1 << 20})
	steps := stepped(t, s)
	if err := s.CreateAccount(ctx, store.Account{JID: juliet}); err != nil {
		t.Fatal(err)
	}
	fillMailbox(t, s, juliet, 80, 100_000)
	cutLog(t, s)
	if full := fileSize(t, s.cfg.Path); full < 8_000_000 {
		t.Fatalf("the file has %d bytes with 8 MB in it", full)
	}
	emptyMailbox(t, s, juliet)
	until(t, steps, "the file to shrink", func() bool {
		fillMailbox(t, s, juliet, 1, 10)
		return fileSize(t, s.cfg.Path) < (2*keepPages+64)*4096
	})
	i, err := Inspect(ctx, s.cfg.Path)
	if err != nil || len(i.Problems) != 0 {
		t.Errorf("%+v, %v", i, err)
	}
}

// TestShrinksOld: a database without pointer maps is converted when it is opened, and keeps
// its content.
func TestShrinksOld(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	s := openTest(t, Config{Path: path})
	if err := s.CreateAccount(t.Context(), store.Account{JID: juliet}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	old, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"PRAGMA auto_vacuum = NONE", "VACUUM"} {
		if err := sqlitex.ExecuteTransient(old, text, nil); err != nil {
			t.Fatal(err)
		}
	}
	old.Close()
	mode := func() (mode int64) {
		c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if mode, err = queryInt(c, "PRAGMA auto_vacuum"); err != nil {
			t.Fatal(err)
		}
		return mode
	}
	if m := mode(); m != 0 {
		t.Fatalf("auto_vacuum is %d", m)
	}
	s = openTest(t, Config{Path: path})
	if _, err := s.Account(t.Context(), juliet); err != nil {
		t.Error(err)
	}
	if m := mode(); m != 2 {
		t.Errorf("auto_vacuum is %d, want 2", m)
	}
}

// TestLogLife: what was written to the log is not left in its file for long, whoever wrote it,
// unless a large file gives its space back in steps while there are writes.
func TestLogLife(t *testing.T) {
	s := openTest(t, Config{LogBytes: 64 << 10})
	steps := stepped(t, s)
	if err := s.CreateAccount(t.Context(), store.Account{JID: juliet}); err != nil {
		t.Fatal(err)
	}
	at := func(age time.Duration) (scrub bool) {
		if err := s.write(t.Context(), "Test", "life", noSavepoint|noTx, func(*conn) error {
			now := time.Now()
			s.upkeep.truncated = now.Add(-age)
			s.limitLife(now)
			scrub = s.upkeep.scrub
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return scrub
	}
	if at(logLife - time.Second) {
		t.Error("the log is to be truncated too early")
	}
	if !at(logLife) {
		t.Error("the log is not to be truncated")
	}
	until(t, steps, "the log to be truncated", func() bool { return s.logFileSize() == 0 })
	if at(logLife) {
		t.Error("an empty log is to be truncated")
	}

	old, err := connectFor(s.cfg.Path, sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = old.Close() }()
	if err := sqlitex.ExecuteTransient(old, "BEGIN", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := queryInt(old, "SELECT count(*) FROM account"); err != nil {
		t.Fatal(err)
	}
	fillMailbox(t, s, juliet, 10, 100_000)
	if at(logLife) {
		t.Error("a large log is to be truncated at once, although there are writes")
	}
	if !at(logLife) {
		t.Error("a large log is not to be truncated, although there are no writes")
	}
}

// TestDeletedText: the files contain no data of a deleted account, neither what it had at
// the end nor what was deleted before: soon after a server deleted it, and when a command
// that deleted it while a server was running has ended.
func TestDeletedText(t *testing.T) {
	t.Run("server", func(t *testing.T) { testDeletedText(t, false) })
	t.Run("command", func(t *testing.T) { testDeletedText(t, true) })
}

func testDeletedText(t *testing.T, byCommand bool) {
	ctx := t.Context()
	dir := t.TempDir()
	path := filepath.Join(dir, FileName)
	server := openTest(t, Config{Path: path})
	command := openTest(t, Config{Path: path})
	const secret = "zanzibarian"
	rnd := rand.New(rand.NewPCG(1, 2))
	text := func() []byte { return bytes.Repeat([]byte(secret+" "), 1+rnd.IntN(1<<rnd.IntN(12))) }
	accounts := []jid.JID{juliet}
	for i := range 60 {
		accounts = append(accounts, jid.MustParse(fmt.Sprintf("other%d@example.com", i)))
	}
	for _, j := range accounts {
		if err := server.CreateAccount(ctx, store.Account{JID: j}); err != nil {
			t.Fatal(err)
		}
	}
	// Rows of other accounts are added and deleted between those of the account, so
	// that pages are split and merged.
	for step := range 1200 {
		j, b := accounts[rnd.IntN(len(accounts))], text()
		if j != juliet {
			b = bytes.ReplaceAll(b, []byte(secret), []byte("ordinarily?"))
		}
		var err error
		switch rnd.IntN(4) {
		case 0:
			err = server.AppendOffline(ctx, j, store.NewMessage{From: juliet, Stanza: b, Received: time.Now()}, store.OfflineQuota{})
		case 1:
			err = server.UpdateBlobs(ctx, store.BlobSet{Owner: j, Kind: "private"}, func(tx store.BlobTx) error {
				return tx.Put(fmt.Sprint(rnd.IntN(20)), b)
			})
		case 2:
			var r store.Roster
			if r, err = server.Roster(ctx, j); err == nil {
				item := &store.RosterItem{JID: jid.MustParse(fmt.Sprintf("c%d@example.org", rnd.IntN(40))), Name: string(b[:min(len(b), 200)])}
				_, err = server.ApplyRoster(ctx, []store.RosterUpdate{{Owner: j, Expect: r.Version, Put: item}})
			}
		case 3:
			if step%5 == 0 {
				err = deleteAll(ctx, server, j)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	found := func() (all []string) {
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(b, []byte(secret)); n > 0 {
				all = append(all, fmt.Sprintf("%d times in %s", n, filepath.Base(name)))
			}
		}
		return all
	}
	// A value that has its own pages is overwritten in them.
	err := server.UpdateBlobs(ctx, store.BlobSet{Owner: juliet, Kind: "vcard"}, func(tx store.BlobTx) error {
		return tx.Put("", bytes.Repeat([]byte(secret), 20_000))
	})
	if err != nil {
		t.Fatal(err)
	}
	if found() == nil {
		t.Fatal("the files do not contain the text before the deletion")
	}
	if !byCommand {
		steps := stepped(t, server)
		if err := server.DeleteAccount(ctx, juliet, store.AnyEvent); err != nil {
			t.Fatal(err)
		}
		until(t, steps, "the text to disappear", func() bool { return found() == nil })
		return
	}
	if err := command.DeleteAccount(ctx, juliet, store.AnyEvent); err != nil {
		t.Fatal(err)
	}
	if err := command.Close(); err != nil {
		t.Fatal(err)
	}
	if left := found(); left != nil {
		t.Error(left)
	}
}
