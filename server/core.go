package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"roost/internal/ownfile"
	"roost/router"
	"roost/session"
	"roost/store"
	"roost/xep"
)

// core is the server without its sockets: the sessions and the router, made for
// each other, on top of a store.
type core struct {
	store    store.Store
	router   *router.Router
	sessions *session.Manager
	log      *slog.Logger
	ctx      context.Context    // of what runs in the background
	stop     context.CancelFunc // ends it
	stopped  sync.WaitGroup
}

// newCore builds the packages above the poller, from a configuration with defaults.
func newCore(cfg *Config, st store.Store, tlsConfig session.TLSFunc, secret []byte) *core {
	rc := cfg.Router
	rc.Domains, rc.Store, rc.Logger = cfg.Domains, st, cfg.Logger
	rc.Extensions = append(xep.All(cfg.XEP), rc.Extensions...)
	r := router.New(rc)
	sc := cfg.Session
	sc.Domains, sc.Accounts, sc.Router, sc.Logger = cfg.Domains, st, r, cfg.Logger
	sc.Secret, sc.TLS, sc.Loops = secret, tlsConfig, cfg.Poller.Loops
	m := session.NewManager(sc)
	r.Attach(m)
	c := &core{store: st, router: r, sessions: m, log: cfg.Logger}
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.stopped.Go(func() { manageHeap(c.ctx, cfg.GCPercent, c.clients) })
	return c
}

// close stops everything above the poller; the sessions are gone already. What
// workers have begun is finished first.
func (c *core) close() {
	c.stop()
	c.stopped.Wait()
	c.sessions.Close()
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	c.router.FlushPending(ctx)
	c.router.Close()
}

// clients is the number of connections, whether they have logged in or not.
func (c *core) clients() int {
	n := c.sessions.Counts()
	return n.Unbound + n.Bound
}

// flushTimeout bounds how long a stop waits for the store with what was gathered.
const flushTimeout = 5 * time.Second

// watchRetry is how long the server waits after the store or an event has failed.
const watchRetry = time.Second

// watch acts on what happens to accounts, such as by `roost user`, until ctx ends.
func (c *core) watch(ctx context.Context) {
	for {
		err := c.router.Watch(ctx, func(f func(*session.Turn) error) error { return c.onWorker(ctx, f) })
		if ctx.Err() != nil {
			return
		}
		c.log.Error("account events could not be processed", "err", err)
		select {
		case <-time.After(watchRetry):
		case <-ctx.Done():
			return
		}
	}
}

// errPanicked is the error of a function that has panicked; the log has the stack.
var errPanicked = errors.New("a worker function panicked")

// onWorker runs f on a worker that may wait for commits, and returns its error, also
// where it panics: the worker recovers from that.
func (c *core) onWorker(ctx context.Context, f func(*session.Turn) error) error {
	done := make(chan error, 1)
	c.sessions.Go(session.Write, func(t *session.Turn) {
		err := errPanicked
		defer func() { done <- err }()
		err = f(t)
	})
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// newTicker is time.NewTicker; a test has it tick when it wants.
var newTicker = time.NewTicker

// every calls f at an interval until ctx ends.
func every(ctx context.Context, interval time.Duration, f func()) {
	tick := newTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f()
		}
	}
}

// secretFile holds random bytes that stay the same: salts shown for accounts
// that do not exist are derived from them.
const secretFile = "secret"

// loadSecret reads the server's secret, which is made on first start.
func loadSecret(dir string) ([]byte, error) {
	name := filepath.Join(dir, secretFile)
	b, err := os.ReadFile(name)
	switch {
	case err == nil && len(b) >= 32:
		return b, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("server: %w", err)
	}
	b = make([]byte, 32)
	rand.Read(b)
	if err := ownfile.Write(name, b, 0o600); err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	return b, nil
}
