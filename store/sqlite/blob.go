package sqlite

import (
	"context"
	"time"

	"roost/jid"
	"roost/store"
)

// Blob implements store.Blobs.
func (s *Store) Blob(ctx context.Context, owner jid.JID, kind, key string) (value []byte, err error) {
	err = s.read(ctx, "read "+kind+" of "+owner.BareString(), func(c *conn) error {
		st, err := c.account(qBlob, owner)
		if err != nil {
			return err
		}
		st.BindText(3, kind)
		st.BindText(4, key)
		defer st.Reset()
		ok, err := st.Step()
		if ok {
			value = blob(st, 0)
		}
		return err
	})
	return value, err
}

// PutBlob implements store.Blobs.
func (s *Store) PutBlob(ctx context.Context, owner jid.JID, kind, key string, value []byte) error {
	q := qPutBlob
	if value == nil {
		q = qDeleteBlob
	}
	return s.write(ctx, "write "+kind+" of "+owner.BareString(), true, func(c *conn) error {
		st, err := c.account(q, owner)
		if err != nil {
			return err
		}
		st.BindText(3, kind)
		st.BindText(4, key)
		if value != nil {
			st.BindBytes(5, value)
		}
		n, err := c.run(st)
		if err == nil && n == 0 && value != nil {
			return store.ErrNotFound
		}
		return err
	})
}

// SetLast implements store.Activity.
func (s *Store) SetLast(ctx context.Context, batch []store.Last) error {
	return s.write(ctx, "write last activity", false, func(c *conn) error {
		for _, l := range batch {
			st, err := c.account(qSetLast, l.Owner)
			if err != nil {
				return err
			}
			st.BindInt64(3, l.At.Unix())
			st.BindBytes(4, l.Status)
			if _, err := c.run(st); err != nil {
				return err
			}
		}
		return nil
	})
}

// Last implements store.Activity.
func (s *Store) Last(ctx context.Context, owner jid.JID) (store.Last, error) {
	l := store.Last{Owner: owner.Bare().Clone()}
	err := s.read(ctx, "read last activity of "+owner.BareString(), func(c *conn) error {
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
		return store.Last{}, err
	}
	return l, nil
}
