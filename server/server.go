// Package server puts the rooms together: it is the only one that knows all
// others. It opens the store, makes sessions and router for each other, lets
// the poller's connections become sessions, and stops everything in order.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"roost/capacity"
	"roost/internal/ownfile"
	"roost/poller"
	"roost/session"
	"roost/store"
	"roost/store/stores"
)

// Server is a running server.
type Server struct {
	*core
	cfg       Config
	locks     locks // of the data directory, and of a database elsewhere
	certs     *Certificates
	poller    *poller.Poller
	listeners []*poller.Listener
	addrs     []Address // of the listeners
}

// Address is one address that a server listens on.
type Address struct {
	Name string // what it is for, such as "c2s (STARTTLS)"
	Addr net.Addr
}

// New opens the store and the certificates and binds the addresses, so that
// whatever is wrong with them is said at once. When it returns, the server serves.
func New(ctx context.Context, cfg Config) (_ *Server, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.WithDefaults()
	if err := ownfile.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("server: data directory: %w", err)
	}
	location, err := stores.Locate(cfg.Store)
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	locks, err := takeLocks(cfg.DataDir, databaseFile(location))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = locks.Close()
		}
	}()
	secureFiles(cfg.DataDir, databaseFile(location), cfg.TLSKey, cfg.Logger) // before SQLite gives the database's mode to its other files
	secret, err := loadSecret(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, locks: locks}
	if s.certs, err = NewCertificates(&s.cfg); err != nil {
		return nil, err
	}
	if err := recordDomains(cfg.DataDir, s.cfg.Domains); err != nil {
		return nil, err
	}
	st, err := location.Open(ctx, store.Options{})
	if err != nil {
		return nil, err
	}
	s.core = newCore(&s.cfg, st, s.startTLS(), secret)
	err = s.router.SkipAccountEvents(ctx)
	if err == nil {
		err = s.listen()
	}
	if err != nil {
		s.core.close()
		return nil, errors.Join(err, st.Close())
	}
	s.stopped.Go(func() { s.watch(s.ctx) })
	s.stopped.Go(func() { summarize(s.ctx, s.log, s.totals) })
	s.stopped.Go(func() { s.certs.WatchExpiry(s.ctx) })
	return s, nil
}

// databaseFile is the file of a store, "" where it is in none.
func databaseFile(l store.Location) string {
	if local, ok := l.(store.Local); ok {
		return local.Path()
	}
	return ""
}

// startTLS has one configuration for each domain, each with its own session
// tickets.
func (s *Server) startTLS() session.TLSFunc {
	byDomain := make(map[string]*tls.Config)
	for _, d := range s.cfg.Domains {
		byDomain[d] = s.certs.Config(s.cfg.MinTLS, d)
	}
	return func(domain string) *tls.Config { return byDomain[domain] }
}

func (s *Server) listen() (err error) {
	c := &s.cfg
	pc := c.Poller
	pc.Accept = func(conn *poller.Conn, _ *poller.Listener) poller.Handler { return s.sessions.New(conn) }
	if pc.Proxies, err = parseProxies(c.ProxyProtocol); err != nil {
		return err
	}
	pc.ProxyTimeout = c.Session.LoginTimeout
	pc.AfterBatch, pc.ReserveFiles, pc.Logger = s.sessions.EndTurn, capacity.ServerFiles, c.Logger
	s.poller, err = poller.New(pc)
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	direct := s.certs.Config(c.MinTLS, "")
	err = errors.Join(
		s.listenOn("XMPP clients (STARTTLS)", c.C2S, c.Sockets.C2S, nil),
		s.listenOn("XMPP clients (direct TLS)", c.C2STLS, c.Sockets.C2STLS, direct),
	)
	if err != nil {
		return errors.Join(err, s.poller.Close())
	}
	return nil
}

// listenOn listens on the sockets, or on the address if there are none; an empty one is
// none.
func (s *Server) listenOn(name, addr string, sockets []*net.TCPListener, cfg *tls.Config) error {
	add := func(l *poller.Listener) {
		s.listeners = append(s.listeners, l)
		s.addrs = append(s.addrs, Address{Name: name, Addr: l.Addr()})
	}
	for _, socket := range sockets {
		l, err := s.poller.ListenOn(socket, cfg)
		if err != nil {
			return fmt.Errorf("server: cannot listen on the socket %s: %w", socket.Addr(), err)
		}
		add(l)
	}
	if addr == "" || len(sockets) > 0 {
		return nil
	}
	l, err := s.poller.Listen(addr, cfg)
	if err != nil {
		return listenError(addr, err)
	}
	add(l)
	return nil
}

// Addrs are the addresses that the server listens on, with the ports that were
// really bound.
func (s *Server) Addrs() []Address {
	return slices.Clone(s.addrs)
}

// CertificateFile is where the server's self-signed certificate is, "" when the
// operator gave certificates.
func (s *Server) CertificateFile() string { return s.certs.SelfSigned() }

// Reload reads the certificates again and swaps the whole set at once.
func (s *Server) Reload() error { return s.certs.Reload() }

// Shutdown stops the server: no new connections, clients are told
// <system-shutdown/> and disconnected at a pace, what was begun is finished,
// the store is closed. When ctx ends, what is left is cut off; the store is
// closed cleanly all the same, and the error is ctx's cause or says how many
// clients were cut off.
func (s *Server) Shutdown(ctx context.Context) error {
	for _, l := range s.listeners {
		_ = l.Close()
	}
	// Who still waits for the store when ctx ends waits no longer.
	defer context.AfterFunc(ctx, s.router.Close)()
	err := s.sessions.Shutdown(ctx)
	s.drain(ctx)
	left := s.poller.Stats().Conns
	if err == nil && left > 0 {
		err = ctx.Err() // nil where Linger is over: it is all that a client gets
	}
	switch {
	case !errors.Is(err, context.DeadlineExceeded):
	case left == 0:
		err = errors.New("server: pending writes did not reach the store in time")
	default:
		err = fmt.Errorf("server: %d clients were cut off", left)
	}
	err = errors.Join(err, s.poller.Close())
	s.core.close()
	return errors.Join(err, s.store.Close(), s.locks.Close())
}

// drain waits, bounded, for the farewells to reach the clients; the poller cuts
// off who does not take them.
func (s *Server) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Session.Linger)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for s.poller.Stats().Conns > 0 {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
