package postgres

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"roost/internal/combine"
	"roost/internal/pgtest"
	"roost/jid"
	"roost/store"
)

// occupyLookups makes lookups wait until release is called.
func occupyLookups(t *testing.T, s *Store) (release func()) {
	t.Helper()
	config := lookupConfig
	config.Patience, config.Items = time.Hour, 64
	s.lookups = combine.New(config, s.lookUp)
	wait, begun, done := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		done <- s.lookup(t.Context(), "Test", "wait", `SELECT 1`, nil, nil, func(pgx.Rows) error {
			close(begun)
			<-wait
			return nil
		})
	}()
	<-begun
	return func() {
		close(wait)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// waitingLookups waits until n lookups wait for a connection.
func waitingLookups(t *testing.T, s *Store, n int) {
	t.Helper()
	await(t, "lookups to wait", func() bool { return s.lookups.Waiting() == n })
}

// TestLookups: lookups that wait are made in one request. Each gets its own result, also if the
// database refuses another one.
func TestLookups(t *testing.T) {
	s := openTest(t, pgtest.Shared(t).URL(t), Config{})
	const accounts = 20
	for i := range accounts {
		if err := s.CreateAccount(t.Context(), store.Account{JID: user(i), Disabled: i%2 == 0}); err != nil {
			t.Fatal(err)
		}
		if err := s.AppendOffline(t.Context(), user(i), store.NewMessage{From: user(99), Stanza: []byte(user(i).String()), Received: time.Now()}, store.OfflineQuota{}); err != nil {
			t.Fatal(err)
		}
	}
	release := occupyLookups(t, s)
	var callers sync.WaitGroup
	all, rowsRead, waiting := make([]*lookup, accounts), make([]int, accounts), 0
	start := func(f func()) {
		callers.Go(f)
		waiting++
		waitingLookups(t, s, waiting) // it has its place in the order
	}
	for i := range accounts {
		start(func() {
			if a, err := s.Account(t.Context(), user(i)); err != nil || a.JID.BareString() != user(i).BareString() || a.Disabled != (i%2 == 0) {
				t.Errorf("account %d: %+v, %v", i, a, err)
			}
		})
		all[i] = &lookup{sql: `SELECT 10 / ($1::int - 7)`, args: []any{i}, row: func(rows pgx.Rows) error {
			rowsRead[i]++
			var n int
			err := rows.Scan(&n)
			if want := 10 / (i - 7); err == nil && n != want {
				t.Errorf("10 / (%d - 7) is %d, want %d", i, n, want)
			}
			return err
		}}
		start(func() {
			if err := s.try(t.Context(), all[i]); (err != nil) != (i == 7) || i == 7 && !strings.Contains(err.Error(), "division by zero") {
				t.Errorf("10 / (%d - 7): %v", i, err)
			}
		})
		start(func() {
			msgs, more, err := s.Offline(t.Context(), user(i), 0, 1<<20)
			if err != nil || more || len(msgs) != 1 || string(msgs[0].Stanza) != user(i).String() {
				t.Errorf("messages of %d: %v, %v, %v", i, msgs, more, err)
			}
		})
	}
	release()
	callers.Wait()
	for i, l := range all {
		if !l.shared {
			t.Errorf("lookup %d was made alone", i)
		}
		if want := min(1, max(i-7, 7-i)); rowsRead[i] != want {
			t.Errorf("the result of lookup %d was read %d times, want %d", i, rowsRead[i], want)
		}
	}
}

// TestLookupsMissing: an account that does not exist, read together with others, is not found.
func TestLookupsMissing(t *testing.T) {
	s := openTest(t, pgtest.Shared(t).URL(t), Config{})
	if err := s.CreateAccount(t.Context(), store.Account{JID: user(0)}); err != nil {
		t.Fatal(err)
	}
	release := occupyLookups(t, s)
	var callers sync.WaitGroup
	for i := range 3 {
		callers.Go(func() {
			if _, err := s.Account(t.Context(), user(i)); (err == nil) != (i == 0) || i > 0 && !errors.Is(err, store.ErrNotFound) {
				t.Errorf("account %d: %v", i, err)
			}
		})
	}
	waitingLookups(t, s, 3)
	release()
	callers.Wait()
}

// TestLookupPanic: a panic while a result is read is in the goroutine of whoever asked for it, and others
// do not notice.
func TestLookupPanic(t *testing.T) {
	s := openTest(t, pgtest.Shared(t).URL(t), Config{})
	release := occupyLookups(t, s)
	var callers sync.WaitGroup
	for i := range 3 {
		callers.Go(func() {
			defer func() {
				if p := recover(); (p != nil) != (i == 1) {
					t.Errorf("caller %d has the panic %v", i, p)
				}
			}()
			var n int
			err := s.lookup(t.Context(), "Test", "read a number", `SELECT $1::int`, []any{i}, nil, func(rows pgx.Rows) error {
				if i == 1 {
					panic("a fault")
				}
				return rows.Scan(&n)
			})
			if err != nil || n != i {
				t.Errorf("caller %d: %d, %v", i, n, err)
			}
		})
	}
	waitingLookups(t, s, 3)
	release()
	callers.Wait()
	if _, err := s.Account(t.Context(), user(0)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("afterwards: %v", err)
	}
}

// TestLookupsSlow: lookups that take longer together than a request may are made one by one.
func TestLookupsSlow(t *testing.T) {
	s := openTest(t, pgtest.Shared(t).URL(t), Config{Timeout: time.Second})
	release := occupyLookups(t, s)
	var callers sync.WaitGroup
	const slow = 6
	for range slow {
		callers.Go(func() {
			if err := s.lookup(t.Context(), "Test", "wait", `SELECT pg_sleep(0.5)`, nil, nil, func(pgx.Rows) error { return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	waitingLookups(t, s, slow)
	release()
	callers.Wait()
}

// TestReadSlow: a read that takes too long is ended by the database, and is not repeated as if the connection
// had been lost.
func TestReadSlow(t *testing.T) {
	s := openTest(t, pgtest.Shared(t).URL(t), Config{Timeout: time.Second})
	err := s.query(t.Context(), "Test", "wait", `SELECT pg_sleep(3600)`, nil, nil, func(pgx.Rows) error { return nil })
	if code(err) != queryCanceled {
		t.Errorf("%v, want that the database has ended it", err)
	}
	if s.away.Load() {
		t.Error("the database counts as not available")
	}
}

// TestLookupContext: a lookup whose context ends while it waits returns at once.
func TestLookupContext(t *testing.T) {
	s := openTest(t, pgtest.Shared(t).URL(t), Config{})
	release := occupyLookups(t, s)
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := s.Account(ctx, jid.MustParse("romeo@example.com"))
		done <- err
	}()
	waitingLookups(t, s, 1)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
}

// TestLookupsLost: lookups that were sent together on a connection that was lost are repeated.
func TestLookupsLost(t *testing.T) {
	s := openTest(t, pgtest.Shared(t).URL(t), Config{})
	if err := s.CreateAccount(t.Context(), store.Account{JID: user(0)}); err != nil {
		t.Fatal(err)
	}
	release := occupyLookups(t, s)
	var callers sync.WaitGroup
	for range 10 {
		callers.Go(func() {
			if _, err := s.Account(t.Context(), user(0)); err != nil {
				t.Error(err)
			}
		})
	}
	waitingLookups(t, s, 10)
	// Those that wait use the same connections next.
	execTest(t, connectTest(t, s), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'roost' AND datname = current_database() AND query = 'SELECT 1'`)
	release()
	callers.Wait()
}
