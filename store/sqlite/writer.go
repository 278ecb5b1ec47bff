package sqlite

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"zombiezen.com/go/sqlite/sqlitex"

	"roost/store"
)

// maxBatch is the largest number of writes in one transaction: it bounds how
// long the first of them waits for the last.
const maxBatch = 512

// write is one caller's write.
type write struct {
	// run does the work. It only runs between begin and commit, on the writer.
	run   func(*conn) error
	mode  mode
	state atomic.Int32
	err   error
	done  chan struct{} // one token: err is valid
}

// mode is what the writer needs to know of a write.
type mode uint8

const (
	// whole: run changes nothing when it fails, without the help of a savepoint.
	// It has one statement that changes something, or fails first.
	whole mode = 1 << iota
	// outside: run is not part of a transaction, if it comes first. For tests, of
	// what the writer owns.
	outside
	// frees: run only deletes. It is done on a full disk, too, and may then be run
	// twice.
	frees
)

// The states of a write: one of the writer and the caller moves it on.
const (
	waiting int32 = iota
	taken         // by the writer: its outcome is waited for
	dropped       // by the caller, whose context ended first
)

func newWrite() any { return &write{done: make(chan struct{}, 1)} }

// write runs f, which does the operation op, in a transaction, together with others'
// writes, and returns when that is durable. If ctx ends before the writer has begun
// with f, it never runs; later, its outcome is waited for.
func (s *Store) write(ctx context.Context, op, what string, mode mode, f func(*conn) error) error {
	return s.submit(ctx, op, what, mode, f, nil)
}

// writeHere is write for an f that calls a function of the store's user. f runs on
// the caller's goroutine, to which the writer lends its connection: the function may
// panic or end its goroutine, and neither may happen to the writer.
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

// lend runs on the writer, which waits until f has returned.
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

// submit hands a write to the writer and waits for its outcome. With a loan, the
// writer's connection is used here.
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
	w.state.Store(waiting)
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
			if w.state.CompareAndSwap(waiting, dropped) {
				return s.wrap(what, ctx.Err()) // w is the writer's now
			}
			ended = nil
		}
	}
}

// enqueue hands a write to the writer.
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
		look := time.NewTicker(reserveCheck)
		defer look.Stop()
		batch := make([]*write, 0, maxBatch)
		for {
			var w *write
			select {
			case w = <-s.queue:
			case <-s.upkeep.due():
				s.step(c)
				continue
			case <-look.C:
				s.keepReserve()
				continue
			}
			switch {
			case w == nil: // closed
				return
			case w.mode&outside != 0:
				if w.take() {
					w.answer(w.run(c))
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

// Commits is how many transactions were committed since Open: each has the writes
// of all callers that waited when it began.
func (s *Store) Commits() int64 { return s.commits.Load() }

// Waiting is the number of writes that were handed to the writer and are not done.
func (s *Store) Waiting() int { return int(s.waiting.Load()) }

// take tells whether the caller still wants the write done.
func (w *write) take() bool { return w.state.CompareAndSwap(waiting, taken) }

// answer gives the outcome to the caller; w is the caller's from then on.
func (w *write) answer(err error) {
	w.err = err
	w.done <- struct{}{}
}

// commitBatch runs the write in batch, and all that wait behind it, in one
// transaction, and answers them.
func (s *Store) commitBatch(c *conn, batch []*write) []*write {
	err := c.exec(qBegin)
	begun := err == nil
	n := 0 // those of the batch that were taken
	for i := 0; i < len(batch); i++ {
		w := batch[i]
		if w.take() {
			batch[n] = w
			n++
			switch {
			case err != nil:
			case s.reserve.lent && w.mode&frees == 0:
				w.err = errLent
			default:
				w.err, err = c.runWrite(w)
			}
		}
		if err == nil && i == len(batch)-1 && len(batch) < maxBatch {
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
		w.answer(w.err)
	}
	return batch
}

// runWrite runs one write so that it leaves nothing behind when it fails. fatal
// is an error that has undone or must undo the whole transaction.
func (c *conn) runWrite(w *write) (err, fatal error) {
	if w.mode&whole == 0 {
		if err := c.exec(qSavepoint); err != nil {
			return err, err
		}
	}
	err = w.run(c)
	// A full disk and the like make SQLite roll back on its own.
	if err != nil && c.AutocommitEnabled() {
		return err, err
	}
	if w.mode&whole != 0 {
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

// rollback undoes the transaction, unless SQLite has done that.
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
	_, err = c.run(st)
	return err
}
