package sqlite

import (
	"testing"
	"time"

	"zombiezen.com/go/sqlite/sqlitex"

	"roost/store"
)

// TestOldEvents: a change of an account leaves old events, of which there may be millions, and the
// names of accounts that were deleted, to ForgetDeleted, which deletes some at a time.
func TestOldEvents(t *testing.T) {
	ctx := t.Context()
	s := openTest(t, Config{})
	err := s.write(ctx, "Test", "add old events", noSavepoint|noTx, func(c *conn) error {
		return sqlitex.ExecuteScript(c.Conn, `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3500)
				INSERT INTO account_event (jid, kind, at) SELECT 'u@example.com', 1, 0 FROM n;
			WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
				INSERT INTO tombstone (jid, deleted) SELECT 'u' || i || '@example.com', i FROM n;`, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CreateAccount(ctx, store.Account{JID: juliet}); err != nil {
		t.Fatal(err)
	}
	count := func(table string) (n int64) {
		t.Helper()
		err := s.read(ctx, "Test", "count", func(c *conn) (err error) {
			n, err = queryInt(c.Conn, "SELECT count(*) FROM "+table)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := count("account_event"); n != 3501 {
		t.Errorf("after a change there are %d events, want 3501", n)
	}
	before := s.Commits()
	if err := s.ForgetDeleted(ctx, time.Unix(2401, 0), time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if events, names := count("account_event"), count("tombstone"); events != 1 || names != 100 {
		t.Errorf("%d events are left, want 1, and %d names, want 100", events, names)
	}
	if n := s.Commits() - before; n != 4 {
		t.Errorf("%d transactions, want 4", n)
	}
}
