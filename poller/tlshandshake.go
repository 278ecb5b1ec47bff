//go:build linux

package poller

import (
	"crypto/tls"
	"errors"
	"fmt"
)

// handshake performs the handshake. It runs on a separate goroutine.
func (t *stdTLS) handshake() {
	c := t.c
	if t.server && c.peerGone() {
		// The peer can no longer respond, so do not spend a key exchange and a signature
		// on it.
		c.loop.post(c, func(int) { c.destroy(ErrHandshake) })
		return
	}
	t.mu.Lock()
	t.phase = tlsHandshaking
	// Bytes that arrived since it was dequeued were counted as those of a waiting
	// handshake.
	c.loop.p.unauth.set(c, heldQueue, 0)
	fits := t.account()
	t.mu.Unlock()
	if !fits {
		c.loop.post(c, func(int) { c.outOfMemory() })
		return
	}
	if t.server {
		t.conn = tls.Server((*tlsSocket)(t), c.loop.p.lean.configFor(c.loop.p.config(), t.cfg))
	}
	err := t.doHandshake()
	c.Flush()
	c.loop.post(c, func(loop int) {
		c.setState(stateOpen)
		switch {
		case c.closing(): // the handler gets no more events
			(*tlsSocket)(t).discardCapture()
		case err != nil:
			(*tlsSocket)(t).discardCapture()
			c.loop.p.config().Logger.Debug("TLS handshake failed", "peer", c.RemoteAddr(), "err", err)
			t.reject(errors.Join(ErrHandshake, err))
		default:
			if err := t.secured(loop); err != nil {
				c.destroyLater(err)
			}
		}
	})
}

// doHandshake calls crypto/tls, the first code that parses hostile bytes. A panic in it
// therefore ends this connection, not the process; none of this package's locks is held
// then.
func (t *stdTLS) doHandshake() (err error) {
	defer func() {
		if v := recover(); v != nil {
			p := t.c.loop.p
			p.panics.Recovered(v, p.config().Logger, "peer", t.c.RemoteAddr())
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return t.conn.Handshake()
}

// secured continues after a successful handshake. Nothing has been read or written
// through the record layer so far. The first data may have arrived together with the end
// of the handshake, but Secured is called before it is delivered. Loop.
func (t *stdTLS) secured(loop int) error {
	state := t.conn.ConnectionState()
	t.mu.Lock()
	t.atEOF = false
	throttled := t.throttled
	t.throttled = false
	t.mu.Unlock()
	if throttled {
		t.c.paused = false // Secured may pause for its own reasons
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

// startSession switches to the layer that carries the session's data. Loop.
func (t *stdTLS) startSession(loop int, state *tls.ConnectionState) error {
	t.countHandshake(state)
	if state.NegotiatedProtocol == acmeTLS {
		return t.validated()
	}
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
