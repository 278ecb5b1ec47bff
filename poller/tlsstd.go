//go:build linux

package poller

import (
	"bytes"
	"container/list"
	"crypto/tls"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/valyala/bytebufferpool"

	"roost/poller/leantls"
)

// plainBuffer is the size in bytes of a loop's buffer for decrypted data: one record.
const plainBuffer = 1 << 14

// stdTLS is TLS by crypto/tls. Its handshake runs on a short-lived goroutine that blocks,
// started once the complete ClientHello has arrived; afterwards the loop drives
// crypto/tls and there is no goroutine.
type stdTLS struct {
	network network // of the peer; immutable
	c       *Conn   // immutable until the end of the handshake; see moveTo

	cfg *tls.Config // the given configuration, later the one chosen for the ClientHello. Ownership: see secrets

	place       *list.Element // position in its network's queue; nil: not waiting. Under the lock of handshakes
	conn        *tls.Conn     // nil on the server side until the handshake begins
	silentSince atomic.Int64  // uptime since when the handshake waits for the peer; 0: it does not wait
	failed      error         // loop: why the handshake failed

	secrets *leantls.Secrets // captured from crypto/tls; nil: none. Owned by the handshake's goroutine, afterwards by the loop

	// Bytes written by crypto/tls, nil for none: during the handshake all of them, owned
	// by its goroutine; afterwards, under mu, those not yet moved to the outbox.
	written *bytebufferpool.ByteBuffer

	mu        sync.Mutex
	arrived   sync.Cond
	in        bytes.Buffer // bytes from the socket that crypto/tls has not read
	first     *firstFlight // state of an incomplete ClientHello; nil: nothing has arrived. A pointer, because a TLS 1.2 session keeps this struct
	boundary  leantls.Boundary
	phase     tlsPhase
	throttled bool // reading is paused until crypto/tls has read more
	atEOF     bool // the peer has closed its side, or the connection is closed

	// Not under mu. Placed here they take no extra space.
	peerNotified bool // loop: the peer has sent close_notify
	gaveUp       bool // it has lost its slot; under the lock of handshakes
	server       bool // immutable
}

type tlsPhase uint8

const (
	tlsHello  tlsPhase = iota // the ClientHello is incomplete
	tlsQueued                 // waits for its turn
	tlsHandshaking
	tlsOpen
	tlsSwitched // replaced by leanTLS
	tlsFailed   // the handshake failed, or sealed bytes were lost: input is discarded
)

func newStdTLS(c *Conn, cfg *tls.Config, from network) *stdTLS {
	t := &stdTLS{c: c, cfg: cfg, server: true, network: from}
	t.arrived.L = &t.mu
	return t
}

// newClientTLS returns a stdTLS for the client side of a connection.
func newClientTLS(c *Conn, cfg *tls.Config, from network) *stdTLS {
	t := newStdTLS(c, cfg, from)
	t.server = false
	t.conn = tls.Client((*tlsSocket)(t), cfg)
	t.phase = tlsQueued
	c.loop.p.queue.add(t)
	return t
}

// open passes bytes from the socket to crypto/tls. Loop.
func (t *stdTLS) open(p []byte, above receiver) error {
	t.mu.Lock()
	if t.phase == tlsFailed {
		t.mu.Unlock()
		return nil
	}
	t.in.Write(p)
	if !t.account() {
		t.mu.Unlock()
		t.c.outOfMemoryLater()
		return nil
	}
	switch t.phase {
	case tlsHello:
		err := t.hello()
		t.mu.Unlock()
		switch {
		case err == ErrMemory:
			t.c.outOfMemoryLater()
		case err != nil:
			t.reject(err)
		}
		return nil
	case tlsQueued, tlsHandshaking:
		defer t.mu.Unlock()
		if t.in.Len() > maxEarly {
			// A client may send many bytes after its last handshake message; they wait.
			t.throttled = true
			t.c.Pause()
		}
		t.arrived.Signal()
		return nil
	}
	t.mu.Unlock()
	return t.resume(above)
}

// account counts the memory held for a peer that has not authenticated, and returns false
// if it exceeds the limit. For lean sessions see leanTLS.account. Under mu.
func (t *stdTLS) account() bool {
	if !t.c.unauth() {
		return true
	}
	kind, n := heldTLS, t.in.Cap()
	switch t.phase {
	case tlsQueued:
		kind = heldQueue
	case tlsHandshaking:
		n += handshakeBytes
	case tlsOpen:
		n += stdTLSBytes
	}
	return t.c.loop.p.unauth.set(t.c, kind, n)
}

// resume opens the available records and passes on their content. Loop.
func (t *stdTLS) resume(above receiver) error {
	t.mu.Lock()
	open := t.phase == tlsOpen
	t.mu.Unlock()
	l := t.c.loop
	if open && l.plain == nil {
		l.plain = make([]byte, plainBuffer)
	}
	for open && !t.c.paused && !t.c.closed() {
		n, err := t.conn.Read(l.plain)
		if t.queueWritten() != nil { // a reply to a KeyUpdate, or an alert
			return nil
		}
		if n > 0 {
			above.receive(l.plain[:n])
		}
		switch {
		case err == nil:
		case errors.Is(err, errNoData):
			t.c.Flush()
			t.midRecord()
			return nil
		case errors.Is(err, io.EOF):
			t.peerNotified = true
			t.c.peerClosed()
			return nil
		default:
			return err
		}
	}
	return nil
}

// unthrottle resumes reading from the socket soon. Under mu.
func (t *stdTLS) unthrottle() {
	if t.throttled {
		t.throttled = false
		t.c.Resume()
	}
}

// midRecord starts or clears the time limit for an incomplete record. Loop.
func (t *stdTLS) midRecord() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.boundary.Whole() && t.in.Len() == 0 {
		t.c.stall = 0
	} else {
		t.c.recordBegun()
	}
}

// errEarly is returned for bytes queued during a handshake: crypto/tls would block the
// caller until its end.
var errEarly = errors.New("poller: the TLS handshake has not finished")

// seal makes crypto/tls seal m and moves the result to the outbox. Under mu.
func (t *stdTLS) seal(m message) error {
	if !t.phaseIs(tlsOpen) {
		return errEarly
	}
	p := m.body
	if m.n > 0 { // one record for both
		both := outboxes.Get()
		defer outboxes.Put(both)
		both.B = append(append(both.B, m.head[:m.n]...), m.body...)
		p = both.B
	}
	_, err := t.conn.Write(p)
	if e := t.moveWritten(); e != nil {
		return e
	}
	return err
}

// moveWritten moves the bytes that crypto/tls has written since the last call to the
// outbox. If they exceed the outbox's limit, the connection ends with ErrFull, because
// sealed bytes must not be omitted. Under Conn.mu.
func (t *stdTLS) moveWritten() error {
	t.mu.Lock()
	sealed := t.written
	t.written = nil
	t.mu.Unlock()
	c := t.c
	switch {
	case sealed == nil:
		return nil
	case c.fd < 0:
		outboxes.Put(sealed)
		return ErrClosed
	case c.queued()+len(sealed.B) > 2*c.mayQueue(0, 0): // replies to a peer that does not read
		outboxes.Put(sealed)
		t.mu.Lock()
		t.phase = tlsFailed
		t.mu.Unlock()
		c.loop.post(c, func(int) { c.destroy(ErrFull) })
		return ErrFull
	case c.out == nil:
		c.out = sealed
	default:
		c.append(sealed.B)
		outboxes.Put(sealed)
	}
	return nil
}

// queueWritten is moveWritten for bytes that crypto/tls writes on its own initiative.
// Loop.
func (t *stdTLS) queueWritten() error {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	return t.moveWritten()
}

// eof handles the peer's end of the TCP connection. A peer that closes during the
// handshake may already have sent everything needed for it, and data: the end is read
// again after the handshake.
func (t *stdTLS) eof() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.atEOF = true
	t.arrived.Broadcast()
	switch {
	case t.peerNotified:
		return nil
	case t.phase == tlsOpen:
		return ErrTruncated
	case t.phase == tlsHello, t.phase == tlsQueued, t.phase == tlsFailed:
		return ErrHandshake // the handshake cannot finish without further bytes from the peer
	}
	t.throttled = true
	return errNotYet
}

// closeWrite seals close_notify. Loop.
func (t *stdTLS) closeWrite() {
	if t.phaseIs(tlsOpen) {
		_ = t.conn.CloseWrite()
		_ = t.queueWritten()
	}
}

func (t *stdTLS) phaseIs(p tlsPhase) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.phase == p
}

func (t *stdTLS) secure() bool                          { return true }
func (t *stdTLS) messages() bool                        { return false }
func (t *stdTLS) rebase(bottom recordLayer) recordLayer { return bottom }

func (t *stdTLS) moveTo(c *Conn) recordLayer {
	t.c = c
	return t
}

// free ends a handshake in progress. Loop.
func (t *stdTLS) free() error {
	waited := t.c.loop.p.queue.cancel(t)
	t.mu.Lock()
	if waited || t.phase == tlsHello {
		t.in = bytes.Buffer{} // no handshake goroutine will read it
	}
	t.atEOF = true
	if t.phase == tlsOpen && t.written != nil {
		outboxes.Put(t.written)
		t.written = nil
	}
	t.arrived.Broadcast()
	t.mu.Unlock()
	return t.failed
}
