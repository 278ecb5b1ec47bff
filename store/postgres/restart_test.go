package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"roost/internal/pgtest"
	"roost/internal/redistest"
	"roost/jid"
	"roost/store"
)

// openTest opens a store at a URL, and closes it when the test ends.
func openTest(t testing.TB, url string, cfg Config) *Store {
	t.Helper()
	cfg.URL = url
	s, err := Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func user(i int) jid.JID { return jid.MustParse(fmt.Sprintf("u%d@example.com", i)) }

// traffic is callers that read and write until they are stopped.
type traffic struct {
	stop    atomic.Bool
	callers sync.WaitGroup
	done    atomic.Int64 // calls that succeeded

	mu     sync.Mutex
	stored [8]int // messages that were acknowledged, by caller
	lost   [8]int // those with an unknown outcome
}

func (tr *traffic) run(t *testing.T, s *Store) {
	for i := range tr.stored {
		tr.callers.Go(func() {
			for n := 0; !tr.stop.Load(); n++ {
				if _, err := s.LoginState(t.Context(), user(i)); err != nil {
					t.Errorf("a read fails: %v", err)
					return
				}
				m := store.NewMessage{From: user(99), Stanza: fmt.Appendf(nil, "%d", n), Received: time.Now()}
				err := s.AppendOffline(t.Context(), user(i), m, store.OfflineQuota{})
				tr.mu.Lock()
				switch {
				case err == nil:
					tr.stored[i]++
				case errors.Is(err, ErrUnknown):
					tr.lost[i]++
				default:
					t.Errorf("a write fails: %v", err)
				}
				tr.mu.Unlock()
				tr.done.Add(1)
			}
		})
	}
}

// more waits for n more calls to succeed.
func (tr *traffic) more(t *testing.T, n int64) {
	t.Helper()
	until := tr.done.Load() + n
	for tr.done.Load() < until && !t.Failed() {
		select {
		case <-time.After(time.Millisecond):
		case <-t.Context().Done():
			return
		}
	}
}

// TestRestart stops and starts PostgreSQL while others read and write: no read fails, a
// write fails only if its outcome is unknown, what was acknowledged is there, each once,
// and Watch continues.
func TestRestart(t *testing.T) {
	pg := pgtest.New(t)
	s := openTest(t, pg.URL(t), Config{RetryFor: time.Minute})
	var accounts []store.Account
	for i := range 8 {
		accounts = append(accounts, store.Account{JID: user(i)})
	}
	if _, _, err := s.ImportAccounts(t.Context(), accounts, store.SkipExisting); err != nil {
		t.Fatal(err)
	}
	events := make(chan jid.JID)
	ctx, cancel := context.WithCancel(t.Context())
	watched := make(chan error, 1)
	go func() {
		watched <- s.Watch(ctx, 8, func(all []store.AccountEvent) error {
			for _, e := range all {
				events <- e.JID
			}
			return nil
		})
	}()
	var tr traffic
	tr.run(t, s)
	for round := range 4 {
		tr.more(t, 50)
		pg.Stop(t, round%2 == 1)
		pg.Start(t)
		tr.more(t, 50)
		if err := s.CreateAccount(t.Context(), store.Account{JID: user(100 + round)}); err != nil {
			t.Fatal(err)
		}
		if got := <-events; got != user(100+round) {
			t.Errorf("event of %v", got)
		}
	}
	tr.stop.Store(true)
	tr.callers.Wait()
	cancel()
	if err := <-watched; !errors.Is(err, context.Canceled) {
		t.Errorf("Watch: %v", err)
	}
	for i := range tr.stored {
		n, err := s.CountOffline(t.Context(), user(i))
		if err != nil || n < tr.stored[i] || n > tr.stored[i]+tr.lost[i] {
			t.Errorf("%d messages are stored, %d were acknowledged, %d unknown: %v", n, tr.stored[i], tr.lost[i], err)
		}
	}
	t.Logf("acknowledged %v, unknown %v", tr.stored, tr.lost)
}

// proxied starts a proxy on a TCP port for a database, and returns the URL of the database there.
func proxied(t *testing.T, pg *pgtest.Server) (*redistest.Proxy, string) {
	t.Helper()
	u, err := url.Parse(pg.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	network := redistest.StartProxy(t, filepath.Join(q.Get("host"), ".s.PGSQL.5432"))
	q.Del("host")
	q.Set("sslmode", "disable")
	u.Host, u.RawQuery = network.Addr, q.Encode()
	return network, u.String()
}

// TestLostIdle: PostgreSQL is restarted while there is nothing to write. The next write succeeds. On
// a TCP connection, what is written next seems to be sent.
func TestLostIdle(t *testing.T) {
	pg := pgtest.New(t)
	_, address := proxied(t, pg)
	s := openTest(t, address, Config{RetryFor: time.Minute, ClaimInterval: time.Hour, CheckAfter: time.Nanosecond})
	for round := range 4 {
		if err := s.CreateAccount(t.Context(), store.Account{JID: user(round)}); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		pg.Stop(t, round%2 == 0)
		pg.Start(t)
	}
}

// TestDown: while the database is down, reads and writes fail after RetryFor, with an error
// that says so and does not contain the password.
func TestDown(t *testing.T) {
	pg := pgtest.New(t)
	s := openTest(t, pg.URL(t), Config{RetryFor: time.Millisecond})
	if err := s.CreateAccount(t.Context(), store.Account{JID: user(1)}); err != nil {
		t.Fatal(err)
	}
	pg.Stop(t, false)
	_, err := s.Account(t.Context(), user(1))
	if !errors.Is(err, errDown) {
		t.Errorf("a read: %v", err)
	}
	first := s.SetDisabled(t.Context(), user(1), true)
	if !errors.Is(first, errDown) && !errors.Is(first, ErrUnknown) {
		t.Errorf("the first write: %v", first)
	}
	if err := s.SetDisabled(t.Context(), user(1), true); !errors.Is(err, errDown) {
		t.Errorf("a write: %v", err)
	}
	err = s.UpdateBlobs(t.Context(), store.BlobSet{Owner: user(1), Kind: "k"}, func(store.BlobTx) error {
		t.Error("the function is called without a database")
		return nil
	})
	if !errors.Is(err, errDown) {
		t.Errorf("UpdateBlobs: %v", err)
	}
	pg.Start(t)
	s.cfg.RetryFor = time.Minute // the writer waits on its queue
	endOfOutage(t, s)
	if a, err := s.Account(t.Context(), user(1)); err != nil || a.Disabled != (errors.Is(first, ErrUnknown) && a.Disabled) {
		t.Errorf("%+v, %v", a, err)
	}
}

// endOfOutage waits until reads are tried again.
func endOfOutage(t *testing.T, s *Store) {
	t.Helper()
	await(t, "the end of the outage", func() bool { return !s.away.Load() })
}

// await waits for a condition.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for !ok() {
		select {
		case <-time.After(time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("the test ends while it waits for " + what)
		}
	}
}

// TestOutage: after a read has failed because the database does not reply, others fail at once, until
// it replies.
func TestOutage(t *testing.T) {
	pg := pgtest.New(t)
	network, address := proxied(t, pg)
	s := openTest(t, address, Config{Timeout: time.Second, RetryFor: time.Millisecond})
	if err := s.CreateAccount(t.Context(), store.Account{JID: user(1)}); err != nil {
		t.Fatal(err)
	}
	for _, fault := range []func(){network.Freeze, network.Cut} {
		fault()
		if _, err := s.Account(t.Context(), user(1)); !errors.Is(err, errDown) {
			t.Errorf("a read: %v", err)
		}
		err := s.retry(t.Context(), func() error {
			t.Error("another read is tried")
			return nil
		})
		if !errors.Is(err, errDown) {
			t.Errorf("another read: %v", err)
		}
		network.Mend()
		endOfOutage(t, s)
		s.cfg.RetryFor = time.Minute // a connection of the pool may be lost
		if _, err := s.Account(t.Context(), user(1)); err != nil {
			t.Errorf("afterwards: %v", err)
		}
		s.cfg.RetryFor = time.Millisecond
	}
	network.Cut()
	if _, err := s.Account(t.Context(), user(1)); !errors.Is(err, errDown) {
		t.Errorf("a read: %v", err)
	}
	// Close ends during the outage.
}
