package memstore

import (
	"context"
	"errors"
	"slices"
	"strings"

	"roost/jid"
	"roost/store"
)

// blobKey names one value of an account.
type blobKey struct{ kind, key string }

// blob returns a copy of a value, or nil if there is none.
func (a *account) blob(kind, key string) []byte {
	value, ok := a.blobs[blobKey{kind, key}]
	if !ok {
		return nil
	}
	return append([]byte{}, value...)
}

// blobKeys returns the keys of one kind in the order of their bytes.
func (a *account) blobKeys(kind string) (keys []string) {
	for k := range a.blobs {
		if k.kind == kind {
			keys = append(keys, k.key)
		}
	}
	slices.Sort(keys)
	return keys
}

// usage returns the number and size of the values of one kind.
func (a *account) usage(kind string) (u store.BlobQuota) {
	for k, value := range a.blobs {
		if k.kind == kind {
			u.Values++
			u.Bytes += int64(len(value))
		}
	}
	return u
}

// Blob implements store.Blobs.
func (s *Store) Blob(ctx context.Context, owner jid.JID, kind, key string) (value []byte, err error) {
	err = s.read(ctx, "Blob", "read "+kind+" of "+owner.BareString(), func(l *Location) error {
		if a := l.find(owner); a != nil {
			value = a.blob(kind, key)
		}
		return nil
	})
	return value, err
}

// BlobKeys implements store.Blobs.
func (s *Store) BlobKeys(ctx context.Context, owner jid.JID, kind string) (keys []string, err error) {
	err = s.read(ctx, "BlobKeys", "list "+kind+" of "+owner.BareString(), func(l *Location) error {
		if a := l.find(owner); a != nil {
			keys = a.blobKeys(kind)
		}
		return nil
	})
	return keys, err
}

// UpdateBlobs implements store.Blobs.
func (s *Store) UpdateBlobs(ctx context.Context, set store.BlobSet, f func(store.BlobTx) error) error {
	return s.write(ctx, "UpdateBlobs", "update "+set.Kind+" of "+set.Owner.BareString(), func(t *tx) error {
		a, err := t.account(set.Owner)
		if err == nil && set.Generation != 0 && set.Generation != a.Generation {
			err = store.ErrNotFound
		}
		if err != nil {
			return err
		}
		before := a.usage(set.Kind)
		blobs := &blobTx{a: a, kind: strings.Clone(set.Kind)}
		defer blobs.end()
		if err := f(blobs); err != nil {
			return err
		}
		if blobs.err != nil {
			return blobs.err
		}
		if set.Quota.Exceeded(before, a.usage(set.Kind)) {
			return store.ErrQuota
		}
		return nil
	})
}

// errTxEnded means that a transaction was used after its function had returned.
var errTxEnded = errors.New("the transaction has ended")

// blobTx is a store.BlobTx.
type blobTx struct {
	a    *account // nil after the end
	kind string
	err  error // of Put: the transaction fails, even if f ignores it
}

func (tx *blobTx) end() { tx.a = nil }

// Get implements store.BlobTx.
func (tx *blobTx) Get(key string) ([]byte, error) {
	if tx.a == nil {
		return nil, errTxEnded
	}
	return tx.a.blob(tx.kind, key), nil
}

// Keys implements store.BlobTx.
func (tx *blobTx) Keys() ([]string, error) {
	if tx.a == nil {
		return nil, errTxEnded
	}
	return tx.a.blobKeys(tx.kind), nil
}

// Put implements store.BlobTx.
func (tx *blobTx) Put(key string, value []byte) error {
	if tx.a == nil {
		return errTxEnded
	}
	if err := store.CheckKey(key); err != nil {
		tx.err = err
		return err
	}
	tx.a.blobs[blobKey{tx.kind, strings.Clone(key)}] = slices.Clone(value)
	return nil
}

// Delete implements store.BlobTx.
func (tx *blobTx) Delete(key string) error {
	if tx.a == nil {
		return errTxEnded
	}
	delete(tx.a.blobs, blobKey{tx.kind, key})
	return nil
}
