package router

import "roost/internal/hot"

// settings are the present settings of a router. They are immutable: a change replaces
// them.
type settings struct {
	Config
	domains map[string]bool
}

func newSettings(cfg Config) *settings {
	x := &settings{Config: cfg, domains: make(map[string]bool)}
	for _, d := range cfg.Domains {
		x.domains[d] = true
	}
	return x
}

// config returns the present settings.
func (r *Router) config() *settings { return r.settings.Load() }

// SetConfig gives a running router the values of those fields of cfg that may change (tag
// reload), and ignores the others. Two calls must not overlap.
//
// Limits apply to what is added from now on: a roster or a store of offline messages that
// has more than a new limit stays as it is.
func (r *Router) SetConfig(cfg Config) {
	next := newSettings(hot.Merge(r.config().Config, cfg.WithDefaults()))
	r.settings.Store(next)
	r.rosters.SetMaximum(uint64(next.RosterCache))
}
