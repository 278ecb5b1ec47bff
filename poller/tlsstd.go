//go:build linux

package poller

import (
	"bytes"
	"container/list"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/valyala/bytebufferpool"

	"roost/poller/leantls"
)

// plainBuffer is the size of a loop's buffer for what TLS opens: one record.
const plainBuffer = 1 << 14

// stdTLS is TLS by crypto/tls. Its handshake runs on a short-lived goroutine
// that blocks, begun once the whole ClientHello has arrived; afterwards
// crypto/tls is driven by the loop and there is no goroutine.
type stdTLS struct {
	// immutable
	c       *Conn
	network network // of the peer

	cfg *tls.Config // what was given; when a client's ClientHello is there, what was chosen for it. See secrets

	place       *list.Element // in its network's queue; nil: it does not wait. Under the lock of handshakes
	conn        *tls.Conn     // a server's is nil until its handshake begins
	silentSince atomic.Int64  // since when the peer is waited for, after Poller.start; 0: it is not
	failed      error         // loop: why the handshake has ended

	secrets *leantls.Secrets // captured from crypto/tls; nil: none. Of the handshake's goroutine, and when it has ended of the loop

	// What crypto/tls has written: all of it in the handshake, on its goroutine; under
	// mu what is on its way to the outbox, afterwards. nil: nothing.
	written *bytebufferpool.ByteBuffer

	mu        sync.Mutex
	arrived   sync.Cond
	in        bytes.Buffer // bytes of the socket that crypto/tls has not read
	first     *firstFlight // of a ClientHello that is not whole; nil: nothing has come. By value it would take more of each TLS 1.2 session
	boundary  leantls.Boundary
	phase     tlsPhase
	throttled bool // reading is paused until crypto/tls has read more
	atEOF     bool // the peer closed, or the connection is gone

	// Not under mu; here they take no space.
	peerNotified bool // loop: the peer sent close_notify
	gaveUp       bool // it was told to give up its slot; under the lock of handshakes
	server       bool // immutable
}

type tlsPhase uint8

const (
	tlsHello  tlsPhase = iota // the ClientHello is not whole
	tlsQueued                 // waits for its turn
	tlsHandshaking
	tlsOpen
	tlsSwitched // to leanTLS, which has taken its place
	tlsFailed   // the handshake has, or sealed bytes were lost: what comes is dropped
)

func newStdTLS(c *Conn, cfg *tls.Config, from network) *stdTLS {
	t := &stdTLS{c: c, cfg: cfg, server: true, network: from}
	t.arrived.L = &t.mu
	return t
}

// newClientTLS is TLS by crypto/tls where this is the side that begins.
func newClientTLS(c *Conn, cfg *tls.Config, from network) *stdTLS {
	t := newStdTLS(c, cfg, from)
	t.server = false
	t.conn = tls.Client((*tlsSocket)(t), cfg)
	t.phase = tlsQueued
	c.loop.p.queue.add(t)
	return t
}

// open has crypto/tls read the socket's bytes. Loop.
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
			// A client may send much after its last message; it waits.
			t.throttled = true
			t.c.Pause()
		}
		t.arrived.Signal()
		return nil
	}
	t.mu.Unlock()
	return t.resume(above)
}

// account says what is held for a peer that has not authenticated. False: it is
// too much. When the session is lean, leanTLS.account does that. Under mu.
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

// handshake does the handshake. It runs on a goroutine of its own.
func (t *stdTLS) handshake() {
	c := t.c
	if t.server && c.peerGone() {
		// It cannot answer: neither a key exchange nor a signature is made for it.
		c.loop.post(c, func(int) { c.destroy(ErrHandshake) })
		return
	}
	t.mu.Lock()
	t.phase = tlsHandshaking
	// Bytes that came since it was begun were counted as those of one that waits.
	c.loop.p.unauth.set(c, heldQueue, 0)
	fits := t.account()
	t.mu.Unlock()
	if !fits {
		c.loop.post(c, func(int) { c.outOfMemory() })
		return
	}
	if t.server {
		t.conn = tls.Server((*tlsSocket)(t), c.loop.p.lean.configFor(&c.loop.p.cfg, t.cfg))
	}
	err := t.doHandshake()
	c.Flush()
	c.loop.post(c, func(loop int) {
		c.setState(stateOpen)
		switch {
		case c.closing(): // nobody is told of anything any more
			(*tlsSocket)(t).discardCapture()
		case err != nil:
			(*tlsSocket)(t).discardCapture()
			c.loop.p.cfg.Logger.Debug("TLS handshake failed", "peer", c.RemoteAddr(), "err", err)
			t.reject(errors.Join(ErrHandshake, err))
		default:
			if err := t.secured(loop); err != nil {
				c.destroyLater(err)
			}
		}
	})
}

// doHandshake calls crypto/tls. It is what hostile bytes meet first, so that a
// panic in it ends this connection, not the process; no lock of ours is held then.
func (t *stdTLS) doHandshake() (err error) {
	defer func() {
		if v := recover(); v != nil {
			p := t.c.loop.p
			p.panics.Recovered(v, p.cfg.Logger, "peer", t.c.RemoteAddr())
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return t.conn.Handshake()
}

// secured goes on after the handshake. Until now nobody has read or written
// through the record layer. The first data may have come with the end of the
// handshake, but Secured comes before it. Loop.
func (t *stdTLS) secured(loop int) error {
	state := t.conn.ConnectionState()
	t.mu.Lock()
	t.atEOF = false
	throttled := t.throttled
	t.throttled = false
	t.mu.Unlock()
	if throttled {
		t.c.paused = false // Secured may pause, for a reason of its own
	}
	if err := t.startSession(loop, &state); err != nil {
		return err
	}
	if throttled && !t.c.paused {
		t.c.paused = true
		t.c.resume()
	}
	return nil
}

// startSession has the layer for the session's data take over. Loop.
func (t *stdTLS) startSession(loop int, state *tls.ConnectionState) error {
	lean := t.switchToLean(state)
	(*tlsSocket)(t).discardCapture()
	if lean != nil {
		t.c.handler.Secured(loop, state, t.leaf(state))
		lean.stash(t.in.Bytes())
		return t.c.resumeLayers()
	}
	t.mu.Lock()
	t.phase = tlsOpen
	t.account() // less than in the handshake
	t.mu.Unlock()
	t.c.handler.Secured(loop, state, t.leaf(state))
	return t.c.resumeLayers()
}

// resume opens what records there are and hands them on. Loop.
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
		if t.queueWritten() != nil { // an answer to a KeyUpdate, or an alert
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

// unthrottle goes on reading from the socket, soon. Under mu.
func (t *stdTLS) unthrottle() {
	if t.throttled {
		t.throttled = false
		t.c.Resume()
	}
}

// midRecord notes whether the peer is in the middle of a record. Loop.
func (t *stdTLS) midRecord() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.boundary.Whole() && t.in.Len() == 0 {
		t.c.stall = 0
	} else {
		t.c.recordBegun()
	}
}

// errEarly is the answer to what is queued during a handshake: crypto/tls would
// make the caller wait for its end.
var errEarly = errors.New("poller: the TLS handshake is not done")

// seal has crypto/tls seal p and moves what it makes to the outbox. Under mu.
func (t *stdTLS) seal(p []byte) error {
	if !t.phaseIs(tlsOpen) {
		return errEarly
	}
	_, err := t.conn.Write(p)
	if e := t.moveWritten(); e != nil {
		return e
	}
	return err
}

// moveWritten moves what crypto/tls has written since the last time to the outbox. If
// that is more than the outbox may hold, the connection ends with ErrFull: what was
// sealed must not be left out. Under Conn.mu.
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
	case c.queued()+len(sealed.B) > 2*c.mayQueue(0, 0): // answers to a peer that does not read
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

// queueWritten is moveWritten for what crypto/tls writes by itself. Loop.
func (t *stdTLS) queueWritten() error {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	return t.moveWritten()
}

// eof is told that the peer closed TCP. One that did so during the handshake
// may have sent all that is needed for it, and data: the end is read again when
// it is done.
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
		return ErrHandshake // it would have to answer what we have not sent yet
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
func (t *stdTLS) rebase(bottom recordLayer) recordLayer { return bottom }

// free ends a handshake that is under way. Loop.
func (t *stdTLS) free() error {
	waited := t.c.loop.p.queue.cancel(t)
	t.mu.Lock()
	if waited || t.phase == tlsHello {
		t.in = bytes.Buffer{} // no goroutine will
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
