//go:build linux

// Package poller is the sockets: event loops on netpoll's pollers, connections
// that own no buffer and no goroutine while they are idle, outboxes bounded in
// bytes, TLS, limits and the idle sweep. It knows nothing of XML or addresses.
//
// # Ownership
//
// A connection belongs to one loop. Everything of it that is marked "loop" is
// used by that loop's goroutine only; what others may call goes through its
// lock, or is posted to the loop. No write ever waits for a socket.
package poller

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"roost/internal/panics"
	"roost/poller/leantls"
)

// What a connection answers or ends with.
var (
	ErrFull      = errors.New("poller: the outbox is full")
	ErrClosed    = errors.New("poller: the connection is closed")
	ErrIdle      = errors.New("poller: nothing was heard for too long")
	ErrDeadline  = errors.New("poller: the deadline has passed")
	ErrTruncated = errors.New("poller: TLS ended without a close_notify")
	ErrPipelined = errors.New("poller: bytes were sent in clear behind the start of TLS")
	ErrHandshake = errors.New("poller: the TLS handshake failed")
	ErrStalled   = errors.New("poller: the rest of a TLS record did not come")
)

// Handler is what a connection's events go to. All calls for one connection
// come from its loop's goroutine, one after another.
type Handler interface {
	// Data lends bytes that came in until it returns; it answers how many it
	// has used. Fewer than all only if it has paused or closed the connection:
	// the rest is given again after Resume.
	Data(loop int, p []byte) (n int)

	// KeepAlive reports whether p, which came in, says no more than that the peer is
	// still there. While nothing else comes, Config.KeepaliveBatch applies. It is called before
	// Data is, with the same bytes, or with more of them while the connection is paused.
	KeepAlive(p []byte) bool

	// Secured is called when a TLS handshake is done, before the first Data
	// that came through it. st is lent. leaf is the certificate that the peer was
	// shown in this handshake, or that of the session that it resumes; nil if there is
	// none or it is not known.
	Secured(loop int, st *tls.ConnectionState, leaf *x509.Certificate)

	// Drained is called, soon, when a socket that had been full has taken everything:
	// once after each time that Conn.Flush has reported so, or more often. Nothing is
	// called for what a socket takes at once.
	Drained(loop int)

	// Expired is called when a deadline has passed (ErrDeadline), nothing was heard
	// for IdleTimeout (ErrIdle), or a peer that has not authenticated holds too much
	// memory (ErrMemory). It may queue last words and Close; where it
	// does not, the connection is cut off and Closed gets err.
	Expired(loop int, err error)

	// Closed is the last call, exactly once. err is nil when we closed, io.EOF
	// when the peer did, and the reason otherwise.
	Closed(loop int, err error)
}

// Config is what a Poller needs. Zero values take the default given.
type Config struct {
	Loops          int           // event loops; default GOMAXPROCS
	ReadBuffer     int           // bytes, one buffer for each loop; default 64 KiB
	Outbox         int           // bytes that wait for one slow peer; default 256 KiB
	LargeWrite     int           // bytes of one write that finds nothing waiting; default 16 times Outbox
	IdleTimeout    time.Duration // a connection that sends nothing for so long is closed; 0: never
	Handshakes     int           // TLS handshakes under way at once, of which one network may take what others leave free: half of them at most; default 1,024
	RecordTimeout  time.Duration // from the first to the last byte of a TLS record; default 1 min
	StdTLS         bool          // keep TLS 1.3 with crypto/tls after the handshake, at several KB for an idle connection
	UnauthMemory   int           // bytes held for all accepted peers that have not authenticated (Conn.Authenticated), TLS handshakes included; one network has half at most; 0: no limit
	MaxPerAddress  int           // connections of one IPv4 address or IPv6 /64, loopback exempt; 0: no limit
	MaxAttempts    int           // connections one of those may open in a minute, loopback exempt; 0: no limit
	UserTimeout    time.Duration // TCP_USER_TIMEOUT: unacknowledged bytes for so long end a connection; 0: the system's
	KeepAlive      time.Duration // TCP keep-alive interval; 0: none
	KeepaliveBatch time.Duration // while all that comes is keep-alives (Handler.KeepAlive), they are read together this often; 0: at once

	// ReserveFiles is how many file descriptors connections leave to the rest of the
	// process, half of the limit at most; 0: none.
	ReserveFiles int

	Accept     func(c *Conn, l *Listener) Handler // what handles an accepted connection; nil refuses it
	AfterBatch func(loop int)                     // called by each loop after every batch of events
	Logger     *slog.Logger                       // nil discards
}

func (c *Config) setDefaults() {
	set := func(v *int, def int) {
		if *v <= 0 {
			*v = def
		}
	}
	set(&c.Loops, runtime.GOMAXPROCS(0))
	set(&c.ReadBuffer, 64<<10)
	set(&c.Outbox, 256<<10)
	set(&c.LargeWrite, largeWriteFactor*c.Outbox)
	set(&c.Handshakes, 1024)
	if c.RecordTimeout <= 0 {
		c.RecordTimeout = time.Minute
	}
	if c.AfterBatch == nil {
		c.AfterBatch = func(int) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
}

// Stats are counters of a Poller since it was made, and Conns now.
type Stats struct {
	Conns     int64 // connections open
	Accepted  int64
	Refused   int64 // for a limit of their address
	Reads     int64 // read system calls
	Writes    int64 // write system calls
	Handshake int64 // TLS handshakes under way or waiting
	Unauth    int64 // bytes held for peers that have not authenticated
	Evicted   int64 // peers that had to leave for the bytes that they held
	GaveUp    int64 // handshakes whose silent peers gave up their slots to others
	Panics    int64 // in TLS handshakes; each has ended one connection

	LeanTLS     int64                   // TLS handshakes after which the lean record layer took over
	LeanRefused [leantls.Refusals]int64 // those after which it did not, by reason
}

// counters are the Stats as they are counted.
type counters struct {
	conns, accepted, refused, reads, writes, handshakes, gaveUp, evicted, lean atomic.Int64

	leanRefused [leantls.Refusals]atomic.Int64
}

// Poller is a set of event loops.
type Poller struct {
	cfg      Config
	start    time.Time
	loops    []*loop
	next     atomic.Uint32 // the loop that gets the next connection
	stats    counters
	panics   panics.Counter
	addrs    addresses
	unauth   unauth
	attempts attempts // the first loop's
	queue    handshakes
	lean     leanConfigs

	mu        sync.Mutex
	listeners []*Listener

	ticker  *time.Ticker
	stopped chan struct{}
	wg      sync.WaitGroup
	closing atomic.Bool
}

// New starts the loops.
func New(cfg Config) (*Poller, error) {
	cfg.setDefaults()
	p := &Poller{cfg: cfg, start: time.Now(), stopped: make(chan struct{})}
	p.addrs.limit = cfg.MaxPerAddress
	p.unauth.limit = int64(max(0, cfg.UnauthMemory))
	p.attempts.prepare(cfg.MaxAttempts)
	p.queue.prepare(p)
	p.lean.prepare(&p.cfg)
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

// sweep wakes every loop once a second: the only timer there is.
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

// uptime is the time since the poller was made, which is more than 0.
func (p *Poller) uptime() time.Duration { return time.Since(p.start) + 1 }

// Stats reads the counters.
func (p *Poller) Stats() Stats {
	s := &p.stats
	all := Stats{
		Conns: s.conns.Load(), Accepted: s.accepted.Load(), Refused: s.refused.Load(),
		Reads: s.reads.Load(), Writes: s.writes.Load(), Handshake: s.handshakes.Load(), GaveUp: s.gaveUp.Load(), Evicted: s.evicted.Load(), Panics: p.panics.Count(), Unauth: p.unauth.held(),
		LeanTLS: s.lean.Load(),
	}
	for i := range all.LeanRefused {
		all.LeanRefused[i] = s.leanRefused[i].Load()
	}
	return all
}

// Close cuts off all connections and ends the loops. Handlers are told.
func (p *Poller) Close() error {
	if !p.closing.CompareAndSwap(false, true) {
		return nil
	}
	close(p.stopped)
	if p.ticker != nil {
		p.ticker.Stop()
	}
	p.mu.Lock()
	listeners := p.listeners
	p.mu.Unlock()
	var errs []error
	for _, l := range listeners {
		errs = append(errs, l.Close())
	}
	for _, l := range p.loops {
		errs = append(errs, l.close())
	}
	p.wg.Wait()
	return errors.Join(errs...)
}

func (p *Poller) nextLoop() *loop {
	return p.loops[int(p.next.Add(1))%len(p.loops)]
}
