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
	"os"
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

	// Unauth limits what connections hold before Authenticated (Conn.Hold), in bytes;
	// 0 means no limit. Set it before the first Dial.
	Unauth int

	mu    sync.Mutex
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
	c := &Conn{loop: l, remote: addr}
	c.readable.L = &c.mu
	ready := make(chan struct{})
	l.post(func() {
		c.handler = l.accept(c)
		close(ready)
	})
	<-ready
	return &client{c: c}
}

// Conn is the server's side of a connection.
type Conn struct {
	loop    *Loop
	remote  netip.AddrPort
	handler Handler

	// Owned by the loop.
	input  []byte
	paused bool

	mu            sync.Mutex
	readable      sync.Cond
	outbox        []byte
	socket        []byte // not read by the client yet
	full          bool   // the socket was full: Drained will be called
	closing       bool   // Queue fails
	reserved      bool   // Reserve was called
	closed        bool   // after socket, the client reads EOF
	notified      bool   // the handler was told of the end
	held          int    // bytes that the handler holds; protected by the loop's lock
	authenticated bool   // Authenticated was called; protected by the loop's lock
	deadline      time.Time
}

// Queue copies p to the outbox.
func (c *Conn) Queue(p []byte) error { return c.queue(p, false) }

// Reserve makes Queue fail; QueueReserved still works.
func (c *Conn) Reserve() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reserved = true
}

// QueueReserved is Queue for an outbox that is reserved.
func (c *Conn) QueueReserved(p []byte) error { return c.queue(p, true) }

// Messages reports whether units of the stream are messages, which they never are.
func (c *Conn) Messages() bool { return false }

// QueueMessages queues several messages, which end at the given offsets.
func (c *Conn) QueueMessages(p []byte, _ []int, reserved bool) error { return c.queue(p, reserved) }

func (c *Conn) queue(p []byte, reserved bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.reserved && !reserved:
		return errReserved
	case c.closing:
		return ErrClosed
	case len(c.outbox)+len(p) > c.loop.outbox:
		return ErrFull
	}
	c.outbox = append(c.outbox, p...)
	return nil
}

// Flush moves bytes from the outbox to the socket, and reports whether some are left. If so,
// Drained is called when none are left.
func (c *Conn) Flush() (full bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flush()
	return c.full
}

func (c *Conn) flush() {
	n := min(len(c.outbox), SocketBuffer-len(c.socket))
	c.socket = append(c.socket, c.outbox[:n]...)
	c.outbox = append(c.outbox[:0], c.outbox[n:]...)
	switch {
	case len(c.outbox) > 0:
		c.full = true
	case c.full:
		c.full = false
		c.Post(c.handler.Drained)
	}
	if c.closing && len(c.outbox) == 0 {
		c.closed = true
	}
	c.readable.Broadcast()
}

// Queued returns the number of bytes in the outbox.
func (c *Conn) Queued() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.outbox)
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
	c.mu.Lock()
	c.closing = true
	if linger == 0 {
		c.outbox = nil
		c.closed = true
	}
	c.flush()
	c.mu.Unlock()
	c.notifyClosed(nil)
}

// SetDeadline does nothing: no client is slow in memory.
func (c *Conn) SetDeadline(time.Duration) {}

// RemoteAddr returns the client's address.
func (c *Conn) RemoteAddr() netip.AddrPort { return c.remote }

// Secure reports whether TLS is in use, which is never so.
func (c *Conn) Secure() bool { return false }

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

// notifyClosed calls the handler's Closed, once.
func (c *Conn) notifyClosed(err error) {
	c.mu.Lock()
	notified := c.notified
	c.notified = true
	c.mu.Unlock()
	if !notified {
		c.Post(func(loop int) { c.handler.Closed(loop, err) })
	}
}

// client is the client's side.
type client struct{ c *Conn }

func (k *client) Read(p []byte) (int, error) {
	c := k.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.socket) == 0 {
		if c.closed {
			return 0, io.EOF
		}
		if !c.deadline.IsZero() && !time.Now().Before(c.deadline) {
			return 0, os.ErrDeadlineExceeded
		}
		c.readable.Wait()
	}
	n := copy(p, c.socket)
	c.socket = append(c.socket[:0], c.socket[n:]...)
	c.flush()
	return n, nil
}

func (k *client) Write(p []byte) (int, error) {
	k.c.mu.Lock()
	closed := k.c.closed || k.c.notified
	k.c.mu.Unlock()
	if closed {
		return 0, io.ErrClosedPipe
	}
	b := append([]byte(nil), p...)
	k.c.loop.post(func() { k.c.deliver(b) })
	return len(p), nil
}

// Close drops the connection, as if the network had failed.
func (k *client) Close() error {
	c := k.c
	c.mu.Lock()
	c.closing, c.closed = true, true
	c.outbox, c.socket = nil, nil
	c.readable.Broadcast()
	c.mu.Unlock()
	c.notifyClosed(io.ErrUnexpectedEOF)
	return nil
}

func (k *client) LocalAddr() net.Addr              { return addr{} }
func (k *client) RemoteAddr() net.Addr             { return addr{} }
func (k *client) SetWriteDeadline(time.Time) error { return nil }
func (k *client) SetDeadline(t time.Time) error    { return k.SetReadDeadline(t) }

func (k *client) SetReadDeadline(t time.Time) error {
	c := k.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	if !t.IsZero() {
		time.AfterFunc(time.Until(t)+time.Millisecond, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.readable.Broadcast()
		})
	}
	return nil
}

type addr struct{}

func (addr) Network() string { return "memory" }
func (addr) String() string  { return "memory" }
