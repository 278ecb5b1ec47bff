package postgres

import (
	"testing"
	"time"

	"roost/internal/pgtest"
	"roost/store"
)

// TestOldEvents: a change of an account does not wait until old events are deleted, of which there may
// be millions. Bug: it deleted all of them in its own statement, which has a time limit.
func TestOldEvents(t *testing.T) {
	ctx := t.Context()
	s := openTest(t, pgtest.Shared(t).URL(t), Config{})
	c := connectTest(t, s)
	execTest(t, c, `INSERT INTO account_event (id, jid, kind, at) SELECT nextval('account_event_id'), 'u@example.com', 1, 0 FROM generate_series(1, 3000)`)
	if err := s.CreateAccount(ctx, store.Account{JID: user(1)}); err != nil {
		t.Fatal(err)
	}
	count := func() (n int) {
		t.Helper()
		if err := c.QueryRow(ctx, `SELECT count(*) FROM account_event`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := count(); n != 3001 {
		t.Errorf("after a change there are %d events, want 3001", n)
	}
	if err := s.ForgetDeleted(ctx, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 1 {
		t.Errorf("%d events are left, want 1", n)
	}
}

// TestManyNames: the names of many deleted accounts are forgotten in several transactions.
func TestManyNames(t *testing.T) {
	ctx := t.Context()
	s := openTest(t, pgtest.Shared(t).URL(t), Config{})
	c := connectTest(t, s)
	execTest(t, c, `INSERT INTO tombstone (jid, deleted) SELECT 'u' || n || '@example.com', n FROM generate_series(1, 2500) AS n`)
	before := s.Commits()
	if err := s.ForgetDeleted(ctx, time.Unix(2401, 0), time.Time{}); err != nil {
		t.Fatal(err)
	}
	var left int
	if err := c.QueryRow(ctx, `SELECT count(*) FROM tombstone WHERE deleted > 2400`).Scan(&left); err != nil || left != 100 {
		t.Errorf("%d names that are not old are left, want 100; %v", left, err)
	}
	if err := c.QueryRow(ctx, `SELECT count(*) FROM tombstone`).Scan(&left); err != nil || left != 100 {
		t.Errorf("%d names are left, want 100; %v", left, err)
	}
	if n := s.Commits() - before; n != 3 {
		t.Errorf("%d transactions, want 3", n)
	}
}
