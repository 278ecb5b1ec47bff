package sqlite

import (
	"context"
	"errors"

	"zombiezen.com/go/sqlite"

	"roost/jid"
	"roost/store"
)

// Blob implements store.Blobs.
func (s *Store) Blob(ctx context.Context, owner jid.JID, kind, key string) (value []byte, err error) {
	err = s.read(ctx, "Blob", "read "+kind+" of "+owner.BareString(), func(c *conn) error {
		st, err := c.account(qBlob, owner)
		if err != nil {
			return err
		}
		st.BindText(3, kind)
		st.BindText(4, key)
		return each(st, func() error {
			value = blob(st, 0)
			return nil
		})
	})
	return value, err
}

// BlobKeys implements store.Blobs.
func (s *Store) BlobKeys(ctx context.Context, owner jid.JID, kind string) (keys []string, err error) {
	err = s.read(ctx, "BlobKeys", "list "+kind+" of "+owner.BareString(), func(c *conn) error {
		account, err := c.accountRow(owner)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err == nil {
			keys, err = c.blobKeys(account.id, kind)
		}
		return err
	})
	return keys, err
}

// UpdateBlobs implements store.Blobs.
func (s *Store) UpdateBlobs(ctx context.Context, set store.BlobSet, f func(store.BlobTx) error) error {
	return s.writeHere(ctx, "UpdateBlobs", "update "+set.Kind+" of "+set.Owner.BareString(), func(c *conn) error {
		c.freed = true
		account, err := c.accountRow(set.Owner)
		if err == nil && set.Generation != 0 && set.Generation != account.generation {
			err = store.ErrNotFound
		}
		if err != nil {
			return err
		}
		tx := &blobTx{c: c, account: account.id, kind: set.Kind}
		defer tx.end()
		if set.Quota == (store.BlobQuota{}) {
			return tx.run(f)
		}
		before, err := c.blobUsage(account.id, set.Kind)
		if err != nil {
			return err
		}
		if err := tx.run(f); err != nil {
			return err
		}
		after, err := c.blobUsage(account.id, set.Kind)
		if err == nil && set.Quota.Exceeded(before, after) {
			err = store.ErrQuota // the savepoint undoes the writes
		}
		return err
	})
}

// blobUsage returns the number and size of an account's values of one kind.
func (c *conn) blobUsage(id int64, kind string) (u store.BlobQuota, err error) {
	st, err := c.stmt(qBlobUsage)
	if err != nil {
		return u, err
	}
	st.BindInt64(1, id)
	st.BindText(2, kind)
	err = each(st, func() error {
		u.Values, u.Bytes = st.ColumnInt(0), st.ColumnInt64(1)
		return nil
	})
	return u, err
}

// blobKeys returns the keys of an account's values of one kind.
func (c *conn) blobKeys(id int64, kind string) (keys []string, err error) {
	st, err := c.stmt(qBlobKeys)
	if err != nil {
		return nil, err
	}
	st.BindInt64(1, id)
	st.BindText(2, kind)
	err = each(st, func() error {
		keys = append(keys, st.ColumnText(0))
		return nil
	})
	return keys, err
}

// errTxEnded means that a transaction was used after its function had returned.
var errTxEnded = errors.New("the transaction has ended")

// blobTx is a store.BlobTx.
type blobTx struct {
	c       *conn // nil after the end
	account int64
	kind    string
	err     error // the first one; all further calls and the transaction fail, even if f ignores it
}

func (tx *blobTx) run(f func(store.BlobTx) error) error {
	if err := f(tx); err != nil {
		return err
	}
	return tx.err
}

func (tx *blobTx) end() { tx.c = nil }

// usable returns an error if no statement may run. After some errors, such as a full disk,
// SQLite has undone the whole transaction: a further change would be a transaction of its
// own.
func (tx *blobTx) usable() error {
	if tx.c == nil {
		return errTxEnded
	}
	return tx.err
}

// do runs a statement about a value of the set and calls row for each row of the result.
func (tx *blobTx) do(q query, key string, bind func(*sqlite.Stmt), row func(*sqlite.Stmt)) error {
	if err := tx.usable(); err != nil {
		return err
	}
	tx.c.changed++
	st, err := tx.c.stmt(q)
	if err == nil {
		st.BindInt64(1, tx.account)
		st.BindText(2, tx.kind)
		st.BindText(3, key)
		bind(st)
		err = each(st, func() error { row(st); return nil })
	}
	tx.err = err
	return err
}

func noBind(*sqlite.Stmt) {}

func noRow(*sqlite.Stmt) {}

// Get implements store.BlobTx.
func (tx *blobTx) Get(key string) (value []byte, err error) {
	err = tx.do(qBlobOf, key, noBind, func(st *sqlite.Stmt) { value = blob(st, 0) })
	return value, err
}

// Keys implements store.BlobTx.
func (tx *blobTx) Keys() ([]string, error) {
	if err := tx.usable(); err != nil {
		return nil, err
	}
	keys, err := tx.c.blobKeys(tx.account, tx.kind)
	tx.err = err
	return keys, err
}

// Put implements store.BlobTx.
func (tx *blobTx) Put(key string, value []byte) error {
	if err := store.CheckKey(key); err != nil && tx.err == nil {
		tx.err = err
	}
	return tx.do(qPutBlob, key, func(st *sqlite.Stmt) { st.BindBytes(4, value) }, noRow)
}

// Delete implements store.BlobTx.
func (tx *blobTx) Delete(key string) error { return tx.do(qDeleteBlob, key, noBind, noRow) }
