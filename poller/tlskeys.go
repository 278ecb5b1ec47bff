//go:build linux

package poller

import (
	"crypto/tls"
	"errors"
	"sync"

	"roost/poller/leantls"
)

// maxAwake limits how many lean sessions of one loop keep their keys: 2 KB for each
// direction that is used.
const maxAwake = 1024

// keyCache holds the keys of a loop's busy lean sessions. A session that has used its
// keys neither in this second nor in the one before loses them; they are derived again
// when it becomes busy. The cache's lock is innermost: connections' locks may be held
// when it is taken.
type keyCache struct {
	mu   sync.Mutex
	all  []*leanTLS // busy sessions; used as a ring once it is full
	hand int
}

// wake gives a session an entry for its keys, if necessary that of another session, which
// then derives its keys again the next time. A goroutine that is using those keys at this
// moment may continue to do so; they are bound to their generation.
func (c *keyCache) wake(t *leanTLS) *leanKeys {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := t.awake.Load(); k != nil {
		return k
	}
	k := new(leanKeys)
	k.used.Store(true)
	t.awake.Store(k)
	if len(c.all) < maxAwake {
		c.all = append(c.all, t)
		return k
	}
	// Prefer an entry that was not used lately, but stop searching after a few.
	for range 8 {
		c.hand = (c.hand + 1) % len(c.all)
		if k := c.all[c.hand].awake.Load(); k == nil || !k.used.Swap(false) {
			break
		}
	}
	c.all[c.hand].awake.Store(nil)
	c.all[c.hand] = t
	return k
}

// tick drops the keys that were not used since the previous call.
func (c *keyCache) tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := c.all[:0]
	for _, t := range c.all {
		if k := t.awake.Load(); k != nil && k.used.Swap(false) {
			kept = append(kept, t)
		} else {
			t.awake.Store(nil)
		}
	}
	clear(c.all[len(kept):])
	c.all = kept
	c.hand = 0
	if len(kept) == 0 {
		c.all = nil
	}
}

// leanConfigs holds one derived configuration for each given one. A derived configuration
// records which configuration was chosen for a client, and captures secrets. There is one
// for each given one because it holds the keys of the session tickets.
type leanConfigs struct {
	failed bool // the self-test; immutable

	mu  sync.Mutex
	all map[*tls.Config]*tls.Config
}

// maxConfigs limits the map in case the caller passes a new configuration for each
// connection. When it is full it is emptied, which makes earlier session tickets invalid.
const maxConfigs = 256

// prepare runs the self-test, once per process.
func (l *leanConfigs) prepare(cfg *Config) {
	if cfg.StdTLS {
		return
	}
	if err := selfTest(); err != nil && !errors.Is(err, leantls.RefusedFIPS) {
		l.failed = true
		cfg.Logger.Error("TLS sessions will need much more memory: this build's crypto/tls differs from the one that the lean record layer was written for", "err", err)
	}
}

// selfTest is replaced by a test.
var selfTest = leantls.SelfTest

// configFor returns the configuration that a server's connection uses.
func (l *leanConfigs) configFor(cfg *Config, given *tls.Config) *tls.Config {
	std := cfg.StdTLS || l.failed
	if std && given.GetConfigForClient == nil {
		return given
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.all[given]
	if c == nil {
		if len(l.all) >= maxConfigs {
			l.all = nil
		}
		if l.all == nil {
			l.all = make(map[*tls.Config]*tls.Config)
		}
		if c = withChosenConfig(given); !std {
			c = leantls.Config(c, captureSecrets)
		}
		l.all[given] = c
	}
	return c
}
