package sqlite

import (
	"fmt"
	"runtime"
	"testing"

	"roost/jid"
	"roost/store"
)

// TestRowsOfTransaction: a transaction ends after a number of rows, so that the first of its
// writes does not wait for many that change long lists. Small ones share a transaction.
func TestRowsOfTransaction(t *testing.T) {
	const writes = 6
	s := openTest(t, Config{})
	if err := s.CreateAccount(t.Context(), store.Account{JID: juliet}); err != nil {
		t.Fatal(err)
	}
	f := func(rows int, change func(tx store.BlobTx, key string) error, want int64) {
		t.Helper()
		// The writer is blocked until all writes are in its queue.
		release, waits, done := make(chan struct{}), make(chan struct{}), make(chan error, writes+1)
		go func() {
			done <- s.write(t.Context(), "Test", "wait", noSavepoint|noTx, func(*conn) error { close(waits); <-release; return nil })
		}()
		<-waits
		before := s.Commits()
		for i := range writes {
			go func() { done <- changeRows(t, s, juliet, fmt.Sprint(i), rows, change) }()
		}
		for len(s.queue) < writes {
			runtime.Gosched()
		}
		close(release)
		for range writes + 1 {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		if n := s.Commits() - before; n != want {
			t.Errorf("%d writes of %d rows took %d transactions, want %d", writes, rows, n, want)
		}
	}
	put := func(tx store.BlobTx, key string) error { return tx.Put(key, nil) }
	f(3, put, 1)
	f(maxRows/4, put, 2)
	f(maxRows/4, store.BlobTx.Delete, 2)
}

// changeRows changes rows of a set, in one write.
func changeRows(t *testing.T, s *Store, owner jid.JID, kind string, rows int, change func(tx store.BlobTx, key string) error) error {
	return s.UpdateBlobs(t.Context(), store.BlobSet{Owner: owner, Kind: kind}, func(tx store.BlobTx) error {
		for i := range rows {
			if err := change(tx, fmt.Sprint(i)); err != nil {
				return err
			}
		}
		return nil
	})
}
