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
		st, err := c.account(qAppendOffline, owner)
		if err != nil {
			return err
		}
		st.BindInt64(3, received.UnixMilli())
		st.BindBytes(4, stanza)
		st.BindInt64(5, int64(quota))
		n, err := c.run(st)
		if err != nil || n == 1 {
			return err
		}
		if _, _, _, err := c.accountID(owner); err != nil {
			return err
		}
		return store.ErrQuota
	})
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
