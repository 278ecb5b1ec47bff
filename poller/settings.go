//go:build linux

package poller

import "roost/internal/hot"

// config returns the present settings, which are immutable: a change replaces them.
func (p *Poller) config() *Config { return p.settings.Load() }

// SetConfig gives a running Poller the values of those fields of cfg that may change (tag
// reload), and ignores the others. Two calls must not overlap.
//
// A connection keeps what was set at its accept: socket options, and whether it is counted
// by MaxPerAddress and UnauthMemory. A full outbox that has become smaller accepts nothing
// until it has drained enough; a connection that was silent for longer than a new
// IdleTimeout is closed within one round of the sweep.
func (p *Poller) SetConfig(cfg Config) {
	next := hot.Merge(*p.config(), cfg.WithDefaults())
	p.settings.Store(&next)
	p.addrs.setLimit(next.MaxPerAddress)
	p.unauth.setLimit(next.UnauthMemory)
	p.queue.begin() // there may be more slots
	for _, l := range p.loops {
		l.post(nil, func(int) { l.waiter.setBatch(max(0, next.KeepaliveBatch)) })
	}
	p.loops[0].post(nil, func(int) { p.attempts.setLimit(next.MaxAttempts) })
}
