// Package admin serves the administration interface: HTTP and JSON on a Unix socket in the
// data directory and, if configured, at a TCP address for clients with tokens. Its types are
// in package admin/api, its pages for browsers in admin/dashboard. docs/admin.md describes it.
//
// # Who may do what
//
// Each route has a scope (see routes). On the Unix socket the kernel says which user has
// connected: root and the server's own user may do everything, others nothing. At the TCP
// address a request has a token with a scope.
//
// # Load
//
// Requests are served by goroutines of package net/http, which may wait. What they need of
// loops and sessions they read without locks, or post. Each listener has a limited number
// of connections, and headers, bodies and times are limited.
package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"roost/admin/api"
	"roost/admin/dashboard"
	"roost/admin/metrics"
	"roost/blocks"
	"roost/internal/events"
	"roost/internal/loglevel"
	"roost/internal/logring"
	"roost/internal/ownfile"
	"roost/internal/panics"
	"roost/internal/unixsock"
	"roost/jid"
	"roost/poller"
	"roost/router"
	"roost/session"
	"roost/store"
)

// Config is what an operator chooses. A zero value takes the default given.
type Config struct {
	// Addr is the TCP address for clients with tokens; empty: none.
	Addr string `reload:"no: the address is opened at the start"`

	// Tokens is the file of the tokens for Addr; default: admin-tokens in the data directory.
	Tokens string `reload:"no: the file is opened at the start"`

	// SocketDir is the directory of the Unix socket, absolute; default: the data directory.
	SocketDir string `reload:"-"`

	// Audit is the file of the audit log; empty: none.
	Audit string `reload:"no: the file is opened at the start"`

	// LogWritten waits until the log that was queued is written; nil: that is not checked.
	LogWritten func(context.Context) error `reload:"-"`

	// LogDropped returns the number of lines of the log that were dropped; nil: not known.
	LogDropped func() int64 `reload:"-"`

	// LogLevel is the level of the log; nil: it cannot be changed.
	LogLevel *loglevel.Level `reload:"-"`

	// RecentLog returns the last lines of the log, the newest first, for the dashboard; nil:
	// they are not shown.
	RecentLog func() []logring.Line `reload:"-"`

	// FollowLog has each line of the log passed to a function, or to none if that is nil. If
	// FollowLog itself is nil, lines of the log are not among the events.
	FollowLog func(func(logring.Line)) `reload:"-"`

	// What the program does about its configuration; nil: there is no such request.
	Reload   func(context.Context) (*api.Reload, error) `reload:"-"` // reads it again; an error that is an *api.Error is told as it is
	Settings func() []api.Setting                       `reload:"-"` // what is in use
}

// Backend is what a Server shows and changes. All fields are required unless stated
// otherwise.
type Backend struct {
	Socket          string      // name of the Unix socket
	TLS             *tls.Config // for Config.Addr; nil: without TLS
	Domains         func() []string
	Sessions        *session.Manager
	Router          *router.Router
	Store           store.Store
	Meter           *store.Meter // of Store
	Blocks          *blocks.List
	Invitations     func() Invitations
	Drains          Drains
	Poller          *poller.Poller
	State           func() api.State
	Predict         func(sessions int) (user, kernel int64) // memory, in bytes, that this many idle sessions should need
	Listeners       func() []api.Listener
	AccountsChanged func(context.Context)                        // acts on changes of accounts in the store, as far as that is possible at once
	Connected       func(context.Context, jid.JID) (bool, error) // whether a client of an account is connected, on any node
	Certificates    func() []api.Certificate
	Renewals        func() []api.Renewal                // nil: no certificates are obtained
	Capacity        func() (sessions int64, why string) // sessions that the machine can hold in total, and what limits them; nil: not known
	Remaining       func() map[string]int64             // further sessions that the machine can hold, by check
	Expiry          func() map[string]time.Time         // when the certificate of each domain expires
	LastBackup      func() *api.Backup                  // nil: no backup is known, which the result nil also means
	Cluster         func() *api.Cluster                 // nil: the server is alone
	LoginCPU        time.Duration                       // CPU time that a login should need
	Logger          *slog.Logger                        // nil discards
}

// TokensName is the name of the token file in the data directory.
const TokensName = "admin-tokens"

// Limits of each listener.
const (
	maxConns      = 64
	maxUntrusted  = maxConns / 2
	maxHeader     = 16 << 10 // bytes
	maxBody       = 64 << 10 // bytes
	headerTimeout = 10 * time.Second
	readTimeout   = 30 * time.Second
	writeTimeout  = time.Minute
	idleTimeout   = 2 * time.Minute
)

// stopTimeout is how long Close waits for requests in progress.
const stopTimeout = 2 * time.Second

// Server serves the interface.
type Server struct {
	cfg      Config
	b        Backend
	routes   []route
	started  time.Time
	audit    *Audit  // nil: none
	tokens   *tokens // nil without Addr
	refusals refusals
	logins   rate
	metrics  *metrics.Exporter
	walking  chan struct{} // has an element while the session table is walked
	probing  chan struct{} // has an element until every loop has run the function of a health check
	deriving chan struct{} // has an element while keys are derived
	ending   chan struct{} // has an element if connections of blocked networks are still to be ended
	streams  streams
	events   *events.Bus
	panics   panics.Counter
	history  *dashboard.History
	announce announcer
	ticker   func(time.Duration) *time.Ticker // makes those of long actions and of heartbeats
	http     *http.Server
	addr     net.Addr        // of the TCP listener; nil: none
	ctx      context.Context // ends when the server is to stop
	stop     context.CancelFunc
	done     sync.WaitGroup
}

// New listens and serves.
func New(cfg Config, b Backend) (*Server, error) {
	if b.Logger == nil {
		b.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	s := &Server{cfg: cfg, b: b, routes: routes(), started: time.Now(), walking: make(chan struct{}, 1), probing: make(chan struct{}, 1), deriving: make(chan struct{}, 1), ending: make(chan struct{}, 1),
		streams: newStreams(), events: b.Sessions.Events(), history: dashboard.NewHistory(), ticker: time.NewTicker}
	s.announce.s = s
	s.metrics = metrics.New(s.source())
	s.http = s.newHTTP(s.withPages(s.handler()))
	var err error
	if cfg.Audit != "" {
		if s.audit, err = OpenAudit(cfg.Audit, b.Logger); err != nil {
			return nil, fmt.Errorf("admin: %w", err)
		}
	}
	listeners, err := s.listen()
	if err != nil {
		return nil, errors.Join(err, s.audit.Close())
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	if cfg.FollowLog != nil {
		cfg.FollowLog(s.publishLog)
	}
	s.done.Go(func() { s.logins.run(s.ctx, b.Sessions.Logins) })
	s.done.Go(func() { s.record(s.ctx) })
	s.done.Go(func() { s.endBlocked(s.ctx) })
	for _, l := range listeners {
		s.done.Go(func() {
			if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				b.Logger.Error("the administration interface has ended", "err", err)
			}
		})
	}
	return s, nil
}

// newHTTP returns an HTTP server with the limits.
func (s *Server) newHTTP(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, DisableGeneralOptionsHandler: true, ConnContext: withPeer, MaxHeaderBytes: maxHeader,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		ErrorLog: slog.NewLogLogger(s.b.Logger.Handler(), slog.LevelDebug), // what it logs are mistakes of clients
	}
}

// listen opens the listeners.
func (s *Server) listen() (all []net.Listener, err error) {
	l, err := unixsock.Listen(s.b.Socket)
	if err != nil {
		return nil, fmt.Errorf("admin: socket: %w", err)
	}
	all = append(all, limitConns(l))
	if err := ownfile.Give(s.b.Socket); err != nil { // a server of that user could not even find out that it is stale
		return nil, errors.Join(fmt.Errorf("admin: socket: %w", err), l.Close())
	}
	if s.cfg.Addr == "" {
		return all, nil
	}
	if s.tokens, err = openTokens(s.cfg.Tokens, s.b.Logger); err == nil {
		l, err = net.Listen("tcp", s.cfg.Addr)
	}
	if err == nil && s.b.TLS == nil && !isLoopback(l.Addr()) { // a name such as localhost may be any address
		err = errors.Join(fmt.Errorf("%s is not a loopback address, and there is no certificate", l.Addr()), l.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("admin: %w", err), all[0].Close())
	}
	s.addr = l.Addr()
	l = limitConns(l)
	if s.b.TLS != nil {
		l = tls.NewListener(l, s.b.TLS)
	}
	return append(all, l), nil
}

func isLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// Addr is the TCP address that is listened on, with the port that was bound; nil without
// one.
func (s *Server) Addr() net.Addr { return s.addr }

// Close stops listening, waits for requests in progress for a short time, and ends them.
func (s *Server) Close() error {
	s.stop()
	if s.cfg.FollowLog != nil {
		s.cfg.FollowLog(nil)
	}
	s.announce.job.Close()
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	s.done.Wait()
	return errors.Join(err, s.audit.Close())
}

// ReopenAudit opens the audit log again, after it was renamed.
func (s *Server) ReopenAudit() error { return s.audit.Reopen() }
