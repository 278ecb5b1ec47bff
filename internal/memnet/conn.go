package memnet

import (
	"crypto/tls"
	"net/netip"
	"time"
)

// Conn is the server's side of a connection.
type Conn struct {
	loop    *Loop
	handler Handler

	// Owned by the loop.
	input  []byte
	paused bool

	// Under the loop's state.
	socket   *socket // nil: the connection is closed
	remote   netip.AddrPort
	reserved bool // Reserve was called

	// Under the loop's mu.
	held          int  // bytes that the handler holds
	authenticated bool // Authenticated was called
}

// Queue copies p to the outbox.
func (c *Conn) Queue(p []byte) error { return c.queue(p, false) }

// Reserve makes Queue fail; QueueReserved still works.
func (c *Conn) Reserve() {
	c.loop.state.Lock()
	defer c.loop.state.Unlock()
	c.reserved = true
}

// QueueReserved is Queue for an outbox that is reserved.
func (c *Conn) QueueReserved(p []byte) error { return c.queue(p, true) }

// Messages reports whether units of the stream are messages, which they never are.
func (c *Conn) Messages() bool { return false }

// SetCloseCode does nothing: only connections with messages tell the code.
func (c *Conn) SetCloseCode(uint16) {}

// QueueMessages queues several messages, which end at the given offsets.
func (c *Conn) QueueMessages(p []byte, _ []int, reserved bool) error { return c.queue(p, reserved) }

func (c *Conn) queue(p []byte, reserved bool) error {
	c.loop.state.Lock()
	defer c.loop.state.Unlock()
	x := c.socket
	switch {
	case c.reserved && !reserved:
		return errReserved
	case x == nil || x.closing:
		return ErrClosed
	case len(x.outbox)+len(p) > c.loop.outbox:
		return ErrFull
	}
	x.outbox = append(x.outbox, p...)
	return nil
}

// Flush moves bytes from the outbox to the socket, and reports whether some are left. If so,
// Drained is called when none are left.
func (c *Conn) Flush() (full bool) {
	c.loop.state.Lock()
	defer c.loop.state.Unlock()
	if c.socket == nil {
		return false
	}
	c.socket.flush()
	return c.socket.full
}

// Queued returns the number of bytes in the outbox.
func (c *Conn) Queued() int {
	c.loop.state.Lock()
	defer c.loop.state.Unlock()
	if c.socket == nil {
		return 0
	}
	return len(c.socket.outbox)
}

// Unconfirmed returns the number of bytes that the client has not read.
func (c *Conn) Unconfirmed() int {
	c.loop.state.Lock()
	defer c.loop.state.Unlock()
	if c.socket == nil {
		return 0
	}
	return len(c.socket.outbox) + len(c.socket.sent)
}

// Pause stops reading.
func (c *Conn) Pause() { c.paused = true }

// Resume continues reading.
func (c *Conn) Resume() {
	c.loop.post(func() {
		c.paused = false
		c.deliver(nil)
	})
}

// Post runs f on the loop.
func (c *Conn) Post(f func(loop int)) { c.loop.post(func() { f(0) }) }

// StartTLS returns ErrNoTLS.
func (c *Conn) StartTLS(*tls.Config) error { return ErrNoTLS }

// Hold sets how many bytes the handler holds before Authenticated, and reports whether the
// limit allows that.
func (c *Conn) Hold(n int) bool {
	c.loop.mu.Lock()
	defer c.loop.mu.Unlock()
	switch more := n - c.held; {
	case c.authenticated:
		return true
	case more > 0 && c.loop.Unauth > 0 && c.loop.held+more > c.loop.Unauth:
		return false
	default:
		c.held = n
		c.loop.held += more
		return true
	}
}

// Authenticated ends the counting of held bytes.
func (c *Conn) Authenticated() {
	c.Hold(0)
	c.loop.mu.Lock()
	defer c.loop.mu.Unlock()
	c.authenticated = true
}

// Close closes the connection after the client has read all queued bytes, or at once if
// linger is 0.
func (c *Conn) Close(linger time.Duration) {
	c.loop.state.Lock()
	defer c.loop.state.Unlock()
	if x := c.socket; x != nil {
		x.close(linger)
		x.lose(nil)
	}
}

// Vacant returns a connection without a socket, a *Conn, which is the same for all.
func (c *Conn) Vacant() any { return c.loop.Vacant() }

// SetDeadline does nothing: no client is slow in memory.
func (c *Conn) SetDeadline(time.Duration) {}

// RemoteAddr returns the client's address.
func (c *Conn) RemoteAddr() netip.AddrPort {
	c.loop.state.Lock()
	defer c.loop.state.Unlock()
	return c.remote
}

// Secure reports whether TLS is in use, which is never so.
func (c *Conn) Secure() bool { return false }

// read delivers what has arrived, in the pieces in which it was sent.
func (c *Conn) read(x *socket) {
	c.loop.state.Lock()
	if c.socket != x {
		c.loop.state.Unlock()
		return // whoever gets the socket reads it
	}
	pieces := x.in
	x.in = nil
	c.loop.state.Unlock()
	for _, p := range pieces {
		c.deliver(p)
	}
}

// deliver passes input to the handler until that consumes no more.
func (c *Conn) deliver(p []byte) {
	c.input = append(c.input, p...)
	for len(c.input) > 0 && !c.paused {
		lent := append([]byte(nil), c.input...)
		n := c.handler.Data(0, lent)
		// Overwrite the memory, to detect handlers that keep it.
		for i := range lent {
			lent[i] = '!'
		}
		c.input = c.input[n:]
		if n == 0 && !c.paused {
			return
		}
	}
}
