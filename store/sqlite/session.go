package sqlite

import "context"

// PutSessions implements store.Sessions.
func (s *Store) PutSessions(ctx context.Context, units [][]byte) error {
	return s.write(ctx, "PutSessions", "store sessions", 0, func(c *conn) error {
		for _, data := range units {
			st, err := c.stmt(qPutSession)
			if err != nil {
				return err
			}
			st.BindBytes(1, data)
			if _, err := c.run(st); err != nil {
				return err
			}
		}
		return nil
	})
}

// TakeSessions implements store.Sessions.
func (s *Store) TakeSessions(ctx context.Context, maxBytes int) (units [][]byte, err error) {
	err = s.write(ctx, "TakeSessions", "take sessions", 0, func(c *conn) error {
		last, size := int64(0), 0
		units = nil
		st, err := c.stmt(qSessions)
		if err != nil {
			return err
		}
		defer st.Reset()
		for {
			more, err := st.Step()
			if err != nil {
				return err
			}
			if !more {
				break
			}
			if size += st.ColumnLen(1); size > maxBytes && len(units) > 0 {
				break
			}
			last = st.ColumnInt64(0)
			units = append(units, blob(st, 1))
		}
		if len(units) == 0 {
			return nil
		}
		if err := st.Reset(); err != nil {
			return err
		}
		if st, err = c.stmt(qDeleteSessions); err != nil {
			return err
		}
		c.freed = true
		st.BindInt64(1, last)
		_, err = c.run(st)
		return err
	})
	if err != nil {
		return nil, err
	}
	return units, nil
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
