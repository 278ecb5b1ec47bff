package sqlite

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"zombiezen.com/go/sqlite/sqlitex"

	"roost/store"
)

// maxBatch is the largest number of writes in one transaction. It limits how long the
// first of them waits for the last.
const maxBatch = 512

// maxRows ends a transaction early: once its writes have changed this many rows, others have
// to wait for the next one. Most writes change a few rows, but those of a list of blocked
// addresses change all of them.
const maxRows = 4096

// write is one caller's write.
type write struct {
	// run does the work. It runs on the writer's goroutine only, between BEGIN and
	// COMMIT.
	run   func(*conn) error
	mode  mode
	state atomic.Int32
	err   error
	done  chan struct{} // receives one value when err is set
}

// mode is what the writer needs to know about a write.
type mode uint8

const (
	// noSavepoint means that run changes nothing if it fails: it has one statement
	// that changes something, or fails before the first.
	noSavepoint mode = 1 << iota
	// noTx means that run is not part of a transaction if it is the first of its
	// batch. It gives tests access to what the writer owns.
	noTx
	// deletes means that run only deletes. It also runs on a full disk, possibly twice.
	deletes
)

// The states of a write. Either the writer or the caller ends the first.
const (
	queued    int32 = iota
	started         // by the writer: the caller waits for the outcome
	abandoned       // by the caller, whose context ended first
)

func newWrite() any { return &write{done: make(chan struct{}, 1)} }

// write runs f, which executes the operation op, in a transaction that it shares with
// other writes, and returns when the transaction is durable. If ctx ends before the
// writer has started f, f never runs; after that, write waits for the outcome.
func (s *Store) write(ctx context.Context, op, what string, mode mode, f func(*conn) error) error {
	return s.submit(ctx, op, what, mode, f, nil)
}

// writeHere is write for an f that calls a function of the store's user. f runs on the
// caller's goroutine, to which the writer lends its connection: the function may panic or
// end its goroutine, which must not happen to the writer.
func (s *Store) writeHere(ctx context.Context, op, what string, f func(*conn) error) error {
	l := &loan{conn: make(chan *conn), outcome: make(chan error), f: f}
	return s.submit(ctx, op, what, 0, l.lend, l)
}

// loan is a connection that the writer lends to the caller of a write.
type loan struct {
	conn    chan *conn
	outcome chan error
	f       func(*conn) error
}

// lend runs on the writer's goroutine, which waits until f has returned.
func (l *loan) lend(c *conn) error {
	l.conn <- c
	return <-l.outcome
}

// errPanic is the outcome of a write whose function did not return.
var errPanic = errors.New("a panic in a transaction")

// use runs on the caller's goroutine.
func (l *loan) use(c *conn) {
	err := errPanic
	defer func() { l.outcome <- err }()
	err = l.f(c)
}

// submit passes a write to the writer and waits for its outcome. With a loan, it uses the
// writer's connection here.
func (s *Store) submit(ctx context.Context, op, what string, mode mode, f func(*conn) error, l *loan) error {
	done, err := s.cfg.Options.Begin(ctx, store.Op{Name: op, Writes: true})
	if err != nil {
		return err
	}
	defer done()
	if err := ctx.Err(); err != nil {
		return s.wrap(what, err)
	}
	w := s.spare.Get().(*write)
	w.run, w.mode, w.err = f, mode, nil
	w.state.Store(queued)
	if err := s.enqueue(ctx, w); err != nil {
		s.spare.Put(w)
		return s.wrap(what, err)
	}
	s.waiting.Add(1)
	defer s.waiting.Add(-1)
	var lent chan *conn
	if l != nil {
		lent = l.conn
	}
	ended := ctx.Done()
	for {
		select {
		case <-w.done:
			err = w.err
			w.run = nil
			s.spare.Put(w)
			return s.wrap(what, err)
		case c := <-lent:
			l.use(c)
		case <-ended:
			if w.state.CompareAndSwap(queued, abandoned) {
				return s.wrap(what, ctx.Err()) // now the writer owns w
			}
			ended = nil
		}
	}
}

// enqueue passes a write to the writer.
func (s *Store) enqueue(ctx context.Context, w *write) error {
	s.writeMu.RLock()
	defer s.writeMu.RUnlock()
	select {
	case <-s.closed:
		return store.ErrClosed
	default:
	}
	select {
	case s.queue <- w:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// startWriter starts the writer, which owns c.
func (s *Store) startWriter(c *conn) {
	s.writer.Go(func() {
		defer c.Close()
		defer s.lastStep(c)
		check := time.NewTicker(reserveCheck)
		defer check.Stop()
		batch := make([]*write, 0, maxBatch)
		for {
			var w *write
			select {
			case w = <-s.queue:
			case <-s.upkeep.due():
				s.step(c)
				continue
			case now := <-check.C:
				s.keepReserve()
				s.limitLife(now)
				continue
			}
			switch {
			case w == nil: // closed
				return
			case w.mode&noTx != 0:
				if w.start() {
					w.finish(w.run(c))
				}
			default:
				batch = s.commitBatch(c, append(batch[:0], w))
				clear(batch)
				s.afterCommit(c)
				s.noteDeleted(c)
			}
		}
	})
}

// Commits returns the number of transactions that were committed since Open. Each has
// the writes of all callers that were waiting when it began.
func (s *Store) Commits() int64 { return s.commits.Load() }

// Waiting returns the number of writes that are queued or running.
func (s *Store) Waiting() int { return int(s.waiting.Load()) }

// BatchStats implements store.Batches.
func (s *Store) BatchStats() store.BatchStats {
	return store.BatchStats{Commits: s.Commits(), Writes: s.batches.Snapshot(), Waiting: s.Waiting()}
}

// start reports whether the write is still to be done: its caller has not abandoned it.
func (w *write) start() bool { return w.state.CompareAndSwap(queued, started) }

// finish passes the outcome to the caller, which then owns w.
func (w *write) finish(err error) {
	w.err = err
	w.done <- struct{}{}
}

// commitBatch runs the write in batch, and all that are queued after it, in one
// transaction, and finishes them.
func (s *Store) commitBatch(c *conn, batch []*write) []*write {
	err := c.exec(qBegin)
	begun := err == nil
	c.changed = 0
	n := 0 // number of writes of the batch that were started
	for i := 0; i < len(batch); i++ {
		w := batch[i]
		if w.start() {
			batch[n] = w
			n++
			switch {
			case err != nil:
			case s.reserve.deletesOnly && w.mode&deletes == 0:
				w.err = errFull
			default:
				w.err, err = c.runWrite(w)
			}
		}
		if err == nil && i == len(batch)-1 && len(batch) < maxBatch && c.changed < maxRows {
			select {
			case next, ok := <-s.queue:
				if ok {
					batch = append(batch, next)
				}
			default:
			}
		}
	}
	batch = batch[:n]
	if err == nil {
		err = c.exec(qCommit)
	}
	if err == nil {
		s.commits.Add(1)
		s.batches.Observe(int64(n))
	} else {
		for _, w := range batch {
			w.err = err
		}
		if begun {
			c.rollback()
		}
		if isFull(err) {
			s.deleteAnyway(c, batch)
		}
	}
	for _, w := range batch {
		w.finish(w.err)
	}
	return batch
}

// runWrite runs one write so that it changes nothing if it fails. fatal is an error that
// has undone, or must undo, the whole transaction.
func (c *conn) runWrite(w *write) (err, fatal error) {
	if w.mode&noSavepoint == 0 {
		if err := c.exec(qSavepoint); err != nil {
			return err, err
		}
	}
	err = w.run(c)
	// After some errors, such as a full disk, SQLite has rolled back by itself.
	if err != nil && c.AutocommitEnabled() {
		return err, err
	}
	if w.mode&noSavepoint != 0 {
		return err, nil
	}
	if err != nil {
		if fatal := c.exec(qUndo); fatal != nil {
			return err, fatal
		}
	}
	if fatal := c.exec(qRelease); fatal != nil {
		return err, fatal
	}
	return err, nil
}

// rollback undoes the transaction unless SQLite has done so.
func (c *conn) rollback() {
	if !c.AutocommitEnabled() {
		sqlitex.ExecuteTransient(c.Conn, "ROLLBACK", nil)
	}
}

// exec runs a statement without parameters.
func (c *conn) exec(q query) error {
	st, err := c.stmt(q)
	if err != nil {
		return err
	}
	if _, err = st.Step(); err != nil {
		return err
	}
	return st.Reset()
}
