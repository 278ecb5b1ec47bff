package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"roost/store"
)

// Pauses between attempts.
const (
	firstPause = 20 * time.Millisecond
	maxPause   = 500 * time.Millisecond
)

// retry calls f until it succeeds, fails for another reason than that the database is not
// available, or RetryFor is over. During an outage it does not call f.
func (s *Store) retry(ctx context.Context, f func() error) error {
	if s.away.Load() {
		return errDown
	}
	var end time.Time
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		err := f()
		if err == nil || !isDown(err) && !isConflict(err) {
			return err
		}
		if end.IsZero() {
			end = time.Now().Add(s.cfg.RetryFor)
		}
		if time.Now().After(end) {
			if isDown(err) {
				s.outage()
			}
			return errors.Join(errDown, err)
		}
		if s.away.Load() { // since this began
			return errors.Join(errDown, err)
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-s.alive.Done():
			t.Stop()
			return store.ErrClosed
		}
	}
}

// query runs a statement, which is the operation op, and calls row for each row of its
// result. It may run it again after a failure; reset is called before each attempt.
func (s *Store) query(ctx context.Context, op, what, sql string, args []any, reset func(), row func(pgx.Rows) error) error {
	done, err := s.cfg.Options.Begin(ctx, store.Op{Name: op})
	if err != nil {
		return err
	}
	defer done()
	return s.queryPart(ctx, what, sql, args, reset, row)
}

// queryPart is query for a part of an operation.
func (s *Store) queryPart(ctx context.Context, what, sql string, args []any, reset func(), row func(pgx.Rows) error) error {
	l := &lookup{sql: sql, args: args, reset: reset, row: row}
	return s.read(ctx, what, func() error { return s.withConn(ctx, l.alone) })
}

// read calls try, which reads from the database, as retry does.
func (s *Store) read(ctx context.Context, what string, try func() error) error {
	if err := s.usable(ctx); err != nil {
		return s.wrap(what, err)
	}
	return s.wrap(what, s.retry(ctx, try))
}

// usable returns an error if the context has ended or the store is closed.
func (s *Store) usable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.alive.Err() != nil {
		return store.ErrClosed
	}
	return nil
}

// replyTime is how much longer than Config.Timeout a read waits for the reply: the database ends statements
// that take too long, and says so, before the connection counts as lost and the read is repeated.
const replyTime = time.Second

// withConn calls f with a connection of the pool. Only the wait for the connection ends
// with ctx: to end a query would cost the connection. The connection has a deadline; a
// context with one would cost a goroutine for each query.
func (s *Store) withConn(ctx context.Context, f func(context.Context, *pgx.Conn) error) error {
	wait, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	c, err := s.pool.Acquire(wait)
	if err != nil {
		if s.alive.Err() != nil {
			err = store.ErrClosed
		}
		return err
	}
	defer c.Release()
	socket := c.Conn().PgConn().Conn()
	if err := socket.SetDeadline(time.Now().Add(s.cfg.Timeout + replyTime)); err != nil {
		return err
	}
	defer func() { _ = socket.SetDeadline(time.Time{}) }()
	return f(context.WithoutCancel(ctx), c.Conn())
}

// each calls row for each row of a result, and closes it.
func each(rows pgx.Rows, row func(pgx.Rows) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// into returns a function that scans a row into these variables.
func into(vars ...any) func(pgx.Rows) error {
	return func(rows pgx.Rows) error { return rows.Scan(vars...) }
}

// int64Of returns the number in a column in binary format.
func int64Of(b []byte) int64 { return int64(binary.BigEndian.Uint64(b)) }

// bytesOf returns b, or an empty slice instead of nil, which would be NULL.
func bytesOf(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
