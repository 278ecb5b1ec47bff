package sqlite

import (
	"context"
	"time"
)

// ForgetDeleted implements store.Accounts.
func (s *Store) ForgetDeleted(ctx context.Context, names, events time.Time) error {
	return s.write(ctx, "ForgetDeleted", "forget deleted accounts", deletes, func(c *conn) error {
		if err := c.forgetTombstones(names); err != nil {
			return err
		}
		forgotten := c.Changes()
		st, err := c.stmt(qForgetEvents)
		if err != nil {
			return err
		}
		st.BindInt64(1, events.Unix())
		n, err := c.run(st)
		if n+forgotten > 0 {
			c.freed, c.scrub = true, true
		}
		return err
	})
}
