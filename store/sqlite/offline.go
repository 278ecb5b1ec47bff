package sqlite

import (
	"context"
	"time"

	"zombiezen.com/go/sqlite/sqlitex"

	"roost/jid"
	"roost/store"
)

// AppendOffline implements store.Offline.
func (s *Store) AppendOffline(ctx context.Context, owner jid.JID, stanza []byte, received time.Time, quota int) error {
	return s.write(ctx, "keep message for "+owner.BareString(), true, func(c *conn) error {
		id, first, last, err := c.offlineSeqs(owner)
		if err != nil {
			return err
		}
		if last-first+1 >= int64(quota) {
			return store.ErrQuota
		}
		// One statement instead of two would make SQLite copy what it reads, for
		// it reads the table that it writes.
		st, err := c.stmt(qAppendOffline)
		if err != nil {
			return err
		}
		st.BindInt64(1, id)
		st.BindInt64(2, last+1)
		st.BindInt64(3, received.UnixMilli())
		st.BindBytes(4, stanza)
		_, err = c.run(st)
		return err
	})
}

// offlineSeqs is the ID of an account and the first and the last number of its
// messages, 1 and 0 when there is none; or store.ErrNotFound.
func (c *conn) offlineSeqs(owner jid.JID) (id, first, last int64, err error) {
	return c.threeInts(qOfflineSeqs, owner)
}

// Offline implements store.Offline.
func (s *Store) Offline(ctx context.Context, owner jid.JID, after int64, maxBytes int) (msgs []store.OfflineMessage, more bool, err error) {
	err = s.read(ctx, "read messages kept for "+owner.BareString(), func(c *conn) error {
		st, err := c.account(qOffline, owner)
		if err != nil {
			return err
		}
		st.BindInt64(3, after)
		defer st.Reset()
		for size := 0; ; {
			ok, err := st.Step()
			if err != nil || !ok {
				return err
			}
			if size += st.ColumnLen(2); size > maxBytes && len(msgs) > 0 {
				more = true
				return nil
			}
			msgs = append(msgs, store.OfflineMessage{
				ID: st.ColumnInt64(0), Received: time.UnixMilli(st.ColumnInt64(1)).UTC(), Stanza: blob(st, 2),
			})
		}
	})
	if err != nil {
		return nil, false, err
	}
	return msgs, more, nil
}

// DeleteOffline implements store.Offline.
func (s *Store) DeleteOffline(ctx context.Context, owner jid.JID, upTo int64) error {
	return s.write(ctx, "delete messages kept for "+owner.BareString(), true, func(c *conn) error {
		st, err := c.account(qDeleteOffline, owner)
		if err != nil {
			return err
		}
		st.BindInt64(3, upTo)
		_, err = c.run(st)
		return err
	})
}

// CountOffline implements store.Offline.
func (s *Store) CountOffline(ctx context.Context, owner jid.JID) (n int, err error) {
	err = s.read(ctx, "count messages kept for "+owner.BareString(), func(c *conn) error {
		st, err := c.account(qCountOffline, owner)
		if err == nil {
			n, err = sqlitex.ResultInt(st)
		}
		return err
	})
	return n, err
}
