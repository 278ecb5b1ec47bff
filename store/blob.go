package store

import (
	"context"

	"roost/jid"
)

// Blobs stores small values for accounts without interpreting them, such as vCards
// (XEP-0054) and private storage (XEP-0049). A value has a kind, which names its use, and
// a key, which is unique within the kind.
type Blobs interface {
	// Blob returns a value, or nil if there is none.
	Blob(ctx context.Context, owner jid.JID, kind, key string) ([]byte, error)

	// BlobKeys returns the keys of an account's values of one kind, in the order of
	// their bytes. Only the quotas of the writers limit their number.
	BlobKeys(ctx context.Context, owner jid.JID, kind string) ([]string, error)

	// UpdateBlobs calls f in a transaction that reads and changes an account's values
	// of one kind. If f returns an error, UpdateBlobs changes nothing and returns that
	// error, wrapped; it also fails if f ignores an error of its BlobTx. If the values
	// exceed the quota after f has returned, UpdateBlobs changes nothing and returns
	// ErrQuota. Without an account of that name and generation it returns ErrNotFound
	// and does not call f.
	//
	// f is called at most once, on the caller's goroutine. A panic in f undoes the
	// transaction and continues in the caller. Others see either none or all of the
	// changes, and no other transaction of the same values runs at the same time, in
	// this process or another.
	//
	// Other writes to the store may wait until f has returned. So f must not block: it
	// must not use the network or take a lock that others hold for long. It must not
	// call the store, which would be a deadlock. Prepare slow work before the call.
	UpdateBlobs(ctx context.Context, set BlobSet, f func(BlobTx) error) error
}

// BlobSet is all values of one kind that belong to one account.
type BlobSet struct {
	Owner      jid.JID
	Generation int64 // that the account must have (Account.Generation); 0 means any
	Kind       string
	Quota      BlobQuota // for UpdateBlobs
}

// BlobTx is a BlobSet in a transaction. Reads include the transaction's own changes. It is
// valid until the function that received it returns, for one goroutine at a time. After
// an error, its methods may do nothing but return that error.
type BlobTx interface {
	// Get returns a value, or nil if there is none.
	Get(key string) ([]byte, error)

	// Keys returns all keys, in the order of their bytes.
	Keys() ([]string, error)

	// Put adds or replaces a value, which may be empty. It does not keep the slice. A key that
	// is longer than MaxKey is ErrLongKey.
	Put(key string, value []byte) error

	// Delete deletes a value if it exists.
	Delete(key string) error
}

// BlobQuota limits the values of a BlobSet. 0 means no limit. A set that already exceeds
// its quota may change, but not grow.
type BlobQuota struct {
	Values int
	Bytes  int64 // of all values together, without their keys
}

// Exceeded reports whether the quota forbids a change of a BlobSet from the size before to
// the size after.
func (q BlobQuota) Exceeded(before, after BlobQuota) bool {
	return q.Values > 0 && after.Values > max(q.Values, before.Values) ||
		q.Bytes > 0 && after.Bytes > max(q.Bytes, before.Bytes)
}
