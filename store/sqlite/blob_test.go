package sqlite

import (
	"testing"

	"zombiezen.com/go/sqlite/sqlitex"

	"roost/store"
)

// TestUpdateIgnoresError: a transaction fails even if its function ignores that one
// of its changes failed, and others in the same commit do not notice.
func TestUpdateIgnoresError(t *testing.T) {
	s := openTest(t, Config{})
	if err := s.CreateAccount(t.Context(), store.Account{JID: juliet}); err != nil {
		t.Fatal(err)
	}
	err := s.write(t.Context(), "Test", "make a trigger", whole|outside, func(c *conn) error {
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
	says(t, update("a", "bad", "b"), "store: update k of juliet@example.com: ")
	if keys, err := s.BlobKeys(t.Context(), juliet, "k"); err != nil || keys != nil {
		t.Errorf("a transaction that failed left %q, %v", keys, err)
	}
	if err := update("a", "b"); err != nil {
		t.Error(err)
	}
}

// TestUpdateGoesOnOnFullDisk: SQLite undoes the whole transaction when a write finds no
// space. A function that ignores the error and goes on changes nothing all the same. Bug:
// each of its further changes was a transaction of its own, and stayed.
func TestUpdateGoesOnOnFullDisk(t *testing.T) {
	s := openTest(t, Config{})
	if err := s.CreateAccount(t.Context(), store.Account{JID: juliet}); err != nil {
		t.Fatal(err)
	}
	pragma(t, s, "max_page_count = 50")
	err := s.UpdateBlobs(t.Context(), store.BlobSet{Owner: juliet, Kind: "k"}, func(tx store.BlobTx) error {
		if err := tx.Put("large", make([]byte, 1<<20)); err == nil {
			t.Error("there is space on a full disk")
		}
		if err := tx.Put("small", []byte("x")); err == nil {
			t.Error("a change after an error succeeds")
		}
		return nil
	})
	says(t, err, "no space is left on the disk")
	if keys, err := s.BlobKeys(t.Context(), juliet, "k"); err != nil || keys != nil {
		t.Errorf("a transaction that failed left %q, %v", keys, err)
	}
}
