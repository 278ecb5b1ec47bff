package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"roost/admin"
	"roost/admin/api"
	"roost/capacity"
	"roost/internal/ownfile"
	"roost/jid"
	"roost/session"
	"roost/xep"
)

// startAdmin serves the administration interface.
func (s *Server) startAdmin() (err error) {
	cfg := s.config()
	var b admin.Backend
	if b.Socket, err = adminSocket(cfg.DataDir, cfg.Admin.SocketDir); err != nil {
		return err
	}
	if addr := cfg.Admin.Addr; addr != "" && !onLoopback(addr) {
		b.TLS = s.certs.httpConfig()
	}
	b.Domains = func() []string { return s.config().Domains }
	b.Sessions, b.Store, b.Poller, b.Logger = s.sessions, s.store, s.poller, cfg.Logger
	b.Router, b.Meter, b.Expiry, b.Remaining = s.router, s.meter, s.certs.expiry, s.machine.remaining
	b.Invitations = func() admin.Invitations {
		x := s.config().XEP
		return admin.Invitations{On: x.Invitations != xep.InviteNobody, Life: x.InvitationLife, Page: s.landingPage, Held: s.xep.HeldSince(time.Now())}
	}
	b.Blocks, b.Drains, b.LastBackup = s.blocks, s, s.lastBackup
	b.State = func() api.State { return s.state.Load().(api.State) }
	b.Predict, b.Certificates = s.predict, s.certs.list
	b.Capacity, b.LoginCPU = s.machine.capacity, s.plan(1).LoginCost()
	b.Listeners = func() (all []api.Listener) {
		for _, a := range s.clientAddrs() {
			all = append(all, api.Listener{Name: a.Name, Addr: a.Addr.String()})
		}
		return all
	}
	if s.node != nil {
		b.Cluster = s.clusterStatus
	}
	if s.acme != nil {
		b.Renewals = s.renewals
	}
	b.Connected = func(ctx context.Context, j jid.JID) (connected bool, err error) {
		err = s.onWorker(ctx, func(t *session.Turn) error {
			if connected = s.router.IsConnected(t, j); !connected {
				s.router.FlushPending(ctx) // it may have been until a moment ago
			}
			return nil
		})
		return connected, err
	}
	b.AccountsChanged = func(ctx context.Context) {
		if err := s.onWorker(ctx, s.router.CatchUpAll); err != nil {
			s.log.Warn("account events could not be processed at once", "err", err) // the watch does it
		}
	}
	if s.admin, err = admin.New(cfg.Admin, b); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	return nil
}

// adminSocket returns the name of the Unix socket: in dir, or in the data directory if dir
// is empty. In the former case the data directory gets a symbolic link to it, so that
// commands find it by the data directory alone.
func adminSocket(dataDir, dir string) (string, error) {
	name := filepath.Join(dataDir, api.SocketName)
	if dir == "" || filepath.Clean(dir) == filepath.Clean(dataDir) {
		return name, nil
	}
	target := filepath.Join(dir, api.SocketName)
	if info, err := os.Lstat(name); err == nil && info.Mode().Type()&(fs.ModeSocket|fs.ModeSymlink) != 0 {
		if err := os.Remove(name); err != nil {
			return "", fmt.Errorf("server: %w", err)
		}
	}
	err := os.Symlink(target, name)
	if err == nil {
		err = ownfile.Give(name)
	}
	if err != nil {
		return "", fmt.Errorf("server: %w", err)
	}
	return target, nil
}

// predict is what capacity expects that so many idle sessions need, in bytes.
func (s *Server) predict(sessions int) (user, kernel int64) {
	m := capacity.Predict(capacity.ThisHost(), s.plan(sessions))
	return m.User, m.Kernel
}

// plan is what capacity is told about this server with so many sessions.
func (s *Server) plan(sessions int) capacity.Plan {
	cfg := s.config()
	p := capacity.Plan{
		Sessions: sessions, Plain: cfg.Session.AllowPlaintext, StdTLS: cfg.Poller.StdTLS, Handshakes: cfg.Poller.Handshakes,
		GCPercent: cfg.GCPercent, RosterCache: int64(cfg.Router.RosterCache),
	}
	if limit := debug.SetMemoryLimit(-1); limit != math.MaxInt64 {
		p.MemoryLimit = limit
	}
	return p
}

// checkAge is how old checks of the machine may be: they read dozens of files.
const checkAge = time.Minute

// machine checks how many sessions this machine can hold.
type machine struct {
	s    *Server
	host capacity.Host

	mu     sync.Mutex
	checks []capacity.Check // never changed
	online int64            // sessions when they were made
	at     time.Time
}

// check returns the checks, at most checkAge old, and the number of sessions at that time.
func (m *machine) check() (checks []capacity.Check, online int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.checks == nil || time.Since(m.at) > checkAge {
		online := m.s.clients()
		m.checks, m.online, m.at = capacity.Machine(m.host, m.s.plan(online)), int64(online), time.Now()
	}
	return m.checks, m.online
}

// capacity returns how many sessions this machine can hold, those that are online included,
// and what limits them.
func (m *machine) capacity() (sessions int64, why string) {
	n, limit := capacity.MaxSessions(m.check())
	if limit == nil {
		return 0, ""
	}
	return n, limit.Title
}

// remaining returns how many further sessions the machine can hold, by check.
func (m *machine) remaining() map[string]int64 { return capacity.Remaining(m.check()) }

// expiry is when the certificate of each domain expires.
func (c *Certificates) expiry() map[string]time.Time {
	all := make(map[string]time.Time)
	for domain, cert := range c.set.Load().byDomain {
		all[domain] = cert.Leaf.NotAfter
	}
	return all
}

// httpConfig is the TLS configuration of the administration interface: that of the
// clients' listeners, but for the protocol.
func (c *Certificates) httpConfig() *tls.Config {
	return &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		set := c.set.Load()
		return &tls.Config{
			MinVersion: set.source.minTLS, CipherSuites: suitesTLS12, NextProtos: []string{"http/1.1"}, SessionTicketsDisabled: true,
			GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
				return set.pick(hello.ServerName, ""), nil
			},
		}, nil
	}}
}

// list describes the certificates.
func (c *Certificates) list() []api.Certificate {
	all := []api.Certificate{}
	set := c.set.Load()
	for i, cert := range set.all {
		from := set.from[i]
		d := api.Certificate{
			Names: certNames(cert.Leaf), File: from.file, SelfSigned: from.kind == bySelf, Obtained: from.kind == byACME,
			NotAfter: cert.Leaf.NotAfter.UTC(), ExpiresInDays: time.Until(cert.Leaf.NotAfter).Hours() / 24,
		}
		all = append(all, d)
	}
	return all
}
