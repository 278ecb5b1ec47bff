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

	"roost/cluster"
	"roost/internal/ownfile"
	"roost/router"
	"roost/session"
	"roost/store"
	"roost/xep"
)

// core is the server without its sockets: the sessions, the router and the store,
// connected to each other.
type core struct {
	store    store.Store
	router   *router.Router
	xep      *xep.Set
	sessions *session.Manager
	node     *cluster.Node // nil: this server is alone
	log      *slog.Logger
	ctx      context.Context    // context of background work
	stop     context.CancelFunc // cancels ctx
	stopped  sync.WaitGroup
}

// newCore creates the packages above the poller, from a configuration with defaults.
func newCore(cfg *Config, st store.Store, tlsConfig session.TLSFunc, secret []byte) *core {
	rc := cfg.Router
	rc.Store, rc.Logger = st, cfg.Logger
	extensions := xep.New(cfg.XEP)
	extensions.SetStreamLimits(cfg.streamLimits())
	rc.Extensions = append(extensions.All(), rc.Extensions...)
	r := router.New(rc)
	sc := cfg.session()
	sc.Accounts, sc.Tokens, sc.Router, sc.Logger = st, st, r, cfg.Logger
	sc.Secret, sc.TLS, sc.Loops = secret, tlsConfig, cfg.Poller.Loops
	m := session.NewManager(sc)
	r.Attach(m)
	c := &core{store: st, router: r, xep: extensions, sessions: m, log: cfg.Logger}
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.stopped.Go(func() { manageHeap(c.ctx, cfg.GCPercent, c.clients) })
	return c
}

// close stops everything above the poller, after all sessions have ended. It waits for
// workers to finish.
func (c *core) close() {
	c.stop()
	c.stopped.Wait()
	c.sessions.Close()
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	c.leaveCluster(ctx)
	c.router.FlushPending(ctx)
	c.router.Close()
}

// clients returns the number of connections, logged in or not.
func (c *core) clients() int {
	n := c.sessions.Counts()
	return n.Unbound + n.Bound
}

// flushTimeout limits how long a stop waits for pending writes to reach the store.
const flushTimeout = 5 * time.Second

// watchRetry is the delay after a failure of the store or of an event.
const watchRetry = time.Second

// watch processes account events, such as from `roost user`, until ctx ends.
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

// onWorker runs f on a worker that may wait for commits, and returns its error. If f
// panics, the worker recovers and onWorker returns errPanicked.
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

// newTicker is time.NewTicker; tests replace it to control the ticks.
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

// expiryEvery is how often old messages are looked for.
const expiryEvery = 10 * time.Minute

// expireOffline deletes messages that have been stored for too long, until ctx ends.
func (c *core) expireOffline(ctx context.Context) {
	every(ctx, expiryEvery, func() {
		if err := c.router.ExpireOffline(ctx); err != nil && ctx.Err() == nil {
			c.log.Error("old offline messages could not be deleted, will retry", "err", err)
		}
	})
}

const (
	// forgetEvery is how often the server forgets what it need not know of deleted accounts and
	// of invitations that have ended.
	forgetEvery = time.Hour
	// keepEvents is how long it knows that something has happened to an account: longer
	// than saved sessions and other nodes may need it.
	keepEvents = 24 * time.Hour
)

// forgetDeleted forgets names and events of deleted accounts, and invitations that have ended, when it
// is time, until ctx ends.
func (c *core) forgetDeleted(ctx context.Context) {
	every(ctx, forgetEvery, func() {
		now := time.Now()
		if err := c.store.ForgetDeleted(ctx, c.xep.HeldSince(now), now.Add(-keepEvents)); err != nil && ctx.Err() == nil {
			c.log.Error("names of deleted accounts could not be forgotten, will retry", "err", err)
		}
		if err := c.store.ForgetInvitations(ctx, now.Add(-store.KeepInvitations)); err != nil && ctx.Err() == nil {
			c.log.Error("invitations that have ended could not be forgotten, will retry", "err", err)
		}
	})
}

// useEvery is how often a part of the accounts that are connected is noted as used.
const useEvery = time.Hour

// secretFile contains stable random bytes, from which the fake salts of nonexistent
// accounts are derived.
const secretFile = "secret"

// minSecret is the smallest size of the secret, and that of one that is created, in bytes.
const minSecret = 32

// loadSecret reads the server's secret and creates it on first start.
func loadSecret(dir string) ([]byte, error) {
	name := filepath.Join(dir, secretFile)
	b, err := os.ReadFile(name)
	switch {
	case err == nil && len(b) >= minSecret:
		return b, nil
	case err == nil && len(b) > 0:
		return nil, fmt.Errorf("server: %s has %d bytes, and must have at least %d: put back the file from a backup, or from another node; or delete it, and clients need their passwords again", name, len(b), minSecret)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("server: %w", err)
	}
	b = make([]byte, minSecret)
	rand.Read(b)
	if err := ownfile.Write(name, b, 0o600); err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	return b, nil
}
