package postgres

import (
	"context"
	"errors"
	"testing"

	"roost/internal/pgtest"
	"roost/store"
)

// lockTable makes statements about a table wait until unlock, in the way that a mode of LOCK TABLE excludes them.
func lockTable(t *testing.T, s *Store, table, mode string) (unlock func()) {
	t.Helper()
	tx, err := connectTest(t, s).Begin(t.Context())
	if err == nil {
		_, err = tx.Exec(t.Context(), `LOCK TABLE `+table+` IN `+mode+` MODE`)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// waitsFor waits until a statement waits for the lock of a table, or ended is closed.
func waitsFor(t *testing.T, s *Store, table string, ended <-chan struct{}) {
	t.Helper()
	await(t, "a statement to wait", func() bool {
		select {
		case <-ended:
			return true
		default:
		}
		var waits bool
		err := s.query(t.Context(), "Test", "look for a lock", `SELECT EXISTS (SELECT 1 FROM pg_locks WHERE relation = $1::text::regclass AND NOT granted)`, []any{table}, nil, into(&waits))
		if err != nil {
			t.Fatal(err)
		}
		return waits
	})
}

// TestEndCopyInterrupted: a copy that is interrupted while the statistics are made can be continued.
func TestEndCopyInterrupted(t *testing.T) {
	url := pgtest.Shared(t).URL(t)
	s := openTest(t, url, Config{Options: store.Options{Use: store.Copying}})
	if err := s.BeginCopy(t.Context(), "the source"); err != nil {
		t.Fatal(err)
	}
	unlock := lockTable(t, s, "account", "SHARE UPDATE EXCLUSIVE")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	var err error
	go func() {
		defer close(ended)
		err = s.EndCopy(ctx)
	}()
	waitsFor(t, s, "account", ended)
	cancel()
	<-ended
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that it is interrupted", err)
	}
	if source, err := s.CopySource(t.Context()); source != "the source" || err != nil {
		t.Errorf("interrupted: the copy is of %q, %v", source, err)
	}
	unlock()
	if err := s.EndCopy(t.Context()); err != nil {
		t.Error(err)
	}
	if source, err := s.CopySource(t.Context()); source != "" || err != nil {
		t.Errorf("afterwards: the copy is of %q, %v", source, err)
	}
}
