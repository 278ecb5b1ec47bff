package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"roost/internal/combine"
	"roost/store"
)

// A lookup costs the server and the database more for the request than for the row: two system calls
// and a change of threads on both sides. Therefore those that are to be made at the same time are sent
// together. The database makes them one after the other. So there are few in a request, and several
// requests: if it has to wait for its disk, it does so for several lookups at a time.
var lookupConfig = combine.Config{
	Batches:  8, // connections of the pool
	Items:    8, // lookups in one request
	Patience: 5 * time.Millisecond,
}

// lookup is a statement that reads rows.
type lookup struct {
	sql   string
	args  []any
	reset func() // may be nil
	row   func(pgx.Rows) error

	err    error
	shared bool // it was sent together with others; err may be due to one of them
}

// errPanic means that reading the result had a panic.
var errPanic = errors.New("reading the result had a panic")

// lookup is query for a statement that reads a few rows, and may be sent together with others.
func (s *Store) lookup(ctx context.Context, op, what, sql string, args []any, reset func(), row func(pgx.Rows) error) error {
	done, err := s.cfg.Options.Begin(ctx, store.Op{Name: op})
	if err != nil {
		return err
	}
	defer done()
	l := &lookup{sql: sql, args: args, reset: reset, row: row}
	return s.read(ctx, what, func() error { return s.try(ctx, l) })
}

// try makes one attempt, and reads the result or returns the error. What failed together with others is
// repeated alone: the database does not continue after an error, and all in a request have to be done
// before its timeout.
func (s *Store) try(ctx context.Context, l *lookup) error {
	if !l.shared {
		l.err = nil
		if err := s.lookups.Do(ctx, l); err != nil {
			return err
		}
		if l.err == nil || !l.shared || isDown(l.err) {
			return l.err
		}
	}
	return s.withConn(ctx, l.alone)
}

// lookUp makes some lookups in one request. It waits for a connection also if those who asked for them
// do not any more.
func (s *Store) lookUp(batch []*lookup) {
	err := s.withConn(s.alive, func(ctx context.Context, c *pgx.Conn) error {
		if len(batch) == 1 {
			return batch[0].alone(ctx, c)
		}
		var b pgx.Batch
		for _, l := range batch {
			l.shared = true
			b.Queue(l.sql, l.args...)
		}
		results := c.SendBatch(ctx, &b)
		for _, l := range batch {
			l.together(results)
		}
		_ = results.Close() // each lookup has its result or its error
		return nil
	})
	if err != nil {
		for _, l := range batch {
			l.err = err
		}
	}
}

// together reads the result of a lookup that was sent together with others. Like an error, a panic
// makes it be repeated alone, in the goroutine of whoever asked for it.
func (l *lookup) together(results pgx.BatchResults) {
	defer func() {
		if recover() != nil {
			l.err = errPanic
		}
	}()
	l.err = l.read(results.Query())
}

// alone makes the lookup in a request of its own.
func (l *lookup) alone(ctx context.Context, c *pgx.Conn) error {
	return l.read(c.Query(ctx, l.sql, l.args...))
}

// read reads the result.
func (l *lookup) read(rows pgx.Rows, err error) error {
	if l.reset != nil {
		l.reset()
	}
	if err != nil {
		return err
	}
	return each(rows, l.row)
}
