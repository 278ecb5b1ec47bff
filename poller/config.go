//go:build linux

package poller

import (
	"io"
	"log/slog"
	"net/netip"
	"runtime"
	"time"
)

// Config configures a Poller. A zero field means the stated default. A limit or time
// whose comment says "below 0" is turned off by a negative value.
type Config struct {
	// Loops is the number of event loops; default GOMAXPROCS.
	Loops int `reload:"no: the loops start with the server"`

	// ReadBuffer is the size in bytes of each loop's one read buffer; default 64 KiB.
	ReadBuffer int `reload:"no: the loops start with it"`

	// Outbox limits the outbox of one connection, in bytes; default 256 KiB.
	Outbox int `reload:"yes"`

	// LargeWrite limits one write to an empty outbox, in bytes; default 16 times Outbox.
	LargeWrite int `reload:"yes"`

	// IdleTimeout is how long a peer may be silent before its connection is closed; default
	// 24 h; below 0: forever.
	IdleTimeout time.Duration `reload:"yes"`

	// KeepaliveBatch is the interval at which loops read while only keep-alives arrive (see
	// Handler.KeepAlive), many at a time; default 50 ms; below 0: they are read at once.
	KeepaliveBatch time.Duration `reload:"yes"`

	// Handshakes limits the number of concurrent TLS handshakes, of which one network gets at
	// most half; default 1,024.
	Handshakes int `reload:"yes"`

	// RecordTimeout limits the time from the first to the last byte of a TLS record; default
	// 1 min.
	RecordTimeout time.Duration `reload:"yes"`

	// StdTLS leaves TLS 1.3 connections to crypto/tls after their handshakes, which costs
	// several KB for each idle connection.
	StdTLS bool `reload:"no: the lean record layer is tested at the start"`

	// UnauthMemory limits the memory held before Conn.Authenticated, including that of TLS
	// handshakes, in bytes. One network gets at most half. Default 64 MiB; below 0: no limit.
	UnauthMemory int `reload:"yes: if it was off, new connections"`

	// MaxPerAddress limits the number of connections from one IPv4 address or IPv6 /64;
	// loopback is exempt. Default 10,000; below 0: no limit.
	MaxPerAddress int `reload:"yes: new connections"`

	// MaxAttempts limits the number of new connections per minute from one of those; loopback
	// is exempt. Default: three times MaxPerAddress; below 0: no limit.
	MaxAttempts int `reload:"yes: new connections"`

	// UserTimeout is TCP_USER_TIMEOUT: how long sent bytes may stay unacknowledged; default
	// 2 min; below 0: the system's default.
	UserTimeout time.Duration `reload:"yes: new connections"`

	// KeepAlive is the interval of TCP keep-alives; default: none are sent.
	KeepAlive time.Duration `reload:"yes: new connections"`

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

	// WebSocket configures listeners for WebSocket, and is required for them.
	WebSocket *WebSocket `reload:"-"`

	// Accept returns the handler of an accepted connection, or nil to refuse it. If Accept
	// itself is nil, all connections are refused.
	Accept func(c *Conn, l *Listener) Handler `reload:"-"`

	// AfterBatch is called by each loop after every batch of events.
	AfterBatch func(loop int) `reload:"-"`

	// Logger gets the log; nil discards it.
	Logger *slog.Logger `reload:"-"`
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
