package sqlite

import (
	"context"
	"time"

	"roost/store"
)

// timeNumber is a time as the database has it, 0 for none.
func timeNumber(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// numberTime is the reverse of timeNumber.
func numberTime(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}

// ListBlocks implements store.Blocks.
func (s *Store) ListBlocks(ctx context.Context) (all []store.Block, err error) {
	err = s.read(ctx, "ListBlocks", "list blocks", func(c *conn) error {
		st, err := c.stmt(qListBlocks)
		if err != nil {
			return err
		}
		return each(st, func() error {
			all = append(all, store.Block{
				Target: st.ColumnText(0), Reason: st.ColumnText(1), Actor: st.ColumnText(2),
				Created: numberTime(st.ColumnInt64(3)), Until: numberTime(st.ColumnInt64(4)),
			})
			return nil
		})
	})
	return all, err
}

// PutBlock implements store.Blocks.
func (s *Store) PutBlock(ctx context.Context, b store.Block, limit int) error {
	return s.write(ctx, "PutBlock", "block "+b.Target, noSavepoint, func(c *conn) error {
		st, err := c.stmt(qCountOtherBlocks)
		if err != nil {
			return err
		}
		st.BindText(1, b.Target)
		others := 0
		if err := each(st, func() error { others = st.ColumnInt(0); return nil }); err != nil {
			return err
		}
		if others >= limit {
			return store.ErrQuota
		}
		if st, err = c.stmt(qPutBlock); err != nil {
			return err
		}
		st.BindText(1, b.Target)
		st.BindText(2, b.Reason)
		st.BindText(3, b.Actor)
		st.BindInt64(4, timeNumber(b.Created))
		st.BindInt64(5, timeNumber(b.Until))
		_, err = c.run(st)
		return err
	})
}

// DeleteBlock implements store.Blocks.
func (s *Store) DeleteBlock(ctx context.Context, target string) error {
	return s.write(ctx, "DeleteBlock", "unblock "+target, noSavepoint, func(c *conn) error {
		st, err := c.stmt(qDeleteBlock)
		if err != nil {
			return err
		}
		st.BindText(1, target)
		deleted, err := c.run(st)
		if err == nil && deleted == 0 {
			err = store.ErrNotFound
		}
		return err
	})
}

// DeleteEndedBlocks implements store.Blocks.
func (s *Store) DeleteEndedBlocks(ctx context.Context, now time.Time) error {
	return s.write(ctx, "DeleteEndedBlocks", "delete blocks that have ended", noSavepoint, func(c *conn) error {
		st, err := c.stmt(qDeleteEndedBlocks)
		if err != nil {
			return err
		}
		st.BindInt64(1, now.Unix())
		_, err = c.run(st)
		return err
	})
}
