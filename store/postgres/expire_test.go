package postgres

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"roost/internal/pgtest"
	"roost/store"
)

// unreachable makes further connections of a store fail, after release is closed. The result counts the attempts.
func unreachable(s *Store, release <-chan struct{}) *atomic.Int64 {
	var dials atomic.Int64
	s.conn.DialFunc = func(context.Context, string, string) (net.Conn, error) {
		dials.Add(1)
		<-release
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.EHOSTUNREACH}
	}
	return &dials
}

// TestExpiredQueue: if an attempt to reach the database takes longer than writes are repeated, those
// that have waited meanwhile, also in later batches, fail without an attempt of their own.
func TestExpiredQueue(t *testing.T) {
	s := openTest(t, pgtest.Shared(t).URL(t), Config{RetryFor: time.Nanosecond, CheckAfter: time.Nanosecond, ClaimInterval: time.Hour})
	c := connectTest(t, s)
	release := make(chan struct{})
	dials := unreachable(s, release) // the writer waits on its queue
	execTest(t, c, sqlTerminate, s.pid.Load())
	const writes = 2*maxBatch + 1
	var callers sync.WaitGroup
	for range writes {
		callers.Go(func() {
			err := s.SetDisabled(t.Context(), user(1), true)
			if !errors.Is(err, errDown) && !errors.Is(err, ErrUnknown) {
				t.Errorf("%v, want that the database is not available", err)
			}
		})
	}
	// The first is tried, and the queue has space for one batch; the others wait for space.
	await(t, "the queue to be full", func() bool { return dials.Load() == 1 && len(s.queue) == maxBatch })
	close(release)
	callers.Wait()
	if n := dials.Load(); n > 2 {
		t.Errorf("%d attempts to connect for %d writes that waited for the first", n, writes)
	}
}

// TestExpiredAlone: if the database goes away while each write of a batch is executed alone, the others
// do not wait for a time-out each.
func TestExpiredAlone(t *testing.T) {
	s := openTest(t, pgtest.Shared(t).URL(t), Config{})
	w := &writer{s: s, c: connectTest(t, s), used: time.Now()}
	none := func(pgx.Rows) error { return nil }
	// The first fails, so that each is executed alone. The second loses the connection.
	batch := []*write{{sql: `SELECT 1 / 0`, row: none}, {sql: `SELECT 1`, row: none, reset: func() { _ = w.c.PgConn().Conn().Close() }}}
	for range 100 {
		batch = append(batch, &write{sql: `SELECT 1`, row: none})
	}
	all := append([]*write(nil), batch...)
	for _, one := range all {
		one.done = make(chan struct{}, 1)
		one.end = time.Now()
	}
	s.cfg.RetryFor = time.Nanosecond // the store's own writer waits on its queue
	release := make(chan struct{})
	close(release)
	dials := unreachable(s, release)
	w.commit(batch)
	for _, one := range all[2:] {
		if <-one.done; !errors.Is(one.err, errDown) {
			t.Fatalf("%v, want that the database is not available", one.err)
		}
	}
	if n := dials.Load(); n > 2 {
		t.Errorf("%d attempts to connect", n)
	}
}

// TestRepeatedUntil: while the database cannot be reached, a write whose time is over fails, and the
// others of its batch are executed when it is back.
func TestRepeatedUntil(t *testing.T) {
	s := openTest(t, pgtest.Shared(t).URL(t), Config{ClaimInterval: time.Hour, Options: store.Options{Use: store.Beside}})
	w := &writer{s: s}
	dial, release := s.conn.DialFunc, make(chan struct{})
	close(release)
	dials := unreachable(s, release)
	down := s.conn.DialFunc
	s.conn.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if dials.Load() < 2 {
			return down(ctx, network, address)
		}
		return dial(ctx, network, address)
	}
	read := 0
	count := func(pgx.Rows) error {
		read++
		return nil
	}
	batch := []*write{
		{sql: `SELECT 1`, row: count, end: time.Now()},
		{sql: `SELECT 1`, row: count, end: time.Now().Add(time.Hour)},
	}
	all := append([]*write(nil), batch...)
	for _, one := range all {
		one.done = make(chan struct{}, 1)
	}
	w.commit(batch)
	defer w.disconnect()
	for i, one := range all {
		if <-one.done; errors.Is(one.err, errDown) != (i == 0) {
			t.Errorf("write %d: %v", i, one.err)
		}
	}
	if read != 1 || w.down != nil {
		t.Errorf("%d writes were executed, want 1; %v", read, w.down)
	}
}
