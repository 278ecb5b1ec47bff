package server

import (
	"errors"
	"net"
	"time"

	"roost/acme"
	"roost/admin/api"
	"roost/jid"
)

func (c *Config) validateACME(mistake func(field, format string, args ...any)) {
	var domains []string
	for _, d := range c.Domains {
		domains = append(domains, jid.DNSName(d))
	}
	c.ACME.Validate(domains, func(field, format string, args ...any) { mistake("ACME."+field, format, args...) })
	if !c.ACME.Enabled() {
		return
	}
	if err := checkAddr(c.ACME.HTTP); err != nil {
		mistake("ACME.HTTP", "cannot listen on %q: %w; an address looks like :80 or 192.0.2.1:80", c.ACME.HTTP, err)
	}
	switch {
	case c.ACME.TLS != acme.Clients:
		if err := checkAddr(c.ACME.TLS); err != nil {
			mistake("ACME.TLS", "cannot listen on %q: %w; an address looks like :443 or 192.0.2.1:443, and %s means the listeners for clients", c.ACME.TLS, err, acme.Clients)
		}
	case c.C2STLS == "" && c.WebSocket.Addr == "" && len(c.Sockets.C2STLS)+len(c.Sockets.WS) == 0:
		mistake("ACME.TLS", "there is no listener for clients with direct TLS or WebSocket, which could answer challenges")
	}
}

// prepareACME makes what gets certificates, before clients connect.
func (s *Server) prepareACME() (err error) {
	cfg := s.config()
	if !cfg.ACME.Enabled() {
		return nil
	}
	addr := cfg.ACME.HTTP
	if addr == "" && cfg.ACME.TLS != acme.Clients {
		addr = cfg.ACME.TLS
	}
	var l net.Listener
	if addr != "" {
		if l, err = net.Listen("tcp", addr); err != nil {
			return listenError(addr, err)
		}
	}
	m, err := acme.New(cfg.ACME, l, s.log)
	if err != nil {
		if l != nil {
			err = errors.Join(err, l.Close())
		}
		return err
	}
	s.acme = m
	if cfg.ACME.TLS == acme.Clients {
		s.certs.challenge = m.Challenge
	}
	return nil
}

// runACME gets certificates from now on.
func (s *Server) runACME() {
	if s.acme == nil {
		return
	}
	if s.config().ACME.TLS == acme.Clients {
		s.acme.ListensOn(s.challengeAddr())
	}
	s.certs.obtainBy(s.acme.SetDomains)
	s.stopped.Go(func() { s.acme.Run(s.ctx, s.obtained) })
}

// challengeAddr is the address of a listener for clients that begin with TLS.
func (s *Server) challengeAddr() (addr net.Addr) {
	for _, l := range s.listeners.all {
		if l.tls != nil {
			return l.Addr
		}
	}
	panic("server: BUG: Validate accepts a configuration without a listener for challenges")
}

// obtained is called when there is a new certificate.
func (s *Server) obtained(domain string) {
	if err := s.certs.Reload(); err != nil {
		s.log.Error("a certificate was obtained, but the certificates cannot be used; the previous ones stay in use", "domain", domain, "err", err)
	}
}

func (s *Server) closeACME() {
	if s.acme != nil {
		s.acme.Close()
	}
}

// obtainBy has needs called with the domains for which certificates are to be obtained, at once
// and when they change.
func (c *Certificates) obtainBy(needs func(domains []string)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.needs = needs
	needs(c.set.Load().obtain)
}

// renewals describes what is obtained.
func (s *Server) renewals() (all []api.Renewal) {
	optional := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		t = t.UTC().Truncate(time.Second)
		return &t
	}
	for _, st := range s.acme.Status() {
		all = append(all, api.Renewal{
			Domain: st.Domain, NotAfter: optional(st.Expires), NextTry: st.NextTry.UTC().Truncate(time.Second),
			Failures: int64(st.Failures), Reason: st.Reason, FailedAt: optional(st.FailedAt),
		})
	}
	return all
}
