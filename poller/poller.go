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
