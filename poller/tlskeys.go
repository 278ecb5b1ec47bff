//go:build linux

package poller

import (
	"crypto/tls"
	"errors"
	"sync"

	"roost/poller/leantls"
)

// maxAwake bounds how many lean sessions of one loop keep their keys: 2 KB for
// each direction that is used.
const maxAwake = 1024

// keyCache holds the keys of a loop's busy lean sessions. One that has used its
// keys neither in this second nor in the one before has none: the keys of an
// idle session are made anew when it wakes. Its lock is innermost: connections'
// locks may be held when it is taken.
type keyCache struct {
	mu   sync.Mutex
	all  []*leanTLS // those that are awake, a ring when it is full
	hand int
}

// wake gives a session room for keys, if need be that of another, which makes
// its keys anew the next time. Whoever uses those in this moment goes on with
// them; they are bound to their generation.
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
	// Spare those that were used lately, but not for ever.
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

// tick drops the keys that were not used since the call before.
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

// leanConfigs are the configurations that note what was chosen for a client and
// catch secrets, one for each that was given, because it has the keys of the session
// tickets.
type leanConfigs struct {
	failed bool // the self-test; immutable

	mu  sync.Mutex
	all map[*tls.Config]*tls.Config
}

// maxConfigs bounds the map if somebody makes a configuration for each
// connection; then tickets are forgotten.
const maxConfigs = 256

// prepare does the self-test, once for the process.
func (l *leanConfigs) prepare(cfg *Config) {
	if cfg.StdTLS {
		return
	}
	if err := selfTest(); err != nil && !errors.Is(err, leantls.RefusedFIPS) {
		l.failed = true
		cfg.Logger.Error("TLS sessions will need much more memory: this build's crypto/tls is not the one that the lean record layer knows", "err", err)
	}
}

// selfTest is replaced by a test.
var selfTest = leantls.SelfTest

// configFor returns the configuration that a server's connection is to use.
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
