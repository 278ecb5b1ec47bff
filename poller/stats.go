//go:build linux

package poller

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"roost/internal/histogram"
	"roost/poller/leantls"
)

// Stats are the counters of a Poller since it was created. Conns, Handshake, Unauth,
// WebSocketConns and OutboxBytes are current values.
type Stats struct {
	Conns     int64 // connections open
	Accepted  int64
	Refused   int64           // connections refused, for any reason
	RefusedBy [Refusals]int64 // the same by reason

	Reads, Writes     int64              // system calls
	BytesIn, BytesOut int64              // bytes of connections, TLS included
	OutboxBytes       int64              // bytes that full sockets have not accepted yet
	Batches           histogram.Snapshot // nanoseconds that loops took for a batch of events

	Unauth  int64 // bytes currently held for peers that have not authenticated
	Evicted int64 // connections closed to free memory held before authentication
	Panics  int64 // panics in TLS handshakes; each ended one connection

	// TLS handshakes with clients.
	Handshake           int64 // in progress or waiting
	GaveUp              int64 // ended because their peers were silent while others waited
	TLS12, TLS12Resumed int64 // succeeded, in full or by resuming a session
	TLS13, TLS13Resumed int64
	TLSFailed           [HandshakeFailures]int64 // failed, by reason

	// Listeners for WebSocket, and the HTTP requests on them.
	WebSocketConns    int64                // WebSocket connections open
	WebSockets        int64                // requests that became WebSocket connections
	WebSocketPages    int64                // requests for pages
	WebSocketRefused  int64                // other requests
	WebSocketFailures [FrameFailures]int64 // connections that ended because of what the client sent, by reason

	LeanTLS     int64                   // handshakes after which the lean record layer took over
	LeanOff     int64                   // handshakes after which it did not because of Config.StdTLS
	LeanRefused [leantls.Refusals]int64 // handshakes after which it did not for another reason
}

// Refusal is a reason why a connection was refused.
type Refusal uint8

// The reasons.
const (
	RefusedAttempts    Refusal = iota // its network has connected too often in the last minute
	RefusedConnections                // its network has too many connections
	RefusedHeader                     // its PROXY protocol header was invalid
	RefusedFiles                      // no file descriptor was left
	RefusedBlocked                    // Config.Blocked said so
	RefusedDraining                   // Listener.Refuse was called
	Refusals                          // number of reasons
)

// String returns the reason as one word.
func (r Refusal) String() string {
	return [Refusals]string{"attempts", "connections", "proxy-header", "files", "blocked", "draining"}[r]
}

// HandshakeFailure is a reason why a TLS handshake has failed.
type HandshakeFailure uint8

// The reasons.
const (
	FailedProtocol    HandshakeFailure = iota // a message was not as TLS requires
	FailedNotTLS                              // the peer's first bytes were not those of TLS
	FailedVersion                             // the peer has no version in common with the server
	FailedParameters                          // the peer has no other parameter in common, such as a cipher suite
	FailedAlert                               // the peer refused, such as an unknown certificate
	FailedClosed                              // the peer closed the connection
	FailedTimeout                             // the peer took too long
	FailedSilent                              // the peer was silent while others waited
	FailedMemory                              // the peer held too much memory
	FailedStopped                             // the server closed the connection
	HandshakeFailures                         // number of reasons
)

// String returns the reason as one word.
func (f HandshakeFailure) String() string {
	return [HandshakeFailures]string{"protocol", "not-tls", "version", "parameters", "alert", "closed", "timeout", "silent", "memory", "stopped"}[f]
}

// failureOf returns the reason for an error that ended a connection during its handshake.
func failureOf(err error) HandshakeFailure {
	var alert tls.AlertError // that the server sends
	var record tls.RecordHeaderError
	var remote *net.OpError
	switch {
	case err == nil, errors.Is(err, ErrClosed):
		return FailedStopped
	case errors.Is(err, errSilent):
		return FailedSilent
	case errors.Is(err, ErrMemory):
		return FailedMemory
	case errors.Is(err, ErrDeadline), errors.Is(err, ErrIdle), errors.Is(err, ErrStalled), errors.Is(err, unix.ETIMEDOUT):
		return FailedTimeout
	case errors.As(err, &alert) && alert == alertProtocolVersion:
		return FailedVersion
	case errors.As(err, &alert) && alert == alertUnexpectedMessage, errors.As(err, &record):
		return FailedNotTLS
	case errors.As(err, &remote) && remote.Op == "remote error":
		return FailedAlert
	case err == ErrHandshake, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EPIPE):
		return FailedClosed
	// crypto/tls has no error values for these.
	case strings.Contains(err.Error(), "unsupported versions"):
		return FailedVersion
	case strings.Contains(err.Error(), "no cipher suite supported"), strings.Contains(err.Error(), "no supported"), strings.Contains(err.Error(), "no mutually supported"):
		return FailedParameters
	}
	return FailedProtocol
}

// inHandshake reports whether a TLS handshake with a client has not ended. Loop.
func (c *Conn) inHandshake() bool {
	t, ok := bottom(c.layer).(*stdTLS)
	if !ok || !t.server {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.phase < tlsOpen
}

// countHandshake counts a handshake that has succeeded. Loop.
func (t *stdTLS) countHandshake(st *tls.ConnectionState) {
	if !t.server {
		return
	}
	s := &t.c.loop.p.stats
	switch {
	case st.Version == tls.VersionTLS13 && st.DidResume:
		s.tls13Resumed.Add(1)
	case st.Version == tls.VersionTLS13:
		s.tls13.Add(1)
	case st.DidResume:
		s.tls12Resumed.Add(1)
	default:
		s.tls12.Add(1)
	}
	if t.c.loop.p.config().StdTLS {
		s.leanOff.Add(1)
	}
}

// counters are the counters of events that are rare for a loop: connections and
// handshakes.
type counters struct {
	conns, accepted, handshakes, gaveUp, evicted, lean, leanOff atomic.Int64
	tls12, tls12Resumed, tls13, tls13Resumed                    atomic.Int64

	refused     [Refusals]atomic.Int64
	tlsFailed   [HandshakeFailures]atomic.Int64
	leanRefused [leantls.Refusals]atomic.Int64
	webSockets  webSocketCounters
}

// cacheLine is the size of a line of a CPU's cache, in bytes.
const cacheLine = 64

// loopCounters are the counters of what each read and write of a loop changes. They are
// not shared by the loops, so that these do not wait for each other's caches.
type loopCounters struct {
	_                [cacheLine]byte
	reads, bytesIn   atomic.Int64
	_                [cacheLine]byte
	writes, bytesOut atomic.Int64 // also changed by others that write to the loop's connections
	backlog          atomic.Int64 // bytes in the outboxes of full sockets: of each Conn with full set, those in its outbox
	_                [cacheLine]byte
}

// batchBounds are the upper limits of the buckets for the durations of batches.
var batchBounds = []time.Duration{
	100 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond, time.Second,
}

// Stats returns a snapshot of the counters.
func (p *Poller) Stats() Stats {
	s := &p.stats
	all := Stats{
		Conns: s.conns.Load(), Accepted: s.accepted.Load(),
		Handshake: s.handshakes.Load(), GaveUp: s.gaveUp.Load(), Evicted: s.evicted.Load(), Panics: p.panics.Count(), Unauth: p.unauth.held(),
		TLS12: s.tls12.Load(), TLS12Resumed: s.tls12Resumed.Load(), TLS13: s.tls13.Load(), TLS13Resumed: s.tls13Resumed.Load(),
		LeanTLS: s.lean.Load(), LeanOff: s.leanOff.Load(),
	}
	for i := range all.RefusedBy {
		all.RefusedBy[i] = s.refused[i].Load()
		all.Refused += all.RefusedBy[i]
	}
	for i := range all.TLSFailed {
		all.TLSFailed[i] = s.tlsFailed[i].Load()
	}
	for i := range all.LeanRefused {
		all.LeanRefused[i] = s.leanRefused[i].Load()
	}
	s.webSockets.snapshot(&all)
	for _, l := range p.loops {
		c := &l.counts
		all.Reads += c.reads.Load()
		all.BytesIn += c.bytesIn.Load()
		all.Writes += c.writes.Load()
		all.BytesOut += c.bytesOut.Load()
		all.OutboxBytes += c.backlog.Load()
		all.Batches = all.Batches.Plus(l.batch.Snapshot())
	}
	return all
}
