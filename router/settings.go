package router

import "roost/internal/hot"

// config returns the present settings, which are immutable: a change replaces them.
func (r *Router) config() *Config { return r.settings.Load() }

// SetConfig gives a running router the values of those fields of cfg that may change (tag
// reload), and ignores the others. Two calls must not overlap.
//
// Limits apply to what is added from now on: a roster or a store of offline messages that
// has more than a new limit stays as it is.
func (r *Router) SetConfig(cfg Config) {
	next := hot.Merge(*r.config(), cfg.WithDefaults())
	r.settings.Store(&next)
	r.strangers.set(&next)
	r.rosters.SetMaximum(uint64(next.RosterCache))
}
