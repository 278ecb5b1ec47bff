package postgres

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"roost/internal/pgtest"
	"roost/store"
)

// claimed is the configuration of a server that does not wait for the lock of servers.
func claimed(u store.Use) Config {
	return Config{ClaimWait: time.Nanosecond, Options: store.Options{Use: u}}
}

// refused fails unless a store cannot be opened because of servers, whose description has a
// text.
func refused(t *testing.T, url string, u store.Use, by string) {
	t.Helper()
	cfg := claimed(u)
	cfg.URL = url
	s, err := Open(t.Context(), cfg)
	if !errors.Is(err, store.ErrInUse) || !strings.Contains(err.Error(), "in use by "+by+": stop it, or") {
		t.Errorf("%v, want that it is in use by %s", err, by)
	}
	if err == nil {
		s.Close()
	}
}

// gone waits until a connection of the database has ended.
func gone(t *testing.T, s *Store, pid uint32) {
	t.Helper()
	await(t, "the end of a connection", func() bool {
		var there bool
		err := s.query(t.Context(), "Test", "look for a connection", `SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = $1)`, []any{int64(pid)}, nil, into(&there))
		if err != nil {
			t.Fatal(err)
		}
		return !there
	})
}

// TestClaim: a server without a cluster excludes all others, the nodes of a cluster exclude
// such a server only, and commands run beside all of them.
func TestClaim(t *testing.T) {
	const alone, node = "a server without --cluster", "a node of a cluster"
	url := pgtest.Shared(t).URL(t)
	command := openTest(t, url, claimed(store.Beside))
	s := openTest(t, url, claimed(store.Alone))
	refused(t, url, store.Alone, alone)
	refused(t, url, store.Shared, alone)
	if err := errors.Join(command.CreateAccount(t.Context(), store.Account{JID: user(1)}), openTest(t, url, claimed(store.Beside)).Close(), s.Close()); err != nil {
		t.Error(err)
	}
	// The database notices a moment later that a connection was closed.
	a, b := openTest(t, url, Config{Options: store.Options{Use: store.Shared}}), openTest(t, url, claimed(store.Shared))
	refused(t, url, store.Alone, node+", "+node)
	pid := a.pid.Load()
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	gone(t, command, pid)
	refused(t, url, store.Alone, node)
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	openTest(t, url, Config{Options: store.Options{Use: store.Alone}})
	openTest(t, pgtest.Shared(t).URL(t), claimed(store.Alone)) // another schema
}

// holder returns the process that has the lock, other than that of a connection.
func holder(t *testing.T, c *pgx.Conn) (b backend) {
	t.Helper()
	rows, err := c.Query(t.Context(), sqlHolders)
	if err == nil {
		err = each(rows, into(&b.pid, &b.start, nil, nil))
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// connectTest opens a connection for a test.
func connectTest(t *testing.T, s *Store) *pgx.Conn {
	t.Helper()
	c, err := s.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = closeConn(c) })
	return c
}

func execTest(t *testing.T, c *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := c.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// TestClaimLost: if the connection that has the lock is lost, the next write takes it again,
// and so does the server while it does not write.
func TestClaimLost(t *testing.T) {
	url := pgtest.Shared(t).URL(t)
	for _, idle := range []bool{false, true} {
		cfg := claimed(store.Alone)
		cfg.ClaimWait = time.Minute // the database may notice late that the one before has closed
		cfg.ClaimInterval = time.Hour
		if idle {
			cfg.ClaimInterval = time.Millisecond
		}
		s := openTest(t, url, cfg)
		c := connectTest(t, s)
		former := holder(t, c)
		execTest(t, c, sqlTerminate, former.pid)
		if !idle {
			// The outcome of the first write is unknown.
			for s.SetDisabled(t.Context(), user(1), true); !errors.Is(s.SetDisabled(t.Context(), user(1), true), store.ErrNotFound); {
			}
		}
		now := holder(t, c)
		for now.pid == 0 || now == former {
			now = holder(t, c)
		}
		if !idle && now.pid != s.pid.Load() {
			t.Errorf("process %d has the lock, want that of the writer, %d", now.pid, s.pid.Load())
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestUsurped: if another server takes the lock while a connection is lost, nothing is
// written any more until that one has stopped.
func TestUsurped(t *testing.T) {
	url := pgtest.Shared(t).URL(t)
	cfg := claimed(store.Alone)
	cfg.ClaimInterval = time.Hour
	s := openTest(t, url, cfg)
	if err := s.CreateAccount(t.Context(), store.Account{JID: user(1)}); err != nil {
		t.Fatal(err)
	}
	c, other := connectTest(t, s), connectTest(t, s)
	taken := make(chan error, 1)
	go func() {
		_, err := other.Exec(context.Background(), `SELECT pg_advisory_lock`+claimKey)
		taken <- err
	}()
	// It waits in the queue, so that no one is faster.
	for waiting := false; !waiting; {
		err := c.QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM pg_locks WHERE pid = $1 AND NOT granted)`, other.PgConn().PID()).Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
	}
	execTest(t, c, sqlTerminate, holder(t, c).pid)
	if err := <-taken; err != nil {
		t.Fatal(err)
	}
	_ = s.SetDisabled(t.Context(), user(1), true) // its outcome is unknown
	for range 2 {
		if err := s.SetDisabled(t.Context(), user(1), true); !errors.Is(err, store.ErrInUse) {
			t.Errorf("a write: %v", err)
		}
	}
	put := func() error {
		return s.UpdateBlobs(t.Context(), store.BlobSet{Owner: user(1), Kind: "k"}, func(tx store.BlobTx) error { return tx.Put("k", nil) })
	}
	if err := put(); !errors.Is(err, store.ErrInUse) {
		t.Errorf("UpdateBlobs: %v", err)
	}
	execTest(t, other, `SELECT pg_advisory_unlock`+claimKey)
	if err := errors.Join(s.SetDisabled(t.Context(), user(1), true), put()); err != nil {
		t.Error(err)
	}
}

// TestUsurpedIdle: a server that does not write notices, too, that another server has the lock.
func TestUsurpedIdle(t *testing.T) {
	s := openTest(t, pgtest.Shared(t).URL(t), Config{})
	execTest(t, connectTest(t, s), `SELECT pg_advisory_lock`+claimKey)
	cfg := claimed(store.Alone).withDefaults()
	cfg.Timeout, cfg.ClaimWait = time.Second, time.Second // as long as each other, as by default
	w := &writer{s: &Store{cfg: cfg, conn: s.conn}}
	for range 10 { // a slow machine may take too long to connect
		if w.keepClaim(); w.s.usurped.Load() != nil {
			return
		}
	}
	t.Error("the server has not noticed it")
}

// TestFormer: a connection that this store has lost, but the database has not, is ended.
func TestFormer(t *testing.T) {
	s := openTest(t, pgtest.Shared(t).URL(t), Config{})
	former, c := connectTest(t, s), connectTest(t, s)
	execTest(t, former, `SELECT pg_advisory_lock`+claimKey)
	cfg := claimed(store.Alone).withDefaults()
	again := &Store{cfg: cfg, former: holder(t, c)}
	if err := again.claim(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if again.former.pid != c.PgConn().PID() {
		t.Errorf("%+v has the lock", again.former)
	}
}
