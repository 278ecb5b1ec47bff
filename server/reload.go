package server

import (
	"context"
	"errors"
	"slices"

	"roost/admin/api"
	"roost/internal/hot"
	"roost/poller"
	"roost/session"
	"roost/xep"
)

// Reload replaces the configuration of a running server as a whole, or, if it has a mistake
// or a certificate cannot be read, not at all. No connection ends, except that sessions of
// domains that are no longer served are closed with <host-gone/>, at the pace of Shutdown,
// after Reload has returned.
//
// Of a field that needs a restart (tag reload), the running server keeps the value that it
// has, and so it does of those that the program fills in. All certificates are read again.
//
// When Reload returns, each event loop uses the new configuration, unless ctx has ended
// first: then it will.
func (s *Server) Reload(ctx context.Context, cfg Config) error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	if s.state.Load() == api.Stopping {
		return errors.New("server: it is stopping")
	}
	old := s.config()
	cfg.Sockets = old.Sockets               // or Validate wants an address
	cfg.Domains = slices.Clone(cfg.Domains) // Validate normalizes them
	if err := cfg.Validate(); err != nil {
		return err
	}
	cfg = cfg.WithDefaults()
	next := hot.Merge(*old, cfg)
	if err := next.Validate(); err != nil { // what is new may not fit what needs a restart
		return err
	}
	pc, err := next.poller()
	if err != nil {
		return err
	}
	set, err := newCertSource(&next).load(s.certs.set.Load())
	if err != nil {
		return err
	}
	files, err := readBlockFiles(&next)
	if err != nil {
		return err
	}
	if err := recordDomains(next.DataDir, next.Domains); err != nil {
		return err
	}
	if err := s.sessions.KeysChanged(ctx, next.Domains); err != nil {
		return err
	}
	// Nothing can fail from here on.
	secureKeys(next.TLSKey, s.log)
	s.certs.use(set, nil)
	s.starttls.add(next.Domains, s.certs)
	s.settings.Store(&next)
	s.web.Store(s.newWeb(&next))
	s.poller.SetConfig(pc)
	s.router.SetConfig(next.Router)
	s.sessions.SetConfig(next.session())
	blocked := s.useBlockFiles(files, &next)
	s.xep.SetConfig(next.XEP)
	s.xep.SetStreamLimits(next.streamLimits())
	if s.node != nil {
		s.node.SetDomains(domainsHash(next.Domains))
	}
	if next.OutageFile != old.OutageFile {
		s.updateOutage()
	}
	_ = s.CheckLoops(ctx) // each loop ends a turn
	if blocked {
		s.admin.EnforceBlocks()
	}
	if removed(old.Domains, next.Domains) {
		s.stopped.Go(func() {
			if n := s.sessions.CloseUnserved(s.ctx); n > 0 {
				s.log.Info("sessions of domains that are no longer served were ended", "sessions", n)
			}
		})
	}
	return nil
}

// removed reports whether there is a domain in old that is not in next.
func removed(old, next []string) bool {
	return slices.ContainsFunc(old, func(d string) bool { return !slices.Contains(next, d) })
}

// The configurations of the packages, with what follows from the rest.

func (c *Config) poller() (poller.Config, error) {
	pc := c.Poller
	var err error
	pc.Proxies, err = parseProxies(c.ProxyProtocol)
	pc.ProxyTimeout = c.Session.LoginTimeout
	return pc, err
}

func (c *Config) session() session.Config {
	sc := c.Session
	sc.Domains = c.Domains
	return sc
}

func (c *Config) streamLimits() xep.StreamLimits {
	l := c.Session.Limits
	return xep.StreamLimits{MaxStanza: l.MaxStanza, MaxRestricted: l.MaxRestricted, Idle: c.Poller.IdleTimeout}
}
