package session

import (
	"context"

	"roost/internal/hot"
)

// settings are the present settings of a manager. They are immutable: a change replaces
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
func (m *Manager) config() *settings { return m.settings.Load() }

// SetConfig gives a running manager the values of those fields of cfg that may change (tag
// reload), and ignores the others. Two calls must not overlap.
//
// A loop uses new limits of the parser from its next turn on. A session keeps the login
// deadline with which it began. If FanoutRate becomes unlimited, sessions that wait resume.
// Sessions of a domain that is no longer served remain until CloseUnserved.
func (m *Manager) SetConfig(cfg Config) {
	before := m.config()
	next := newSettings(hot.Merge(before.Config, cfg.WithDefaults()))
	m.settings.Store(next)
	if next.ResumeTimeout < before.ResumeTimeout {
		m.detached.soon()
	}
	if next.AckTimeout != before.AckTimeout {
		m.awaited.soon()
	}
	if next.AckInterval != before.AckInterval {
		m.paced.soon()
	}
	if m.unackedBytes.Load() > next.UnackedMemory {
		m.large.start()
	}
	m.throttle.set(&next.Config)
	m.fanout.setRate(next.FanoutRate)
}

// CloseUnserved closes the sessions whose domain is no longer served with <host-gone/> ([RFC
// 6120 section 4.9.3.5]), at the pace of Shutdown, until ctx ends. It returns the number of
// bound ones.
//
// [RFC 6120 section 4.9.3.5]: https://www.rfc-editor.org/rfc/rfc6120#section-4.9.3.5
func (m *Manager) CloseUnserved(ctx context.Context) int {
	p := newPace()
	defer p.Stop()
	closed := 0
	m.unbound.Range(func(s *Session, _ struct{}) bool {
		// Until it is bound, only its loop may look at its address.
		s.runOnLoop(func(*Turn) {
			if host := s.Host(); host != "" && !m.Serves(host) {
				s.Close(ErrHostGone)
			}
		})
		return p.Wait(ctx, 1) > 0
	})
	m.table.each(func(s *Session) bool {
		if !m.Serves(s.Host()) {
			closed++
			s.Close(ErrHostGone)
			return p.Wait(ctx, 1) > 0
		}
		return true
	})
	return closed
}
