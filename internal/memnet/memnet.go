// Package memnet is a network in memory that behaves like package poller: it has one loop,
// an outbox with a limit in bytes, clients that may stop reading, and reading that can be
// paused. It serves to test the packages above the poller without sockets.
package memnet

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// SocketBuffer is the number of bytes that a client can leave unread before the server's
// outbox fills.
const SocketBuffer = 64 << 10

// Errors of Conn: ErrFull and ErrClosed of Queue, ErrNoTLS of StartTLS.
var (
	ErrFull     = errors.New("memnet: the outbox is full")
	ErrClosed   = errors.New("memnet: the connection is closed")
	errReserved = errors.New("memnet: the outbox is reserved")
	ErrNoTLS    = errors.New("memnet: TLS is not supported")
)

// Handler handles the events of a connection. All calls are on the loop's goroutine.
type Handler interface {
	Data(loop int, p []byte) (n int)
	Drained(loop int)
	Closed(loop int, err error)
}

// Loop is one event loop.
type Loop struct {
	accept     func(*Conn) Handler
	afterBatch func(loop int)
	outbox     int
	vacant     *Conn // see Conn.Vacant

	// Unauth limits what connections hold before Authenticated (Conn.Hold), in bytes;
	// 0 means no limit. Set it before the first Dial.
	Unauth int

	state sync.Mutex // of all connections and sockets
	mu    sync.Mutex // may be taken with state held
	ready sync.Cond
	tasks []func()
	held  int // bytes
	stop  bool
	done  chan struct{}
}

// NewLoop starts a loop with the index 0. outbox is the size limit of each outbox, in bytes.
// The loop calls afterBatch after each batch of events.
func NewLoop(outbox int, accept func(*Conn) Handler, afterBatch func(loop int)) *Loop {
	l := &Loop{accept: accept, afterBatch: afterBatch, outbox: outbox, done: make(chan struct{})}
	l.ready.L = &l.mu
	l.vacant = &Conn{loop: l, paused: true, reserved: true}
	go l.run()
	return l
}

func (l *Loop) run() {
	defer close(l.done)
	for {
		l.mu.Lock()
		for len(l.tasks) == 0 && !l.stop {
			l.ready.Wait()
		}
		tasks := l.tasks
		l.tasks = nil
		l.mu.Unlock()
		if len(tasks) == 0 {
			return
		}
		for _, f := range tasks {
			f()
		}
		l.afterBatch(0)
	}
}

func (l *Loop) post(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.stop {
		l.tasks = append(l.tasks, f)
		l.ready.Signal()
	}
}

// Sync waits until the loop has run what was posted before.
func (l *Loop) Sync() {
	done := make(chan struct{})
	l.post(func() { l.post(func() { close(done) }) }) // after the batch
	select {
	case <-done:
	case <-l.done:
	}
}

// Close ends the loop after it has run what was posted.
func (l *Loop) Close() {
	l.mu.Lock()
	l.stop = true
	l.ready.Signal()
	l.mu.Unlock()
	<-l.done
}

// Loopback is the default address of clients.
var Loopback = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 1)

// Dial connects a client.
func (l *Loop) Dial() net.Conn { return l.DialFrom(Loopback) }

// DialFrom connects a client that has the given address.
func (l *Loop) DialFrom(addr netip.AddrPort) net.Conn {
	x := &socket{loop: l, remote: addr}
	x.readable.L = &l.state
	c := &Conn{loop: l, remote: addr, socket: x}
	x.end = c
	ready := make(chan struct{})
	l.post(func() {
		c.handler = l.accept(c)
		close(ready)
	})
	<-ready
	return &client{x}
}

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

// Queued returns the number of bytes in the outbox.
func (c *Conn) Queued() int {
	c.loop.state.Lock()
	defer c.loop.state.Unlock()
	if c.socket == nil {
		return 0
	}
	return len(c.socket.outbox)
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

// Held returns how many bytes all connections hold before Authenticated.
func (l *Loop) Held() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held
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

// Close closes a socket that no connection has.
func (x *socket) Close(linger time.Duration) {
	x.loop.state.Lock()
	defer x.loop.state.Unlock()
	x.close(linger)
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
	n := &Conn{loop: c.loop, handler: handler.(Handler), socket: x, remote: x.remote, paused: true, reserved: c.reserved, authenticated: true}
	x.end = n
	c.loop.post(func() { n.read(x) })
	if x.broken {
		x.lose(io.ErrUnexpectedEOF)
	}
	return n, nil
}

// Vacant returns a connection without a socket, a *Conn, which is the same for all.
func (c *Conn) Vacant() any { return c.loop.Vacant() }

// Vacant is Conn.Vacant for handlers that have no connection yet.
func (l *Loop) Vacant() *Conn { return l.vacant }

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
