package sqlite

import (
	"testing"

	"zombiezen.com/go/sqlite/sqlitex"

	"roost/store"
)

// TestUpdateIgnoresError: a transaction fails even if its function ignores the error of one
// of its changes. Other writes in the same commit are not affected.
func TestUpdateIgnoresError(t *testing.T) {
	s := openTest(t, Config{})
	if err := s.CreateAccount(t.Context(), store.Account{JID: juliet}); err != nil {
		t.Fatal(err)
	}
	err := s.write(t.Context(), "Test", "create a trigger", noSavepoint|noTx, func(c *conn) error {
		return sqlitex.ExecuteTransient(c.Conn, `CREATE TRIGGER refuse BEFORE INSERT ON blob WHEN NEW.key = 'bad'
			BEGIN SELECT RAISE(ABORT, 'a bad key'); END`, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	update := func(keys ...string) error {
		return s.UpdateBlobs(t.Context(), store.BlobSet{Owner: juliet, Kind: "k"}, func(tx store.BlobTx) error {
			failed := false
			for _, key := range keys {
				failed = failed || key == "bad"
				if err := tx.Put(key, nil); (err != nil) != failed {
					t.Errorf("Put %q: %v", key, err)
				}
			}
			return nil
		})
	}
	wantError(t, update("a", "bad", "b"), "store: update k of juliet@example.com: ")
	if keys, err := s.BlobKeys(t.Context(), juliet, "k"); err != nil || keys != nil {
		t.Errorf("a transaction that failed left %q, %v", keys, err)
	}
	if err := update("a", "b"); err != nil {
		t.Error(err)
	}
}

// TestUpdateContinuesOnFullDisk: SQLite undoes the whole transaction when a write finds no
// space. If the function ignores the error and continues, it still changes nothing. Bug:
// each of its further changes was a transaction of its own, and stayed.
func TestUpdateContinuesOnFullDisk(t *testing.T) {
	s := openTest(t, Config{})
	if err := s.CreateAccount(t.Context(), store.Account{JID: juliet}); err != nil {
		t.Fatal(err)
	}
	pragma(t, s, "max_page_count = 50")
	err := s.UpdateBlobs(t.Context(), store.BlobSet{Owner: juliet, Kind: "k"}, func(tx store.BlobTx) error {
		if err := tx.Put("large", make([]byte, 1<<20)); err == nil {
			t.Error("a write on a full disk succeeds")
		}
		if err := tx.Put("small", []byte("x")); err == nil {
			t.Error("a change after an error succeeds")
		}
		return nil
	})
	wantError(t, err, "no space is left on the disk")
	if keys, err := s.BlobKeys(t.Context(), juliet, "k"); err != nil || keys != nil {
		t.Errorf("a transaction that failed left %q, %v", keys, err)
	}
}
