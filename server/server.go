// Package server connects all packages: it is the only one that knows all others. It opens
// the store, connects sessions and router, turns the poller's connections into sessions, and
// stops everything in order.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"roost/acme"
	"roost/admin"
	"roost/admin/api"
	"roost/blocks"
	"roost/capacity"
	"roost/internal/loglimit"
	"roost/internal/ownfile"
	"roost/poller"
	"roost/store"
	"roost/store/stores"
)

// Server is a running server.
type Server struct {
	*core
	settings    atomic.Pointer[Config]
	reloading   sync.Mutex // held while the configuration is replaced
	starttls    starttls
	locks       locks // of the data directory, and of a database elsewhere
	certs       *Certificates
	acme        *acme.Manager // nil: no certificates are obtained
	poller      *poller.Poller
	listeners   listeners
	web         atomic.Pointer[web]
	webPort     atomic.Int32    // of the listener for WebSocket
	pageFails   *loglimit.Limit // limits the lines about pages of invitations that could not be made
	admin       *admin.Server
	meter       *store.Meter // of the store
	blocks      *blocks.List
	machine     machine
	drains      drains
	state       atomic.Value       // an api.State
	mayWait     context.Context    // ends when a stop must not wait any longer: see StopNow
	stopWaiting context.CancelFunc // ends mayWait
}

// Address is one address that a server listens on.
type Address struct {
	Name string // purpose, such as "c2s (STARTTLS)"
	Addr net.Addr
}

// New opens the store and the certificates and listens on the addresses, so that it
// reports all errors. When it returns, the server is serving.
func New(ctx context.Context, cfg Config) (*Server, error) {
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
	s, err := newLocked(ctx, &cfg, location, locks)
	if err != nil {
		_ = locks.Close()
		return nil, err
	}
	return s, nil
}

// newLocked is New for a data directory that is locked. It keeps cfg.
func newLocked(ctx context.Context, cfg *Config, location store.Location, locks locks) (*Server, error) {
	if err := checkRestored(cfg.DataDir); err != nil {
		return nil, err
	}
	secureFiles(cfg.DataDir, databaseFile(location), cfg.TLSKey, cfg.Logger) // before SQLite copies the database's mode to its other files
	secret, err := loadSecret(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	s := &Server{locks: locks, meter: store.NewMeter(), pageFails: loglimit.New(cfg.Logger, "more requests for pages of invitations have failed than are logged")}
	s.mayWait, s.stopWaiting = context.WithCancel(context.Background())
	s.machine.s, s.machine.host = s, capacity.ThisHost()
	cfg.XEP.LandingPage = s.landingPage
	s.settings.Store(cfg)
	s.drains.prepare(s)
	s.state.Store(api.Serving)
	if s.certs, err = NewCertificates(cfg); err != nil {
		return nil, err
	}
	if err := recordDomains(cfg.DataDir, cfg.Domains); err != nil {
		return nil, err
	}
	st, err := s.openStore(ctx, location)
	if err != nil {
		return nil, err
	}
	s.starttls.add(cfg.Domains, s.certs)
	s.core = newCore(cfg, st, s.starttls.config, secret)
	if err := s.start(ctx, secret, location); err != nil {
		s.core.close()
		s.closeACME()
		return nil, errors.Join(err, st.Close())
	}
	s.runInBackground()
	return s, nil
}

// openStore opens the store and reads the blocks in it.
func (s *Server) openStore(ctx context.Context, location store.Location) (store.Store, error) {
	cfg := s.config()
	use := store.Alone
	if cfg.Cluster.URL != "" {
		use = store.Shared
	}
	st, err := location.Open(ctx, store.Options{Intercept: s.meter.Intercept, Use: use})
	if err != nil {
		return nil, err
	}
	err = recordStore(cfg.DataDir, cfg.Store, databaseFile(location))
	if err == nil {
		err = s.openBlocks(ctx, st, cfg)
	}
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return st, nil
}

// start joins the cluster and opens all listeners. After an error, the caller closes what
// New has made before.
func (s *Server) start(ctx context.Context, secret []byte, location store.Location) error {
	if err := s.openCluster(ctx, s.config(), secret, location); err != nil {
		return err
	}
	if err := s.router.SkipAccountEvents(ctx); err != nil {
		return err
	}
	if err := s.sessions.ReadKeys(ctx); err != nil {
		return err
	}
	if err := s.joinCluster(ctx); err != nil {
		return err
	}
	if err := s.prepareACME(); err != nil {
		return err
	}
	if err := s.listen(); err != nil {
		return err
	}
	if err := s.startAdmin(); err != nil {
		return errors.Join(err, s.unrestore(), s.poller.Close())
	}
	return nil
}

// runInBackground starts the work that continues until the server stops.
func (s *Server) runInBackground() {
	s.runACME()
	s.updateOutage()
	s.stopped.Go(func() { s.watch(s.ctx) })
	s.stopped.Go(func() { summarize(s.ctx, s.log, s.totals) })
	s.stopped.Go(func() { s.certs.WatchExpiry(s.ctx) })
	s.stopped.Go(func() { s.certs.WatchFiles(s.ctx) })
	s.stopped.Go(func() { s.removeEndedBlocks(s.ctx) })
	s.stopped.Go(func() { s.expireOffline(s.ctx) })
	s.stopped.Go(func() { s.forgetDeleted(s.ctx) })
	s.stopped.Go(func() { every(s.ctx, useEvery, func() { s.router.NoteUses(time.Now()) }) })
	if s.node != nil {
		s.stopped.Go(func() { s.endOverdue(s.ctx) })
		s.stopped.Go(func() { s.refreshBlocks(s.ctx) })
	}
}

// databaseFile returns the file name of a store, or "" if it has none.
func databaseFile(l store.Location) string {
	if local, ok := l.(store.Local); ok {
		return local.Path()
	}
	return ""
}

// config returns the present configuration, which is immutable: a reload replaces it.
func (s *Server) config() *Config { return s.settings.Load() }

// starttls has one TLS configuration for each domain, each with its own session tickets. One
// that is no longer served keeps its own: a stream may be about to use it.
type starttls struct{ byDomain sync.Map }

func (x *starttls) add(domains []string, certs *Certificates) {
	for _, d := range domains {
		x.byDomain.LoadOrStore(d, certs.Config(d))
	}
}

func (x *starttls) config(domain string) *tls.Config {
	cfg, ok := x.byDomain.Load(domain)
	if !ok {
		return nil
	}
	return cfg.(*tls.Config)
}

// listen starts the poller, restores the sessions of the last planned stop, and then listens
// for clients.
func (s *Server) listen() error {
	c := s.config()
	pc, err := c.poller()
	if err != nil {
		return err
	}
	pc.Accept = func(conn *poller.Conn, _ *poller.Listener) poller.Handler { return s.sessions.New(conn) }
	s.web.Store(s.newWeb(c))
	pc.WebSocket = s.webSocket()
	pc.AfterBatch, pc.ReserveFiles, pc.Logger = s.sessions.EndTurn, capacity.ServerFiles, c.Logger
	s.poller, err = poller.New(pc)
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	if err := s.restore(context.Background()); err != nil {
		return errors.Join(err, s.unrestore(), s.poller.Close())
	}
	s.router.EndRestore()
	p, direct := s.poller, s.certs.Config("")
	err = errors.Join(
		s.listeners.add("XMPP clients (STARTTLS)", c.C2S, c.Sockets.C2S, p.Listen, p.ListenOn, nil),
		s.listeners.add("XMPP clients (direct TLS)", c.C2STLS, c.Sockets.C2STLS, p.Listen, p.ListenOn, direct),
		s.listeners.add(webSocketListener, c.WebSocket.Addr, c.Sockets.WS, p.ListenWebSocket, p.ListenWebSocketOn, s.certs.WebConfig()),
	)
	if err != nil {
		return errors.Join(err, s.unrestore(), s.poller.Close())
	}
	for _, a := range s.clientAddrs() {
		if tcp, ok := a.Addr.(*net.TCPAddr); ok && a.Name == webSocketListener {
			s.webPort.Store(int32(tcp.Port))
		}
	}
	return nil
}

// Addrs returns the addresses that the server listens on, with their actual ports.
func (s *Server) Addrs() []Address {
	all := s.clientAddrs()
	if a := s.admin.Addr(); a != nil {
		all = append(all, Address{Name: "administration", Addr: a})
	}
	return all
}

// clientAddrs are the addresses for clients.
func (s *Server) clientAddrs() []Address { return s.listeners.addrs() }

// CertificateFile returns the file of the server's self-signed certificate, or "" if none is
// in use: the operator provides certificates, or all were obtained.
func (s *Server) CertificateFile() string { return s.certs.SelfSigned() }

// ReopenAudit opens the audit log again, after it was renamed to rotate it. If that fails,
// the renamed file stays in use.
func (s *Server) ReopenAudit() error { return s.admin.ReopenAudit() }

// Shutdown stops the server: it accepts no new connections, sends <system-shutdown/> to
// clients and disconnects them at a limited rate, finishes pending work, leaves the sessions
// that can be resumed in the store, and closes it. When ctx ends, it cuts off the remaining
// clients; it then still takes up to StopTime for these sessions, unless ctx was canceled. It
// closes the store cleanly in any case; the error is then ctx's cause or contains the number of
// clients cut off.
func (s *Server) Shutdown(ctx context.Context) error {
	s.reloading.Lock() // a reload ends first, and there is none afterwards
	s.state.Store(api.Stopping)
	s.reloading.Unlock()
	s.drains.job.Close()
	_ = s.listeners.close()
	defer s.stopWaiting()
	defer context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.Canceled) {
			s.stopWaiting()
		}
	})()
	err := s.suspend(ctx)
	// When ctx ends, stop waiting for the store.
	defer context.AfterFunc(ctx, s.router.Cancel)()
	s.awaitLastBytes(ctx)
	left := s.poller.Stats().Conns
	if err == nil && left > 0 {
		err = ctx.Err() // nil after Linger, the time limit of a single client
	}
	switch {
	case !errors.Is(err, context.DeadlineExceeded):
	case left == 0:
		err = errors.New("server: pending writes did not reach the store in time")
	default:
		err = fmt.Errorf("server: %d clients were cut off", left)
	}
	err = errors.Join(err, s.admin.Close(), s.poller.Close())
	s.core.close()
	s.pageFails.Close()
	s.closeACME()
	return errors.Join(err, s.store.Close(), s.locks.Close())
}

// awaitLastBytes waits for the clients to receive the remaining bytes, for at most Linger. After
// that, the poller cuts off the remaining clients.
func (s *Server) awaitLastBytes(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.config().Session.Linger)
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
