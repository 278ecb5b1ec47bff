package sqlite

import (
	"context"
	"time"

	"roost/jid"
	"roost/store"
)

// SetLastActivity implements store.Activity.
func (s *Store) SetLastActivity(ctx context.Context, batch []store.LastActivity) error {
	return s.write(ctx, "SetLastActivity", "write last activity", 0, func(c *conn) error {
		for i := range batch {
			if err := c.setLastActivity(&batch[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *conn) setLastActivity(l *store.LastActivity) error {
	st, err := c.account(qSetLastActivity, l.Owner)
	if err != nil {
		return err
	}
	st.BindInt64(3, l.At.Unix())
	st.BindBytes(4, l.Status)
	st.BindInt64(5, l.Event)
	_, err = c.run(st)
	return err
}

// LastActivity implements store.Activity.
func (s *Store) LastActivity(ctx context.Context, owner jid.JID) (store.LastActivity, error) {
	l := store.LastActivity{Owner: owner.Bare().Clone()}
	err := s.read(ctx, "LastActivity", "read last activity of "+owner.BareString(), func(c *conn) error {
		st, err := c.account(qLastActivity, owner)
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

// NoteUse implements store.Activity.
func (s *Store) NoteUse(ctx context.Context, batch []store.AccountUse) error {
	return s.write(ctx, "NoteUse", "write which accounts are used", 0, func(c *conn) error {
		for i := range batch {
			st, err := c.account(qNoteUse, batch[i].Owner)
			if err != nil {
				return err
			}
			st.BindInt64(3, int64(batch[i].Day))
			st.BindInt64(4, batch[i].Event)
			if _, err = c.run(st); err != nil {
				return err
			}
		}
		return nil
	})
}
