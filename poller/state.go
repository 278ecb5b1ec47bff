//go:build linux

package poller

// connState is the stage of a connection's life. A connection never returns to an earlier
// state, except that the first two may alternate. Conn.Unplug leads from open to closed.
//
//	  ┌─────────── done ───────────┐
//	  ▼                            │
//	open ────── StartTLS ────► handshaking
//	  │                            │
//	  ├── Close ───────────────────┴──► closing ──────► shutDown ──────► closed
//	  │                                    │  outbox empty     peer's end,
//	  │                        the same as ▼ from open         or time is up
//	  └── the peer's end, and the ────► halfClosed ────────────────────► closed
//	      outbox is not empty                      outbox empty,
//	                                               or time is up
//
// Accepted connections start as open, or as handshaking if the listener has TLS. With an
// empty outbox the peer's end leads from open to closed. An error, a deadline or Close(0)
// leads from every state to closed. Whether reading is paused (Conn.paused), which events
// the descriptor is registered for (Conn.watch), and whether netpoll has seen a hang-up
// (markHungUp) are independent of these states and stored separately.
type connState uint8

const (
	stateOpen        connState = iota // plain, or TLS is active
	stateHandshaking                  // a TLS handshake is in progress: nothing can be queued
	stateClosing                      // Close was called: input is discarded, queued bytes are sent
	stateHalfClosed                   // the peer has closed its side: queued bytes are sent
	stateShutDown                     // our side of the socket is shut down: waiting for the peer's end
	stateClosed                       // it has no socket
)

// closing reports whether the connection is ending or has ended: nothing is delivered and
// nothing can be queued. Loop.
func (c *Conn) closing() bool { return c.state >= stateClosing }

// closed reports whether the connection has ended. Loop.
func (c *Conn) closed() bool { return c.state == stateClosed }

// setState moves the connection to a later state, or from a handshake back to open. It
// does nothing if the connection is in a later state already. Loop.
func (c *Conn) setState(s connState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance(s)
}

// advance is setState under mu. Loop.
func (c *Conn) advance(s connState) {
	if s > c.state || s == stateOpen && c.state == stateHandshaking {
		c.state = s
	}
}
