package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"roost/jid"
	"roost/store"
)

const (
	sqlBlob     = `SELECT value FROM blob WHERE account = (SELECT id FROM account WHERE domain = $1 AND local = $2) AND kind = $3 AND key = $4`
	sqlBlobKeys = `SELECT key FROM blob WHERE account = (SELECT id FROM account WHERE domain = $1 AND local = $2) AND kind = $3 ORDER BY key`

	// In a transaction, by the ID of the account.
	sqlLockAccount = `SELECT id FROM account WHERE domain = $1 AND local = $2 AND ($3 = 0 OR generation = $3) FOR NO KEY UPDATE`
	sqlBlobOf      = `SELECT value FROM blob WHERE account = $1 AND kind = $2 AND key = $3`
	sqlKeysOf      = `SELECT key FROM blob WHERE account = $1 AND kind = $2 ORDER BY key`
	// The size of a value is known without reading it.
	sqlBlobUsage  = `SELECT count(*), coalesce(sum(length(value)), 0) FROM blob WHERE account = $1 AND kind = $2`
	sqlDeleteBlob = `DELETE FROM blob WHERE account = $1 AND kind = $2 AND key = $3`
	sqlPutBlob    = `INSERT INTO blob (account, kind, key, value) VALUES ($1, $2, $3, $4)
		ON CONFLICT (account, kind, key) DO UPDATE SET value = excluded.value`
)

// Blob implements store.Blobs.
func (s *Store) Blob(ctx context.Context, owner jid.JID, kind, key string) (value []byte, err error) {
	err = s.lookup(ctx, "Blob", "read "+kind+" of "+owner.BareString(), sqlBlob, append(address(owner), kind, key), nil, into(&value))
	return value, err
}

// BlobKeys implements store.Blobs.
func (s *Store) BlobKeys(ctx context.Context, owner jid.JID, kind string) (keys []string, err error) {
	reset := func() { keys = nil }
	err = s.lookup(ctx, "BlobKeys", "list "+kind+" of "+owner.BareString(), sqlBlobKeys, append(address(owner), kind), reset, func(rows pgx.Rows) error {
		var key string
		err := rows.Scan(&key)
		keys = append(keys, key)
		return err
	})
	return keys, err
}

// UpdateBlobs implements store.Blobs. It has a transaction of its own, so no other write
// waits for f unless it is about the same account.
func (s *Store) UpdateBlobs(ctx context.Context, set store.BlobSet, f func(store.BlobTx) error) error {
	what := "update " + set.Kind + " of " + set.Owner.BareString()
	done, err := s.cfg.Options.Begin(ctx, store.Op{Name: "UpdateBlobs", Writes: true})
	if err != nil {
		return err
	}
	defer done()
	err = s.usable(ctx)
	if usurped := s.usurped.Load(); err == nil && usurped != nil {
		err = usurped
	}
	if err != nil {
		return s.wrap(what, err)
	}
	u := &blobUpdate{set: set, f: f}
	var last error // after f was called: it must not be called again
	err = s.retry(ctx, func() error {
		err := s.withConn(ctx, u.run)
		if u.called {
			last, err = err, nil
		}
		return err
	})
	if err == nil {
		err = last
	}
	return s.wrap(what, err)
}

// blobUpdate is one call of UpdateBlobs.
type blobUpdate struct {
	set    store.BlobSet
	f      func(store.BlobTx) error
	called bool // f was called
}

// run executes the transaction on a connection.
func (u *blobUpdate) run(ctx context.Context, c *pgx.Conn) error {
	tx, err := c.Begin(ctx)
	if err != nil {
		return err
	}
	committed := false
	defer func() { // also if f panics or ends its goroutine
		if !committed {
			_ = tx.Rollback(ctx)
		}
	}()
	if err := u.change(ctx, tx); err != nil {
		return err
	}
	err = tx.Commit(ctx)
	committed = err == nil
	if err != nil && !isAborted(err) {
		err = errors.Join(ErrUnknown, err)
	}
	return err
}

// change locks the account and calls f.
func (u *blobUpdate) change(ctx context.Context, tx pgx.Tx) error {
	t := &blobTx{ctx: ctx, tx: tx, kind: u.set.Kind}
	defer t.end()
	err := tx.QueryRow(ctx, sqlLockAccount, append(address(u.set.Owner), u.set.Generation)...).Scan(&t.account)
	if errors.Is(err, pgx.ErrNoRows) {
		return store.ErrNotFound
	}
	if err != nil {
		return err
	}
	var before, after store.BlobQuota
	limited := u.set.Quota != store.BlobQuota{}
	if limited {
		if before, err = t.usage(); err != nil {
			return err
		}
	}
	u.called = true
	if err := u.f(t); err != nil {
		return err
	}
	if t.err != nil || !limited {
		return t.err
	}
	if after, err = t.usage(); err == nil && u.set.Quota.Exceeded(before, after) {
		err = store.ErrQuota
	}
	return err
}

// errTxEnded means that a transaction was used after its function had returned.
var errTxEnded = errors.New("the transaction has ended")

// blobTx is a store.BlobTx.
type blobTx struct {
	ctx     context.Context // of the transaction
	tx      pgx.Tx          // nil after the end
	account int64
	kind    string
	err     error // the first one; all further calls and the transaction fail, even if f ignores it
}

func (t *blobTx) end() { t.tx = nil }

// do runs a statement about the set, with further arguments, and calls row for each row of
// the result.
func (t *blobTx) do(sql string, row func(pgx.Rows) error, args ...any) error {
	if t.tx == nil {
		return errTxEnded
	}
	if t.err != nil {
		return t.err
	}
	rows, err := t.tx.Query(t.ctx, sql, append([]any{t.account, t.kind}, args...)...)
	if err == nil {
		err = each(rows, row)
	}
	t.err = err
	return err
}

// usage returns the number and size of the values.
func (t *blobTx) usage() (u store.BlobQuota, err error) {
	err = t.do(sqlBlobUsage, into(&u.Values, &u.Bytes))
	return u, err
}

// Get implements store.BlobTx.
func (t *blobTx) Get(key string) (value []byte, err error) {
	err = t.do(sqlBlobOf, into(&value), key)
	return value, err
}

// Keys implements store.BlobTx.
func (t *blobTx) Keys() (keys []string, err error) {
	err = t.do(sqlKeysOf, func(rows pgx.Rows) error {
		var key string
		err := rows.Scan(&key)
		keys = append(keys, key)
		return err
	})
	return keys, err
}

// Put implements store.BlobTx.
func (t *blobTx) Put(key string, value []byte) error {
	if err := store.CheckKey(key); err != nil && t.err == nil {
		t.err = err
	}
	return t.do(sqlPutBlob, into(), key, bytesOf(value))
}

// Delete implements store.BlobTx.
func (t *blobTx) Delete(key string) error { return t.do(sqlDeleteBlob, into(), key) }
