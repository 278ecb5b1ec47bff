package sqlite

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"roost/jid"
	"roost/store"
)

// TestAppendPlan: the queries of an append only search covering indexes. So its cost does not
// depend on the size of the mailbox, except for those that count messages.
func TestAppendPlan(t *testing.T) {
	s := openTest(t, Config{})
	err := s.read(t.Context(), "Test", "explain", func(c *conn) error {
		for _, q := range []query{qMailbox, qMailboxFirst, qSenderFirst, qSenderLast, qMailboxCount, qSenderCount} {
			steps, args := 0, []any{"x"}
			if strings.Contains(queries[q], "?2") {
				args = append(args, "y")
			}
			err := sqlitex.ExecuteTransient(c.Conn, "EXPLAIN QUERY PLAN "+queries[q], &sqlitex.ExecOptions{
				Args: args,
				ResultFunc: func(st *sqlite.Stmt) error {
					detail := st.ColumnText(3)
					switch {
					case strings.HasPrefix(detail, "SEARCH"):
						steps++
						if !strings.Contains(detail, "USING COVERING INDEX") {
							t.Errorf("query %d reads a table: %s", q, detail)
						}
					case strings.Contains(detail, "SCAN"), strings.Contains(detail, "TEMP B-TREE"):
						t.Errorf("query %d: %s", q, detail)
					}
					return nil
				},
			})
			if err != nil || steps == 0 {
				return fmt.Errorf("query %d has %d steps: %w", q, steps, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestOldMessages: the messages of a database from before quotas in bytes keep their order
// and IDs, and count towards the quotas.
func TestOldMessages(t *testing.T) {
	ctx := t.Context()
	path, c := oldDatabase(t, 3)
	err := sqlitex.ExecuteScript(c, `
		INSERT INTO account VALUES (1, 'example.com', 'juliet', '', 1, '', '', '', '', 0, 0, 1, 1), (2, 'example.com', 'nurse', '', 1, '', '', '', '', 0, 0, 1, 1);
		INSERT INTO offline VALUES (10, 1, 5, 0, x'616161'), (11, 2, 1, 0, x'62'), (12, 1, 6, 0, x'6363'), (20, 2, 2, 0, x'64');
		DELETE FROM offline WHERE id = 20;`, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()

	s := openTest(t, Config{Path: path})
	add := func(owner jid.JID, size int, want error) {
		t.Helper()
		m := store.NewMessage{From: owner, Stanza: make([]byte, size), Received: time.Now()}
		if err := s.AppendOffline(ctx, owner, m, store.OfflineQuota{Messages: 3, Bytes: 8}); (err == nil) != (want == nil) {
			t.Errorf("AppendOffline of %d bytes: %v, want %v", size, err, want)
		}
	}
	add(juliet, 4, store.ErrQuota)
	add(juliet, 2, nil)
	add(juliet, 1, store.ErrQuota)
	msgs, more, err := s.Offline(ctx, juliet, 0, 100)
	if err != nil || more || len(msgs) != 3 || msgs[0].ID != 10 || msgs[1].ID != 12 || string(msgs[1].Stanza) != "cc" {
		t.Fatalf("%+v, %v, %v", msgs, more, err)
	}
	if id := msgs[2].ID; id <= 20 {
		t.Errorf("the ID %d was reused", id)
	}
	if err := s.DeleteOffline(ctx, juliet, []int64{10}); err != nil {
		t.Fatal(err)
	}
	add(juliet, 4, nil)
	add(juliet, 0, store.ErrQuota)
}

// TestCountedOnce: messages to a mailbox that is full are refused without counting those in
// it each time, until one is deleted.
func TestCountedOnce(t *testing.T) {
	ctx := t.Context()
	s := openTest(t, Config{})
	if err := s.CreateAccount(ctx, store.Account{JID: juliet}); err != nil {
		t.Fatal(err)
	}
	add := func(want error) {
		t.Helper()
		m := store.NewMessage{From: juliet, Stanza: []byte("x"), Received: time.Now()}
		if err := s.AppendOffline(ctx, juliet, m, store.OfflineQuota{Messages: 3}); !errors.Is(err, want) {
			t.Fatalf("AppendOffline: %v, want %v", err, want)
		}
	}
	// pretend changes what was counted to nothing.
	pretend := func() {
		t.Helper()
		err := s.write(ctx, "Test", "change", noSavepoint|noTx, func(c *conn) error {
			n, ok := c.counted[juliet.String()][""]
			if !ok {
				return errors.New("nothing was counted")
			}
			n.exact = span{}
			c.counted[juliet.String()][""] = n
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		add(nil)
	}
	add(store.ErrQuota)
	add(store.ErrQuota)
	pretend()
	add(nil) // it was not counted again
	add(store.ErrQuota)
	pretend()
	if err := s.DeleteOffline(ctx, juliet, []int64{2}); err != nil {
		t.Fatal(err)
	}
	add(store.ErrQuota) // three are left
}

// TestCountsLimited: the memory for counts is limited.
func TestCountsLimited(t *testing.T) {
	var n counts
	all := 0
	for i := range 2 * countedOwners {
		for k := range 2 * countedSenders {
			_, _ = n.exactly(fmt.Sprint(i), fmt.Sprint(k), span{}, func() (span, error) { return span{}, nil })
		}
	}
	for _, of := range n {
		all += len(of)
	}
	if all == 0 || all > countedOwners*countedSenders {
		t.Errorf("%d counts are remembered, want at most %d", all, countedOwners*countedSenders)
	}
}

// dataVersion returns a number that changes with each commit of another connection.
func dataVersion(t *testing.T, s *Store) (version int64) {
	t.Helper()
	err := s.write(t.Context(), "Test", "pragma", noSavepoint|noTx, func(c *conn) (err error) {
		version, err = queryInt(c.Conn, "PRAGMA data_version")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return version
}

// TestRefusedMessageCommits: a message that is refused, because the account does not exist
// or the quota is exceeded, takes a commit as a stored one does: the file changes.
func TestRefusedMessageCommits(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "roost.db")
	s, other := openTest(t, Config{Path: path}), openTest(t, Config{Path: path})
	juliet, romeo := jid.MustParse("juliet@example.com"), jid.MustParse("romeo@example.com")
	if err := s.CreateAccount(ctx, store.Account{JID: juliet}); err != nil {
		t.Fatal(err)
	}
	f := func(desc string, to jid.JID, want error) {
		t.Helper()
		before := dataVersion(t, other)
		err := s.AppendOffline(ctx, to, store.NewMessage{From: romeo, Stanza: []byte("<message/>"), Received: time.Now()}, store.OfflineQuota{Messages: 1})
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", desc, err, want)
		}
		if dataVersion(t, other) == before {
			t.Errorf("%s: the file has not changed", desc)
		}
	}
	f("stored", juliet, nil)
	f("quota exceeded", juliet, store.ErrQuota)
	f("no account", romeo, store.ErrNotFound)
	if n, err := s.CountOffline(ctx, juliet); err != nil || n != 1 {
		t.Errorf("%d messages are stored, %v", n, err)
	}
}
