//go:build linux

package poller

// connState is how far a connection has come in its life. States further down exclude
// those above for good; only the first two may alternate.
//
//	  ┌─────────── done ───────────┐
//	  ▼                            │
//	open ────── StartTLS ────► handshaking
//	  │                            │
//	  ├── Close ───────────────────┴──► closing ──────► shutDown ──────► closed
//	  │                                     outbox empty     peer's end,
//	  │                                                      or time is up
//	  └── the peer's end, and the ────► halfClosed ────────────────────► closed
//	      outbox is not empty                      outbox empty,
//	                                               or time is up
//
// Accepted connections begin open, or handshaking where the listener has TLS. Without
// anything in the outbox the peer's end leads from open to closed.
// From every state an error, a deadline or Close(0) leads to closed. Whether reading is
// paused (Conn.paused), what the descriptor is registered for (Conn.watch), and whether
// netpoll has seen a hang-up (Conn.hup) do not exclude any of these states, and are
// kept apart.
type connState uint8

const (
	stateOpen        connState = iota // in the clear, or TLS is on
	stateHandshaking                  // a TLS handshake is under way: nothing can be queued
	stateClosing                      // Close was called: what comes is dropped, what is queued goes out
	stateHalfClosed                   // the peer has closed its side: what is queued goes out
	stateShutDown                     // our side of the socket is shut down: the peer's end is awaited
	stateClosed                       // the last state
)

// closing reports whether the connection is on its way to its end, or there: nothing
// is delivered and nothing can be queued. Loop.
func (c *Conn) closing() bool { return c.state >= stateClosing }

// closed reports whether the connection has ended. Loop.
func (c *Conn) closed() bool { return c.state == stateClosed }

// setState moves the connection to a later state, or from a handshake back to open; it
// stays where it is if it is further already. Loop.
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
