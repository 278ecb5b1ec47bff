package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

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

const (
	sqlListBlocks        = `SELECT target, reason, actor, created, until FROM block ORDER BY target`
	sqlPutBlock          = `SELECT put_block($1, $2, $3, $4, $5, $6)`
	sqlDeleteBlock       = `WITH gone AS (DELETE FROM block WHERE target = $1 RETURNING 1) SELECT count(*) FROM gone`
	sqlDeleteEndedBlocks = `WITH gone AS (DELETE FROM block WHERE until > 0 AND until <= $1 RETURNING 1) SELECT count(*) FROM gone`
)

// ListBlocks implements store.Blocks.
func (s *Store) ListBlocks(ctx context.Context) (all []store.Block, err error) {
	reset := func() { all = nil }
	err = s.query(ctx, "ListBlocks", "list blocks", sqlListBlocks, nil, reset, func(rows pgx.Rows) error {
		var b store.Block
		var created, until int64
		err := rows.Scan(&b.Target, &b.Reason, &b.Actor, &created, &until)
		b.Created, b.Until = numberTime(created), numberTime(until)
		all = append(all, b)
		return err
	})
	return all, err
}

// PutBlock implements store.Blocks.
func (s *Store) PutBlock(ctx context.Context, b store.Block, limit int) error {
	var n int64
	args := []any{b.Target, b.Reason, b.Actor, timeNumber(b.Created), timeNumber(b.Until), limit}
	return s.exec(ctx, "PutBlock", "block "+b.Target, &write{sql: sqlPutBlock, args: args, row: result(&n)})
}

// DeleteBlock implements store.Blocks.
func (s *Store) DeleteBlock(ctx context.Context, target string) error {
	return s.exec(ctx, "DeleteBlock", "unblock "+target, &write{sql: sqlDeleteBlock, args: []any{target}, row: func(rows pgx.Rows) error {
		var n int64
		err := rows.Scan(&n)
		if err == nil && n == 0 {
			err = store.ErrNotFound
		}
		return err
	}})
}

// DeleteEndedBlocks implements store.Blocks.
func (s *Store) DeleteEndedBlocks(ctx context.Context, now time.Time) error {
	var n int64
	return s.exec(ctx, "DeleteEndedBlocks", "delete blocks that have ended", &write{sql: sqlDeleteEndedBlocks, args: []any{now.Unix()}, row: into(&n)})
}
