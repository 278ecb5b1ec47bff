package postgres

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"roost/internal/pgtest"
	"roost/jid"
	"roost/store"
)

// lockRow begins a transaction of another process that locks an account's row.
func lockRow(t *testing.T, s *Store, j jid.JID) (unlock func()) {
	t.Helper()
	c, err := s.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tx, err := c.Begin(t.Context())
	if err == nil {
		_, err = tx.Exec(t.Context(), sqlLockAccount, append(address(j), int64(0))...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(context.Background()); err != nil {
			t.Error(err)
		}
		if err := closeConn(c); err != nil {
			t.Error(err)
		}
	}
}

// queuedWrites waits until n writes are queued or running.
func queuedWrites(t *testing.T, s *Store, n int64) {
	t.Helper()
	await(t, "writes to be queued", func() bool { return s.waiting.Load() == n })
}

// TestGroupCommit: writes that are queued while another one runs share a commit. One whose
// statement fails does not affect the others.
func TestGroupCommit(t *testing.T) {
	s := openTest(t, pgtest.Shared(t).URL(t), Config{})
	for i := range 10 {
		if err := s.CreateAccount(t.Context(), store.Account{JID: user(i)}); err != nil {
			t.Fatal(err)
		}
	}
	message := func(stanza string) store.NewMessage {
		return store.NewMessage{From: user(99), Stanza: []byte(stanza), Received: time.Now()}
	}
	for _, bad := range []bool{false, true} {
		unlock := lockRow(t, s, user(0))
		before := s.Commits()
		var callers sync.WaitGroup
		callers.Go(func() {
			if err := s.AppendOffline(t.Context(), user(0), message("first"), store.OfflineQuota{}); err != nil {
				t.Error(err)
			}
		})
		queuedWrites(t, s, 1)
		for i := 1; i < 10; i++ {
			callers.Go(func() {
				if err := s.AppendOffline(t.Context(), user(i), message("next"), store.OfflineQuota{}); err != nil {
					t.Error(err)
				}
			})
		}
		if bad {
			callers.Go(func() {
				item := &store.RosterItem{JID: user(2), Name: "a\x00b"} // no text of PostgreSQL
				r, err := s.Roster(t.Context(), user(1))
				if err != nil {
					t.Error(err)
				}
				if _, err := s.ApplyRoster(t.Context(), []store.RosterUpdate{{Owner: user(1), Expect: r.Version, Put: item}}); err == nil || errors.Is(err, ErrUnknown) {
					t.Errorf("a text with a zero byte: %v", err)
				}
			})
			queuedWrites(t, s, 11)
		} else {
			queuedWrites(t, s, 10)
		}
		unlock()
		callers.Wait()
		// The first may have been alone in its batch, or with some of the others.
		if n := s.Commits() - before; !bad && n > 2 {
			t.Errorf("%d commits for 10 writes", n)
		}
		for i := range 10 {
			want := 1
			if bad {
				want = 2
			}
			if n, err := s.CountOffline(t.Context(), user(i)); n != want || err != nil {
				t.Errorf("%d messages of %v, want %d: %v", n, user(i), want, err)
			}
		}
	}
}

// TestTimeout: if a batch takes too long, all its writes fail together: they do not wait for
// one timeout after the other.
func TestTimeout(t *testing.T) {
	url := pgtest.Shared(t).URL(t)
	s, other := openTest(t, url, Config{Timeout: time.Second}), openTest(t, url, Config{})
	for i := range 2 {
		if err := s.CreateAccount(t.Context(), store.Account{JID: user(i)}); err != nil {
			t.Fatal(err)
		}
	}
	unlock := lockRow(t, other, user(0))
	defer unlock()
	errs := make(chan error, 3)
	for i, owner := range []int{0, 0, 1} {
		go func() {
			errs <- s.AppendOffline(t.Context(), user(owner), store.NewMessage{From: user(9), Stanza: []byte("x")}, store.OfflineQuota{})
		}()
		queuedWrites(t, s, int64(i)+1)
		for i == 0 && len(s.queue) > 0 { // until the writer has taken it
			<-time.After(time.Millisecond)
		}
	}
	for range 3 {
		if err := <-errs; code(err) != queryCanceled {
			t.Errorf("%v, want a timeout", err)
		}
	}
	if n, err := s.CountOffline(t.Context(), user(1)); n != 0 || err != nil {
		t.Errorf("%d messages, %v", n, err)
	}
}

// TestAbandoned: a write whose caller has given up before it began never happens.
func TestAbandoned(t *testing.T) {
	s := openTest(t, pgtest.Shared(t).URL(t), Config{})
	for i := range 2 {
		if err := s.CreateAccount(t.Context(), store.Account{JID: user(i)}); err != nil {
			t.Fatal(err)
		}
	}
	unlock := lockRow(t, s, user(0))
	first := make(chan error, 1)
	go func() {
		first <- s.AppendOffline(t.Context(), user(0), store.NewMessage{From: user(9), Stanza: []byte("1")}, store.OfflineQuota{})
	}()
	queuedWrites(t, s, 1)
	for len(s.queue) > 0 { // until the writer has taken it
		<-time.After(time.Millisecond)
	}
	ctx, cancel := context.WithCancel(t.Context())
	second := make(chan error, 1)
	go func() {
		second <- s.AppendOffline(ctx, user(1), store.NewMessage{From: user(9), Stanza: []byte("2")}, store.OfflineQuota{})
	}()
	queuedWrites(t, s, 2)
	cancel()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	unlock()
	if err := <-first; err != nil {
		t.Error(err)
	}
	if n, err := s.CountOffline(t.Context(), user(1)); n != 0 || err != nil {
		t.Errorf("%d messages, %v", n, err)
	}
}

// TestTwoStores: writes of two processes to the same accounts, in opposite orders, all
// succeed: none is undone by a deadlock, which PostgreSQL only notices after a second.
func TestTwoStores(t *testing.T) {
	url := pgtest.Shared(t).URL(t)
	a, b := openTest(t, url, Config{}), openTest(t, url, Config{})
	for i := range 8 {
		if err := a.CreateAccount(t.Context(), store.Account{JID: user(i)}); err != nil {
			t.Fatal(err)
		}
	}
	var callers sync.WaitGroup
	for n, s := range []*Store{a, b} {
		for i := range 8 {
			callers.Go(func() {
				for k := range 20 {
					to := (i + k) % 8
					if n == 1 {
						to = 7 - to
					}
					if err := s.AppendOffline(t.Context(), user(to), store.NewMessage{From: user(9), Stanza: []byte("x")}, store.OfflineQuota{}); err != nil {
						t.Error(err)
					}
					if err := s.SetLastActivity(t.Context(), []store.LastActivity{{Owner: user(to)}, {Owner: user(7 - to)}}); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	callers.Wait()
	total := 0
	for i := range 8 {
		n, err := b.CountOffline(t.Context(), user(i))
		if err != nil {
			t.Error(err)
		}
		total += n
	}
	if total != 320 {
		t.Errorf("%d messages, want 320", total)
	}
	var deadlocks int64
	err := a.query(t.Context(), "Test", "read statistics", `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`, nil, nil, into(&deadlocks))
	if err != nil || deadlocks != 0 {
		t.Errorf("%d deadlocks, %v", deadlocks, err)
	}
}

// watched returns the events that a store's Watch reports, until the test ends.
func watched(t *testing.T, s *Store) <-chan store.AccountEvent {
	ctx, cancel := context.WithCancel(t.Context())
	events, ended := make(chan store.AccountEvent), make(chan error, 1)
	go func() {
		ended <- s.Watch(ctx, 0, func(all []store.AccountEvent) error {
			for _, e := range all {
				select {
				case events <- e:
				case <-ctx.Done():
				}
			}
			return nil
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	return events
}

// reports creates an account in a store, and waits until it is the next of some events.
func reports(t *testing.T, events <-chan store.AccountEvent, s *Store, j jid.JID) {
	t.Helper()
	if err := s.CreateAccount(t.Context(), store.Account{JID: j}); err != nil {
		t.Fatal(err)
	}
	if e := <-events; e.JID != j {
		t.Errorf("%+v", e)
	}
}

// TestNotified: an event that another process has written is reported long before the
// interval is over.
func TestNotified(t *testing.T) {
	url := pgtest.Shared(t).URL(t)
	a, b := openTest(t, url, Config{WatchInterval: time.Hour}), openTest(t, url, Config{})
	events := watched(t, a)
	for i := range 3 {
		reports(t, events, b, user(i))
	}
}

// TestNotifiedOwn: events of this process, and what was written while the connection of Watch
// was lost, are reported after the short interval.
func TestNotifiedOwn(t *testing.T) {
	url := pgtest.Shared(t).URL(t)
	a, b := openTest(t, url, Config{WatchInterval: time.Millisecond, ListenInterval: time.Hour}), openTest(t, url, Config{})
	events := watched(t, a)
	for i := range 3 {
		reports(t, events, a, user(i))
	}
	var ended int
	err := b.query(t.Context(), "Test", "end connections", `SELECT count(pg_terminate_backend(pid, 60000)) FROM pg_stat_activity
		WHERE query LIKE 'LISTEN%' AND datname = current_database()`, nil, nil, into(&ended))
	if err != nil || ended == 0 {
		t.Fatalf("%d connections ended, %v", ended, err)
	}
	reports(t, events, b, user(3))
}

// TestNewer: a database of a newer version is not opened, and a password is in no error.
func TestNewer(t *testing.T) {
	pg := pgtest.Shared(t)
	url := pg.URL(t)
	s := openTest(t, url, Config{})
	if err := s.query(t.Context(), "Test", "set version", `INSERT INTO roost_schema (version) VALUES (1000) RETURNING version`, nil, nil, into(new(int))); err != nil {
		t.Fatal(err)
	}
	defer pg.Exec(t, strings.Replace("DELETE FROM SCHEMA.roost_schema WHERE version = 1000", "SCHEMA", regexp.MustCompile(`search_path=(\w+)`).FindStringSubmatch(url)[1], 1))
	withPassword := strings.Replace(url, "roost@", "roost:hunter2@", 1)
	for _, u := range []string{withPassword, strings.Replace(withPassword, "search_path", "user=nobody2&search_path", 1), "postgres://u:hunter2@127.0.0.1:1/db", "postgres://u@127.0.0.1:1/db?password=hunter2"} {
		got, err := Open(t.Context(), Config{URL: u})
		if err == nil || got != nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v", err)
		}
		if u == withPassword && !errors.Is(err, errNewer) {
			t.Errorf("%v, want that it is newer", err)
		}
	}
}
