package sqlite

import (
	"context"
	"errors"
	"slices"
	"time"

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

// PutBlobs implements store.Blobs. The number of values that are counted is the
// one that the quota allows.
func (s *Store) PutBlobs(ctx context.Context, owner jid.JID, generation int64, kind string, values []store.BlobValue, quota store.BlobQuota) error {
	return s.write(ctx, "PutBlobs", "write "+kind+" of "+owner.BareString(), 0, func(c *conn) error {
		c.freed = true
		account, err := c.accountRow(owner)
		if err == nil && generation != 0 && generation != account.generation {
			err = store.ErrNotFound
		}
		if errors.Is(err, store.ErrNotFound) && !sets(values) {
			return nil // deleting what is not there is no error
		}
		if err != nil {
			return err
		}
		var before store.BlobQuota
		if quota != (store.BlobQuota{}) {
			if before, err = c.blobUsage(account.id, kind); err != nil {
				return err
			}
		}
		for i := range values {
			if err := c.putBlob(account.id, kind, &values[i]); err != nil {
				return err
			}
		}
		if quota == (store.BlobQuota{}) {
			return nil
		}
		after, err := c.blobUsage(account.id, kind)
		if err != nil {
			return err
		}
		tooMany := quota.Values > 0 && after.Values > max(quota.Values, before.Values)
		if tooMany || quota.Bytes > 0 && after.Bytes > max(quota.Bytes, before.Bytes) {
			return store.ErrQuota // the savepoint undoes what was written
		}
		return nil
	})
}

// sets reports whether any of the values is not deleted.
func sets(values []store.BlobValue) bool {
	return slices.ContainsFunc(values, func(v store.BlobValue) bool { return v.Value != nil })
}

// blobUsage is what an account has of one kind.
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

func (c *conn) putBlob(id int64, kind string, v *store.BlobValue) error {
	q := qPutBlob
	if v.Value == nil {
		q = qDeleteBlob
	}
	st, err := c.stmt(q)
	if err != nil {
		return err
	}
	st.BindInt64(1, id)
	st.BindText(2, kind)
	st.BindText(3, v.Key)
	if v.Value != nil {
		st.BindBytes(4, v.Value)
	}
	_, err = c.run(st)
	return err
}

// SetLast implements store.Activity.
func (s *Store) SetLast(ctx context.Context, batch []store.LastActivity) error {
	return s.write(ctx, "SetLast", "write last activity", 0, func(c *conn) error {
		for _, l := range batch {
			st, err := c.account(qSetLast, l.Owner)
			if err != nil {
				return err
			}
			st.BindInt64(3, l.At.Unix())
			st.BindBytes(4, l.Status)
			st.BindInt64(5, l.Event)
			if _, err := c.run(st); err != nil {
				return err
			}
		}
		return nil
	})
}

// LastActivity implements store.Activity.
func (s *Store) Last(ctx context.Context, owner jid.JID) (store.LastActivity, error) {
	l := store.LastActivity{Owner: owner.Bare().Clone()}
	err := s.read(ctx, "Last", "read last activity of "+owner.BareString(), func(c *conn) error {
		st, err := c.account(qLast, owner)
		if err != nil {
			return err
		}
		defer st.Reset()
		ok, err := st.Step()
		if err == nil && !ok {
			return store.ErrNotFound
		}
		if err == nil {
			l.At, l.Status = time.Unix(st.ColumnInt64(0), 0).UTC(), blob(st, 1)
		}
		return err
	})
	if err != nil {
		return store.LastActivity{}, err
	}
	return l, nil
}
