package sqlite

import (
	"context"
	"time"

	"zombiezen.com/go/sqlite"

	"roost/store"
)

// PutSessions implements store.Sessions.
func (s *Store) PutSessions(ctx context.Context, all []store.SavedSession) error {
	return s.write(ctx, "PutSessions", "store sessions", 0, func(c *conn) error {
		for i := range all {
			st, err := c.stmt(qPutSession)
			if err != nil {
				return err
			}
			st.BindText(1, all[i].Node)
			st.BindText(2, all[i].Key)
			st.BindInt64(3, timeNumber(all[i].Until))
			st.BindBytes(4, all[i].Data)
			if _, err := c.run(st); err != nil {
				return err
			}
		}
		return nil
	})
}

// TakeSessions implements store.Sessions.
func (s *Store) TakeSessions(ctx context.Context, node string, maxBytes int) ([][]byte, error) {
	return s.takeSessions(ctx, "TakeSessions", qSessionsOf, maxBytes, func(st *sqlite.Stmt) { st.BindText(1, node) })
}

// TakeOverdueSessions implements store.Sessions.
func (s *Store) TakeOverdueSessions(ctx context.Context, now time.Time, maxBytes int) ([][]byte, error) {
	return s.takeSessions(ctx, "TakeOverdueSessions", qSessionsBefore, maxBytes, func(st *sqlite.Stmt) { st.BindInt64(1, now.Unix()) })
}

// takeSessions deletes the sessions that a query returns, as many as fit in maxBytes, and
// returns their data.
func (s *Store) takeSessions(ctx context.Context, op string, q query, maxBytes int, bind func(*sqlite.Stmt)) (all [][]byte, err error) {
	err = s.write(ctx, op, "take sessions", 0, func(c *conn) error {
		all = nil
		var ids []int64
		st, err := c.stmt(q)
		if err != nil {
			return err
		}
		bind(st)
		st.BindInt64(2, store.MaxSessions)
		defer st.Reset()
		for size := 0; ; {
			more, err := st.Step()
			if err != nil {
				return err
			}
			if more {
				size += st.ColumnLen(1)
			}
			if !more || size > maxBytes && len(all) > 0 {
				break
			}
			ids, all = append(ids, st.ColumnInt64(0)), append(all, blob(st, 1))
		}
		if err := st.Reset(); err != nil {
			return err
		}
		return c.deleteSessions(ids)
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// TakeSession implements store.Sessions.
func (s *Store) TakeSession(ctx context.Context, key string) (data []byte, err error) {
	err = s.write(ctx, "TakeSession", "take a session", 0, func(c *conn) error {
		var ids []int64
		st, err := c.stmt(qSessionOf)
		if err != nil {
			return err
		}
		st.BindText(1, key)
		err = each(st, func() error {
			ids, data = append(ids, st.ColumnInt64(0)), blob(st, 1)
			return nil
		})
		if err == nil && len(ids) == 0 {
			err = store.ErrNotFound
		}
		if err != nil {
			return err
		}
		return c.deleteSessions(ids)
	})
	if err != nil {
		return nil, err
	}
	return data, nil
}

func (c *conn) deleteSessions(ids []int64) error {
	for _, id := range ids {
		c.freed = true
		st, err := c.stmt(qDeleteSession)
		if err != nil {
			return err
		}
		st.BindInt64(1, id)
		if _, err := c.run(st); err != nil {
			return err
		}
	}
	return nil
}

// CountSessions implements store.Sessions.
func (s *Store) CountSessions(ctx context.Context) (n int, err error) {
	err = s.read(ctx, "CountSessions", "count sessions", func(c *conn) error {
		st, err := c.stmt(qCountSessions)
		if err != nil {
			return err
		}
		return each(st, func() error {
			n = st.ColumnInt(0)
			return nil
		})
	})
	return n, err
}
