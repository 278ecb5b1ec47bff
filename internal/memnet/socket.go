package memnet

import (
	"io"
	"net/netip"
	"sync"
	"time"
)

// socket is what connects a client. Everything is protected by the loop's state.
type socket struct {
	loop     *Loop
	remote   netip.AddrPort
	end      *Conn // nil: none has it
	readable sync.Cond
	in       [][]byte // not delivered yet
	outbox   []byte
	sent     []byte // not read by the client yet
	full     bool   // the socket was full: Drained will be called
	closing  bool   // Queue fails
	closed   bool   // after sent, the client reads EOF
	lost     bool   // the handler was, or will be, told of the end
	broken   bool   // the client has dropped the connection
	deadline time.Time

	// While no connection has it, these are the connection's.
	held          int
	authenticated bool
}

func (x *socket) flush() {
	n := min(len(x.outbox), SocketBuffer-len(x.sent))
	x.sent = append(x.sent, x.outbox[:n]...)
	x.outbox = append(x.outbox[:0], x.outbox[n:]...)
	switch {
	case len(x.outbox) > 0:
		x.full = true
	case x.full:
		x.full = false
		if x.end != nil {
			x.end.Post(x.end.handler.Drained)
		}
	}
	if x.closing && len(x.outbox) == 0 {
		x.closed = true
	}
	x.readable.Broadcast()
}

// Close closes a socket that no connection has.
func (x *socket) Close(linger time.Duration) {
	x.loop.state.Lock()
	defer x.loop.state.Unlock()
	x.close(linger)
	x.loop.mu.Lock()
	defer x.loop.mu.Unlock()
	x.loop.held -= x.held
	x.held = 0
}

func (x *socket) close(linger time.Duration) {
	x.closing = true
	if linger == 0 {
		x.outbox = nil
		x.closed = true
	}
	x.flush()
}

// lose has the handler told of the end, once.
func (x *socket) lose(err error) {
	c := x.end
	if x.lost || c == nil {
		return
	}
	x.lost = true
	c.Post(func(loop int) {
		c.loop.state.Lock()
		c.socket, x.end, c.input = nil, nil, nil
		c.loop.state.Unlock()
		c.handler.Closed(loop, err)
	})
}

// Unplug takes away the socket, which stays open. It returns nil if there is none, or if it
// is being closed.
func (c *Conn) Unplug() interface{ Close(time.Duration) } {
	c.loop.state.Lock()
	defer c.loop.state.Unlock()
	x := c.socket
	if x == nil || x.closing || x.lost {
		return nil
	}
	if len(c.input) > 0 {
		x.in = append([][]byte{c.input}, x.in...)
	}
	c.socket, c.input, c.paused = nil, nil, true
	x.end, x.full = nil, false
	c.loop.mu.Lock()
	defer c.loop.mu.Unlock()
	x.held, x.authenticated = c.held, c.authenticated
	c.held, c.authenticated = 0, true
	return x
}

// Plug makes a connection of a socket from Unplug, for a handler, on the loop of one that has
// none. Reading is paused.
func (c *Conn) Plug(s interface{ Close(time.Duration) }, handler any) (conn any, err error) {
	c.loop.state.Lock()
	defer c.loop.state.Unlock()
	x := s.(*socket)
	if c.socket != nil || x.end != nil {
		panic("memnet: BUG: there is a socket already")
	}
	n := &Conn{loop: c.loop, handler: handler.(Handler), socket: x, remote: x.remote, paused: true, reserved: c.reserved, held: x.held, authenticated: x.authenticated}
	x.end, x.held = n, 0
	c.loop.post(func() { n.read(x) })
	if x.broken {
		x.lose(io.ErrUnexpectedEOF)
	}
	return n, nil
}
