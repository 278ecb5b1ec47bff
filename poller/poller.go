//go:build linux

// Package poller handles sockets: event loops on netpoll's pollers, connections that own
// no buffer and no goroutine while they are idle, outboxes limited in bytes, TLS, limits
// and the idle timeout. It knows nothing about XML or JIDs.
//
// # Ownership
//
// A connection belongs to one loop. Fields and methods marked "loop" are used only by
// that loop's goroutine; methods that other goroutines may call take the connection's
// lock or post a function to the loop. No write ever blocks on a socket.
package poller

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"roost/internal/panics"
)

// Errors that the methods of a Conn return, or that a connection ends with.
var (
	ErrFull      = errors.New("poller: the outbox is full")
	ErrReserved  = errors.New("poller: the outbox is reserved for callers of QueueReserved")
	ErrClosed    = errors.New("poller: the connection is closed")
	ErrIdle      = errors.New("poller: the peer was silent for too long")
	ErrDeadline  = errors.New("poller: the deadline has passed")
	ErrTruncated = errors.New("poller: TLS ended without a close_notify")
	ErrPipelined = errors.New("poller: the peer sent plain bytes after the start of TLS")
	ErrHandshake = errors.New("poller: the TLS handshake failed")
	ErrStalled   = errors.New("poller: the peer did not complete a TLS record in time")
)

// Handler receives a connection's events. All calls for one connection are made by its
// loop's goroutine, one after another.
type Handler interface {
	// Data processes received bytes, which are valid until it returns, and returns the
	// number of bytes consumed. It may consume fewer than all only if it has paused or
	// closed the connection; the others are passed again after Resume.
	Data(loop int, p []byte) (n int)

	// KeepAlive reports whether the received bytes p are only a keep-alive. While only
	// keep-alives arrive, Config.KeepaliveBatch applies. KeepAlive is called before Data
	// with the same bytes, or with more of them while the connection is paused.
	KeepAlive(p []byte) bool

	// Secured is called when a TLS handshake has succeeded, before the first Data that
	// TLS protects. st is valid until Secured returns. leaf is the certificate that the
	// peer was sent in this handshake or in that of the session that it resumes; nil if
	// there is none or it is not known.
	Secured(loop int, st *tls.ConnectionState, leaf *x509.Certificate)

	// Drained is called soon after a full socket has accepted the whole outbox: at least
	// once for each time that Conn.Flush reported a full socket. It is not called for
	// bytes that the socket accepts at once.
	Drained(loop int)

	// Expired is called when a deadline has passed (ErrDeadline), when the peer has been
	// silent for IdleTimeout (ErrIdle), or when a peer that has not authenticated holds
	// too much memory (ErrMemory). It may queue a last message and call Close; otherwise
	// the connection is closed at once and Closed gets err.
	Expired(loop int, err error)

	// Closed is the last call and is made exactly once. err is nil if this side closed
	// the connection, io.EOF if the peer did, and the reason otherwise.
	Closed(loop int, err error)
}

// Config configures a Poller. A zero field means the stated default. A limit or time
// whose comment says "below 0" is turned off by a negative value.
type Config struct {
	Loops          int           `reload:"no: the loops start with the server"`              // event loops; default GOMAXPROCS
	ReadBuffer     int           `reload:"no: the loops start with it"`                      // size in bytes of each loop's one read buffer; default 64 KiB
	Outbox         int           `reload:"yes"`                                              // limit of one connection's outbox in bytes; default 256 KiB
	LargeWrite     int           `reload:"yes"`                                              // limit in bytes of one write to an empty outbox; default 16 times Outbox
	IdleTimeout    time.Duration `reload:"yes"`                                              // a connection whose peer is silent for this long is closed; default 24 h; below 0: never
	Handshakes     int           `reload:"yes"`                                              // limit of concurrent TLS handshakes; one network gets at most half of them; default 1,024
	RecordTimeout  time.Duration `reload:"yes"`                                              // limit of the time from the first to the last byte of a TLS record; default 1 min
	StdTLS         bool          `reload:"no: the lean record layer is tested at the start"` // TLS 1.3 connections stay with crypto/tls after the handshake, which costs several KB for each idle connection
	UnauthMemory   int           `reload:"yes: if it was off, new connections"`              // limit in bytes of memory held before Conn.Authenticated, TLS handshakes included; one network gets at most half; default 64 MiB; below 0: no limit
	MaxPerAddress  int           `reload:"yes: new connections"`                             // limit of connections from one IPv4 address or IPv6 /64, loopback exempt; default 10,000; below 0: no limit
	MaxAttempts    int           `reload:"yes: new connections"`                             // limit of new connections per minute from one of those, loopback exempt; default: three times MaxPerAddress; below 0: no limit
	UserTimeout    time.Duration `reload:"yes: new connections"`                             // TCP_USER_TIMEOUT: how long sent bytes may stay unacknowledged; default 2 min; below 0: the system's default
	KeepAlive      time.Duration `reload:"yes: new connections"`                             // TCP keep-alive interval; default: none
	KeepaliveBatch time.Duration `reload:"yes"`                                              // while only keep-alives arrive (Handler.KeepAlive), they are read in batches at this interval; default 50 ms; below 0: at once

	// Connections from Proxies must begin with a PROXY protocol header, version 1 or 2; all
	// others must not. Limits, and Conn.RemoteAddr, use the client's address in it. A
	// header must be complete within ProxyTimeout (default 1 min) and have at most 4 KiB. The
	// same time limits the TLS handshake and the request of a WebSocket connection.
	Proxies      []netip.Prefix `reload:"yes: new connections"`
	ProxyTimeout time.Duration  `reload:"yes"`

	// Blocked reports whether connections of a client are closed as soon as they are
	// accepted. The first loop calls it; it must not block. Nil: none are.
	Blocked func(client netip.Addr) bool `reload:"-"`

	// ReserveFiles is the number of file descriptors that connections leave to the rest
	// of the process, at most half of the process's limit; 0: none.
	ReserveFiles int `reload:"-"`

	WebSocket *WebSocket `reload:"-"` // of listeners for WebSocket; required for these

	Accept     func(c *Conn, l *Listener) Handler `reload:"-"` // returns the handler of an accepted connection; a nil function refuses all connections
	AfterBatch func(loop int)                     `reload:"-"` // called by each loop after every batch of events
	Logger     *slog.Logger                       `reload:"-"` // nil discards
}

// attemptsFactor: after a restart all clients that an address may have come back
// within a minute, some of them more than once.
const attemptsFactor = 3

// WithDefaults returns c with the default in each field that is zero, or negative
// where that does not turn anything off.
func (c Config) WithDefaults() Config {
	set := func(v *int, def int) {
		if *v <= 0 {
			*v = def
		}
	}
	setLimit := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	setTime := func(v *time.Duration, def time.Duration) {
		if *v == 0 {
			*v = def
		}
	}
	set(&c.Loops, runtime.GOMAXPROCS(0))
	set(&c.ReadBuffer, 64<<10)
	set(&c.Outbox, 256<<10)
	set(&c.LargeWrite, largeWriteFactor*c.Outbox)
	set(&c.Handshakes, 1024)
	setLimit(&c.UnauthMemory, 64<<20)
	setLimit(&c.MaxPerAddress, 10000)
	setLimit(&c.MaxAttempts, attemptsFactor*c.MaxPerAddress) // both off, or neither
	setTime(&c.IdleTimeout, 24*time.Hour)
	if c.RecordTimeout <= 0 {
		c.RecordTimeout = time.Minute
	}
	setTime(&c.UserTimeout, 2*time.Minute)
	setTime(&c.KeepaliveBatch, 50*time.Millisecond)
	if c.ProxyTimeout <= 0 {
		c.ProxyTimeout = time.Minute
	}
	if c.AfterBatch == nil {
		c.AfterBatch = func(int) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return c
}

// Poller is a set of event loops.
type Poller struct {
	settings atomic.Pointer[Config]
	start    time.Time
	loops    []*loop
	next     atomic.Uint32 // round-robin counter for nextLoop
	stats    counters
	panics   panics.Counter
	addrs    addresses
	unauth   unauth
	proxied  proxied
	sockets  sockets
	attempts attempts // owned by the first loop
	queue    handshakes
	lean     leanConfigs

	mu        sync.Mutex
	listeners []*Listener

	ticker  *time.Ticker
	stopped chan struct{}
	wg      sync.WaitGroup
	closing atomic.Bool
}

// New returns a Poller and starts its loops.
func New(cfg Config) (*Poller, error) {
	cfg = cfg.WithDefaults()
	p := &Poller{start: time.Now(), stopped: make(chan struct{})}
	p.settings.Store(&cfg)
	p.addrs.setLimit(cfg.MaxPerAddress)
	p.unauth.setLimit(cfg.UnauthMemory)
	p.attempts.prepare(cfg.MaxAttempts)
	p.queue.prepare(p)
	p.lean.prepare(p.config())
	for i := range cfg.Loops {
		l, err := newLoop(p, i)
		if err != nil {
			return nil, errors.Join(err, p.Close())
		}
		p.loops = append(p.loops, l)
	}
	p.ticker = time.NewTicker(time.Second)
	p.wg.Go(p.sweep)
	return p, nil
}

// sweep wakes every loop once a second. It is the package's only periodic timer.
func (p *Poller) sweep() {
	for {
		select {
		case <-p.stopped:
			return
		case <-p.ticker.C:
		}
		for _, l := range p.loops {
			l.post(nil, l.tick)
		}
		p.queue.tick(p.uptime())
	}
}

// uptime is the time since the poller was created; it is never 0.
func (p *Poller) uptime() time.Duration { return time.Since(p.start) + 1 }

// Close closes all connections at once and ends the loops. Each handler's Closed is
// called.
func (p *Poller) Close() error {
	if !p.closing.CompareAndSwap(false, true) {
		return nil
	}
	close(p.stopped)
	if p.ticker != nil {
		p.ticker.Stop()
	}
	p.mu.Lock()
	listeners := slices.Clone(p.listeners)
	p.mu.Unlock()
	var errs []error
	for _, l := range listeners {
		errs = append(errs, l.Close())
	}
	for _, l := range p.loops {
		errs = append(errs, l.close())
	}
	p.sockets.close()
	p.wg.Wait()
	return errors.Join(errs...)
}

func (p *Poller) nextLoop() *loop {
	return p.loops[int(p.next.Add(1))%len(p.loops)]
}
