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

	"roost/parser"
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

// newCore builds the rooms above the poller for a number of loops.
func newCore(cfg *Config, st store.Store, tlsConfig session.TLSFunc, leaf session.LeafFunc, secret []byte, loops int) *core {
	r := router.New(router.Config{
		Domains:     cfg.Domains,
		Store:       st,
		RosterCache: cfg.RosterCache,
		MaxOffline:  cfg.OfflineQuota,
		HighestOnly: cfg.DeliverHighest,
		PageBytes:   min(64<<10, cfg.Outbox/4),
		Logger:      cfg.Logger,
		Extensions: xep.All(xep.Config{
			Register: cfg.Register,
			Contacts: cfg.Contacts,
		}),
	})
	m := session.NewManager(session.Config{
		Domains:        cfg.Domains,
		Accounts:       st,
		Router:         r,
		Secret:         secret,
		Limits:         parser.Limits{MaxStanza: cfg.MaxStanza},
		Loops:          loops,
		Workers:        cfg.Workers,
		TLS:            tlsConfig,
		Leaf:           leaf,
		AllowPlaintext: cfg.AllowPlaintext,
		MaxResources:   cfg.MaxResources,
		Conflict:       cfg.Conflict,
		DetachSlow:     cfg.DetachSlow,
		LoginTimeout:   cfg.LoginTimeout,
		Linger:         cfg.Linger,
		Logger:         cfg.Logger,
	})
	r.Attach(m)
	c := &core{store: st, router: r, sessions: m, log: cfg.Logger}
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.stopped.Go(func() { c.watch(c.ctx) })
	c.stopped.Go(func() { keepSmall(c.ctx, cfg.GCPercent) })
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
	c.router.Flush(ctx)
	c.router.Close()
}

// flushTimeout bounds how long a stop waits for the store with what was gathered.
const flushTimeout = 5 * time.Second

// watchEvery is how often the server looks for accounts that another process
// has deleted or locked.
const watchEvery = time.Second

// watch ends the sessions of accounts that were deleted or locked, by this
// process or by `roost user`.
func (c *core) watch(ctx context.Context) {
	seen, err := c.store.LastAccountEvent(ctx)
	if err != nil {
		c.log.Error("account events could not be read", "err", err)
	}
	for tick := time.NewTicker(watchEvery); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
		if seen, err = c.accountEvents(ctx, seen); err != nil && ctx.Err() == nil {
			c.log.Error("account events could not be read", "err", err)
		}
	}
}

// accountEvents acts on the events behind seen and returns the last one.
func (c *core) accountEvents(ctx context.Context, seen int64) (int64, error) {
	changed, err := c.store.Changed(ctx)
	if err != nil || !changed {
		return seen, err
	}
	for {
		events, err := c.store.AccountEvents(ctx, seen, 1000)
		if err != nil || len(events) == 0 {
			return seen, err
		}
		if err := c.revoke(ctx, events); err != nil {
			return seen, err
		}
		seen = events[len(events)-1].ID
	}
}

// revoke ends the sessions of accounts that were deleted or locked and are so
// now. An event may be old when it is seen: the account may have been let in
// again or made anew since, and whoever has logged in to it then stays.
func (c *core) revoke(ctx context.Context, events []store.AccountEvent) error {
	gone, deleted := make(map[string]time.Time), false
	for _, e := range events {
		if e.Kind != store.AccountDeleted && e.Kind != store.AccountDisabled {
			continue
		}
		c.router.Forget(e.JID)
		deleted = deleted || e.Kind == store.AccountDeleted
		bare := e.JID.String()
		if _, known := gone[bare]; known {
			continue
		}
		account, err := c.store.Account(ctx, e.JID)
		switch {
		case errors.Is(err, store.ErrNotFound) || err == nil && account.Disabled:
			gone[bare] = time.Time{}
		case err != nil:
			return err
		default:
			gone[bare] = account.Created
		}
	}
	if deleted {
		c.router.ForgetAll() // the rosters of its contacts have changed, too
	}
	if len(gone) > 0 {
		c.sessions.Revoke(gone, session.ErrNotAuthorized.WithText("The account was removed or locked."))
	}
	return nil
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
	if err := os.WriteFile(name, b, 0o600); err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	return b, nil
}
