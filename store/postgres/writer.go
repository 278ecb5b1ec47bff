package postgres

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"roost/jid"
	"roost/store"
)

// maxBatch is the largest number of writes in one transaction. It limits how long the
// first of them waits for the last.
const maxBatch = 512

// write is one caller's write: a statement.
type write struct {
	sql  string
	args []any
	// row reads a row of the result. Its error is that of the write, which then must not
	// have changed anything. It may be called again from the first row, after reset.
	row   func(pgx.Rows) error
	reset func() // may be nil
	owner string // the account whose row is the only one that is locked; "" means that it is not the only one

	end   time.Time // until when it is repeated while the database is not available
	state atomic.Int32
	err   error
	done  chan struct{} // receives one value when err is set
}

// The states of a write. Either the writer or the caller ends the first.
const (
	queued    int32 = iota
	started         // by the writer: the caller waits for the outcome
	abandoned       // by the caller, whose context ended first
)

// refuse makes the write fail before it is queued.
func (w *write) refuse(err error) { w.err = err }

// ownerOf returns the owner of a write that locks only an account's row.
func ownerOf(j jid.JID) string { return j.BareString() }

// exec executes a write, which is the operation op, and returns when it is durable. If ctx
// ends before the writer has started it, it never happens; after that, exec waits for the
// outcome.
func (s *Store) exec(ctx context.Context, op, what string, w *write) error {
	done, err := s.cfg.Options.Begin(ctx, store.Op{Name: op, Writes: true})
	if err != nil {
		return err
	}
	defer done()
	return s.wrap(what, s.submit(ctx, w))
}

func (s *Store) submit(ctx context.Context, w *write) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	if w.err != nil {
		return w.err
	}
	w.done, w.end = make(chan struct{}, 1), time.Now().Add(s.cfg.RetryFor)
	if err := s.enqueue(ctx, w); err != nil {
		return err
	}
	s.waiting.Add(1)
	defer s.waiting.Add(-1)
	select {
	case <-w.done:
	case <-ctx.Done():
		if w.state.CompareAndSwap(queued, abandoned) {
			return ctx.Err()
		}
		<-w.done
	}
	return w.err
}

// enqueue passes a write to the writer.
func (s *Store) enqueue(ctx context.Context, w *write) error {
	s.writeMu.RLock()
	defer s.writeMu.RUnlock()
	if s.alive.Err() != nil {
		return store.ErrClosed
	}
	select {
	case s.queue <- w:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// writer is the state of the writer's goroutine.
type writer struct {
	s *Store
	c *pgx.Conn // nil after it was lost

	used time.Time // when c was used last
	down error     // why the last attempt to connect failed, if the database was not available
}

// startWriter starts the writer, which owns c.
func (s *Store) startWriter(c *pgx.Conn) {
	w := &writer{s: s, c: c, used: time.Now()}
	s.pid.Store(c.PgConn().PID())
	s.writer.Go(func() {
		defer w.disconnect()
		batch := make([]*write, 0, maxBatch)
		var check <-chan time.Time
		if s.cfg.Options.Use != store.Beside {
			tick := time.NewTicker(s.cfg.ClaimInterval)
			defer tick.Stop()
			check = tick.C
		}
		for {
			select {
			case first, ok := <-s.queue:
				if !ok {
					return
				}
				batch = w.collect(append(batch[:0], first))
				w.commit(batch)
				clear(batch)
			case <-check:
				w.keepClaim()
			}
		}
	})
}

// collect adds all writes that are queued to a batch, and returns those that are still to
// be done, in the order in which they lock rows.
func (w *writer) collect(batch []*write) []*write {
	for len(batch) < maxBatch {
		select {
		case next, ok := <-w.s.queue:
			if ok {
				batch = append(batch, next)
				continue
			}
		default:
		}
		break
	}
	batch = slices.DeleteFunc(batch, func(w *write) bool { return !w.state.CompareAndSwap(queued, started) })
	slices.SortStableFunc(batch, func(a, b *write) int { return strings.Compare(a.owner, b.owner) })
	return batch
}

// commit executes writes in one transaction and finishes them. If one of them fails, each
// is executed again in a transaction of its own.
func (w *writer) commit(batch []*write) {
	if w.down != nil {
		batch = w.expire(batch)
	}
	if len(batch) == 0 {
		return
	}
	batch, err := w.repeat(batch)
	if err != nil && len(batch) > 1 && mayBeOfOne(err) {
		for i := range batch {
			w.commit(batch[i : i+1])
		}
		return
	}
	if err == nil {
		w.s.commits.Add(1)
		w.s.batches.Observe(int64(len(batch)))
	}
	for _, one := range batch {
		one.finish(err)
	}
}

// finish ends a write. err is that of its transaction.
func (one *write) finish(err error) {
	if err != nil {
		one.err = err
	}
	one.done <- struct{}{}
}

// expire finishes those of some writes, none of which has happened, whose time is over while the
// database is not available. It returns the others. An attempt to connect may take as long as all the
// time of a write, so none is made for those that have waited for the attempts of others.
func (w *writer) expire(batch []*write) []*write {
	now := time.Now()
	return slices.DeleteFunc(batch, func(one *write) bool {
		over := now.After(one.end)
		if over {
			one.finish(errors.Join(errDown, w.down))
		}
		return over
	})
}

// repeat executes writes in one transaction, and does so again while the database is not
// available and the transaction certainly did not happen. The error is that of the writes that it
// returns; it has finished the others, whose time was over first.
func (w *writer) repeat(batch []*write) ([]*write, error) {
	ctx := context.Background()
	end := time.Time{}
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		unknown, err := w.try(ctx, batch)
		switch {
		case err == nil:
			return batch, nil
		case unknown:
			return batch, errors.Join(ErrUnknown, err)
		case !isDown(err) && !isConflict(err):
			return batch, err
		}
		if end.IsZero() {
			end = time.Now().Add(w.s.cfg.RetryFor)
		}
		if w.down != nil {
			batch = w.expire(batch)
		}
		if len(batch) == 0 || time.Now().After(end) {
			return batch, errors.Join(errDown, err)
		}
		<-time.After(pause)
	}
}

// The statements that begin a batch: see startWriter.
const (
	lockShared    = `SELECT pg_advisory_xact_lock_shared($1)`
	lockExclusive = `SELECT pg_advisory_xact_lock($1)`
)

// try executes writes in one transaction. unknown reports that it may have been committed
// although there is an error.
func (w *writer) try(ctx context.Context, batch []*write) (unknown bool, err error) {
	w.check(ctx)
	if err := w.connect(ctx); err != nil {
		return false, err
	}
	// The database ends statements that take longer than the timeout. It is the network
	// that may take another one.
	ctx, cancel := context.WithTimeout(ctx, 2*w.s.cfg.Timeout)
	defer cancel()
	var b pgx.Batch
	lock := lockShared
	if slices.ContainsFunc(batch, func(w *write) bool { return w.owner == "" }) {
		lock = lockExclusive
	}
	b.Queue(lock, int64(batchLock))
	for _, one := range batch {
		b.Queue(one.sql, one.args...)
	}
	results := w.c.SendBatch(ctx, &b)
	unknown, err = w.read(results, batch)
	w.used = time.Now()
	if w.c.IsClosed() {
		w.disconnect()
	}
	return unknown, err
}

// read reads the results of a batch. The database commits after the last result. So if it
// reports an error before that, it has undone the transaction, whatever the error.
func (w *writer) read(results pgx.BatchResults, batch []*write) (unknown bool, err error) {
	_, err = results.Exec()
	for _, one := range batch {
		if err != nil {
			break
		}
		err = one.read(results)
	}
	complete := err == nil
	closed := results.Close()
	if err == nil {
		err = closed
	}
	switch {
	case err == nil, isAborted(err), pgconn.SafeToRetry(err), !complete && code(err) != "":
		return false, err
	}
	return true, err
}

// read reads the result of one write.
func (one *write) read(results pgx.BatchResults) error {
	if one.reset != nil {
		one.reset()
	}
	one.err = nil
	rows, err := results.Query()
	if err != nil {
		return err
	}
	return each(rows, func(rows pgx.Rows) error {
		if one.err == nil {
			one.err = one.row(rows)
		}
		return nil
	})
}

// check closes a connection that was lost while there was nothing to write, for example by a restart
// of the database. A write on it would fail, too, but then it is unknown whether it was committed.
func (w *writer) check(ctx context.Context) {
	if w.c == nil || time.Since(w.used) < w.s.cfg.CheckAfter {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, w.s.cfg.Timeout)
	defer cancel()
	if err := w.c.Ping(ctx); err != nil {
		w.disconnect()
	}
}

// connect opens the writer's connection if it has none.
func (w *writer) connect(ctx context.Context) (err error) {
	if w.c != nil {
		return nil
	}
	c, err := w.s.connect(ctx)
	if err == nil {
		if err = w.s.claim(ctx, c); err != nil {
			_ = closeConn(c)
		}
	}
	w.down = nil
	if err != nil {
		if isDown(err) {
			w.down = err
		}
		return err
	}
	w.c, w.used = c, time.Now()
	w.s.pid.Store(w.c.PgConn().PID())
	return nil
}

func (w *writer) disconnect() {
	if w.c != nil {
		_ = closeConn(w.c)
		w.c = nil
	}
}

// result returns a function that reads the number that is the result of a function of the
// database into n, and returns the error that a negative number stands for.
func result(n *int64) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		if err := rows.Scan(n); err != nil {
			return err
		}
		return statusError(*n)
	}
}

// statusError returns the error that a result stands for.
func statusError(n int64) error {
	switch n {
	case -1:
		return store.ErrNotFound
	case -2:
		return store.ErrConflict
	case -3:
		return store.ErrQuota
	case -4:
		return store.ErrContactQuota
	case -5:
		return store.ErrBlocked
	}
	return nil
}

// Commits returns the number of transactions that the writer has committed since Open.
func (s *Store) Commits() int64 { return s.commits.Load() }

// BatchStats implements store.Batches.
func (s *Store) BatchStats() store.BatchStats {
	return store.BatchStats{Commits: s.Commits(), Writes: s.batches.Snapshot(), Waiting: int(s.waiting.Load())}
}
