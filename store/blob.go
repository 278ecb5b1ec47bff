package store

import (
	"context"

	"roost/jid"
)

// Blobs are small values that the server stores for an account without reading
// them, such as vCards (XEP-0054) and private storage (XEP-0049). A value has a
// kind, which names its use, and a key, which is unique within the kind.
type Blobs interface {
	// Blob returns a value, or nil if there is none.
	Blob(ctx context.Context, owner jid.JID, kind, key string) ([]byte, error)

	// BlobKeys returns the keys of an account's values of one kind, in the order
	// of their bytes. Their number is limited by the quotas of those who wrote them.
	BlobKeys(ctx context.Context, owner jid.JID, kind string) ([]string, error)

	// UpdateBlobs calls f in a transaction that reads and changes an account's
	// values of one kind. If f returns an error, UpdateBlobs returns it, wrapped,
	// and changes nothing; the same holds if f ignores an error of its BlobTx. If
	// the values exceed the quota when f has returned, UpdateBlobs returns ErrQuota
	// and changes nothing. Without an account of that name and generation it
	// returns ErrNotFound and does not call f.
	//
	// f is called at most once, on the caller's goroutine. A panic in f undoes the
	// transaction and goes on to the caller. Others see either none or all of the
	// changes, and no transaction of the same values runs at the same time, in this
	// process or another.
	//
	// Other writes of the store may wait until f has returned. Therefore f must not
	// block: no network, no lock that others hold for long, and no call of the
	// store, which would be a deadlock. What takes long is prepared before.
	UpdateBlobs(ctx context.Context, set BlobSet, f func(BlobTx) error) error
}

// BlobSet is all values of one kind that belong to one account.
type BlobSet struct {
	Owner      jid.JID
	Generation int64 // that the account must have (Account.Generation); 0: any
	Kind       string
	Quota      BlobQuota // for UpdateBlobs
}

// BlobTx is a BlobSet within a transaction. What it reads includes its own
// changes. It is valid until the function that got it returns, for one goroutine
// at a time. After an error, its methods may do nothing but return that error.
type BlobTx interface {
	// Get returns a value, or nil if there is none.
	Get(key string) ([]byte, error)

	// Keys returns all keys, in the order of their bytes.
	Keys() ([]string, error)

	// Put adds or replaces a value, which may be empty. It does not keep the slice.
	Put(key string, value []byte) error

	// Delete deletes a value if there is one.
	Delete(key string) error
}

// BlobQuota limits the values of a BlobSet. A limit of 0 is none. A set that has
// more than its quota already may be changed, but not grow.
type BlobQuota struct {
	Values int
	Bytes  int64 // of all values together, without their keys
}

// Exceeded reports whether a change of a BlobSet that had before and now has after
// is to be refused.
func (q BlobQuota) Exceeded(before, after BlobQuota) bool {
	return q.Values > 0 && after.Values > max(q.Values, before.Values) ||
		q.Bytes > 0 && after.Bytes > max(q.Bytes, before.Bytes)
}
