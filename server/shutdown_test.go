package server

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"roost/internal/xmpptest"
	"roost/session"
	"roost/store/sqlite"
)

// TestShutdownWithLockedStore: after its timeout, a stop does not wait for requests that
// are blocked in the store.
func TestShutdownWithLockedStore(t *testing.T) {
	var log lockedLog
	cfg := Config{C2S: "127.0.0.1:0", DataDir: t.TempDir(), Session: session.Config{AllowPlaintext: true}, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	s, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := xmpptest.AddAccounts(t.Context(), s.store, "localhost"); err != nil {
		t.Fatal(err)
	}
	clients := []*peer{connect(t, s).login("romeo", "r"), connect(t, s).login("juliet", "j")}
	other, err := zombiezen.OpenConn(filepath.Join(cfg.DataDir, sqlite.FileName), zombiezen.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	if err := sqlitex.ExecuteTransient(other, "BEGIN IMMEDIATE", nil); err != nil {
		t.Fatal(err)
	}
	for _, c := range clients {
		if _, err := c.conn.Write([]byte("<iq type='set' id='s'><query xmlns='jabber:iq:roster'><item jid='a@example.com'/></query></iq>")); err != nil {
			t.Fatal(err)
		}
	}
	db := s.store.(*sqlite.Store)
	xmpptest.Eventually(t, "both writes wait for the database", func() bool { return db.Waiting() == len(clients) })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(ctx) }()
	var text string
	xmpptest.Eventually(t, "the requests end", func() bool {
		text = log.String()
		return strings.Contains(text, "context canceled") || strings.Contains(text, "locked")
	})
	if strings.Contains(text, "locked") {
		t.Error("the request waited for the lock: ", text)
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestShutdownCutsOff: clients that do not close their connections are cut off after the
// timeout, and the error says so. Bug: the error was missing if their sessions had ended
// before.
func TestShutdownCutsOff(t *testing.T) {
	s, err := New(t.Context(), Config{C2S: "127.0.0.1:0", DataDir: t.TempDir(), Session: session.Config{AllowPlaintext: true, Linger: time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	if err := xmpptest.AddAccounts(t.Context(), s.store, "localhost"); err != nil {
		t.Fatal(err)
	}
	connect(t, s).login("romeo", "r") // does not close its connection
	if err := s.sessions.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want an error: a client was cut off", err)
	}
}

// lockedLog is a log that can be read while it is written.
type lockedLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Len returns the number of bytes in the log.
func (l *lockedLog) Len() int { return len(l.String()) }

// Reset empties the log.
func (l *lockedLog) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}
