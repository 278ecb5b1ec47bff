package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"roost/internal/pgtest"
	"roost/store"
)

// cutConn is a connection that is lost when a response arrives after cut was set.
type cutConn struct {
	net.Conn
	cut *atomic.Bool
}

func (c cutConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == nil && c.cut.CompareAndSwap(true, false) {
		_ = c.Close()
		return 0, io.EOF
	}
	return n, err
}

// TestUnknown: if the connection is lost after a batch was sent, the write is not repeated,
// since it may have happened.
func TestUnknown(t *testing.T) {
	s := openTest(t, pgtest.Shared(t).URL(t), Config{})
	if err := s.CreateAccount(t.Context(), store.Account{JID: user(1)}); err != nil {
		t.Fatal(err)
	}
	var cut atomic.Bool
	dial := s.conn.DialFunc
	s.conn.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		return cutConn{c, &cut}, err
	}
	// The writer connects again, by the new function.
	var ended bool
	err := s.query(t.Context(), "Test", "end the writer's connection", `SELECT pg_terminate_backend($1)`, []any{s.pid.Load()}, nil, into(&ended))
	if err != nil || !ended {
		t.Fatalf("%v, %v", ended, err)
	}
	appendOne := func() error {
		return s.AppendOffline(t.Context(), user(1), store.NewMessage{From: user(9), Stanza: []byte("x"), Received: time.Now()}, store.OfflineQuota{})
	}
	if err := appendOne(); err != nil && !errors.Is(err, ErrUnknown) {
		t.Fatal(err)
	}
	if err := appendOne(); err != nil {
		t.Fatal(err)
	}
	before, err := s.CountOffline(t.Context(), user(1))
	if err != nil {
		t.Fatal(err)
	}
	cut.Store(true)
	if err := appendOne(); !errors.Is(err, ErrUnknown) {
		t.Errorf("the connection was lost: %v, want that the outcome is unknown", err)
	}
	if n, err := s.CountOffline(t.Context(), user(1)); n != before+1 || err != nil {
		t.Errorf("%d messages, want %d: %v", n, before+1, err)
	}
	if err := appendOne(); err != nil {
		t.Errorf("after that: %v", err)
	}
}

// TestBatchLock: while another process commits a batch of writes to one account each, so
// may this one, but a write that creates an account waits.
func TestBatchLock(t *testing.T) {
	s := openTest(t, pgtest.Shared(t).URL(t), Config{})
	if err := s.CreateAccount(t.Context(), store.Account{JID: user(1)}); err != nil {
		t.Fatal(err)
	}
	c, err := s.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(c)
	tx, err := c.Begin(t.Context())
	if err == nil {
		_, err = tx.Exec(t.Context(), lockShared, int64(batchLock))
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := s.AppendOffline(t.Context(), user(1), store.NewMessage{From: user(9), Stanza: []byte("x")}, store.OfflineQuota{}); err != nil {
		t.Error(err)
	}
	created := make(chan error, 1)
	go func() { created <- s.CreateAccount(t.Context(), store.Account{JID: user(2)}) }()
	for waiting := 0; waiting == 0; {
		err := s.query(t.Context(), "Test", "read locks", `SELECT count(*) FROM pg_locks WHERE pid = $1 AND locktype = 'advisory' AND NOT granted`, []any{s.pid.Load()}, nil, into(&waiting))
		if err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-created:
			t.Fatalf("an account was created at the same time: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-created; err != nil {
		t.Error(err)
	}
}
