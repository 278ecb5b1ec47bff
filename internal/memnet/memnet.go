// Package memnet is a network in memory with the manners of the real poller:
// one loop, an outbox bounded in bytes, a peer that may stop reading, reading
// that can be paused. With it every room above the poller is tested without a
// socket.
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

// SocketBuffer is how many bytes wait for a client that does not read, before
// the server's outbox fills.
const SocketBuffer = 64 << 10

// Errors of Conn.Queue, and of a connection that has TLS only on a real socket.
var (
	ErrFull   = errors.New("memnet: the outbox is full")
	ErrClosed = errors.New("memnet: the connection is closed")
	ErrNoTLS  = errors.New("memnet: no TLS in memory")
)

// Handler is what a connection's events go to; all calls come from the loop's
// goroutine.
type Handler interface {
	Data(loop int, p []byte) (n int)
	Drained(loop int)
	Closed(loop int, err error)
}

// Loop is one event loop.
type Loop struct {
	accept  func(*Conn) Handler
	turnEnd func(loop int)
	outbox  int

	// Unauth limits what connections hold before Authenticated (Conn.Hold), in bytes;
	// 0: no limit. It is to be set before the first Dial.
	Unauth int

	mu    sync.Mutex
	ready sync.Cond
	tasks []func()
	held  int // bytes
	stop  bool
	done  chan struct{}
}

// NewLoop starts a loop with the index 0. outbox bounds what waits for one
// client, in bytes.
func NewLoop(outbox int, accept func(*Conn) Handler, turnEnd func(loop int)) *Loop {
	l := &Loop{accept: accept, turnEnd: turnEnd, outbox: outbox, done: make(chan struct{})}
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
		l.turnEnd(0)
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

// Close ends the loop when it has done what is posted.
func (l *Loop) Close() {
	l.mu.Lock()
	l.stop = true
	l.ready.Signal()
	l.mu.Unlock()
	<-l.done
}

// Loopback is where clients come from unless it is said otherwise.
var Loopback = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 1)

// Dial connects a client.
func (l *Loop) Dial() net.Conn { return l.DialFrom(Loopback) }

// DialFrom connects a client that seems to be elsewhere.
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

	// owned by the loop
	input  []byte
	paused bool

	mu       sync.Mutex
	readable sync.Cond
	outbox   []byte
	socket   []byte // what the client has not read yet
	stuck    bool   // the socket was full
	closing  bool   // nothing more is queued
	closed   bool   // the client sees the end behind socket
	told     bool   // the handler knows
	held     int    // bytes that the handler holds; under the loop's lock
	known    bool   // Authenticated was called; likewise
	deadline time.Time
}

// Queue copies p to the outbox.
func (c *Conn) Queue(p []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closing:
		return ErrClosed
	case len(c.outbox)+len(p) > c.loop.outbox:
		return ErrFull
	}
	c.outbox = append(c.outbox, p...)
	return nil
}

// Flush moves what the socket takes, and reports whether bytes are left: then Drained
// is called when there are none.
func (c *Conn) Flush() (full bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flush()
	return c.stuck
}

func (c *Conn) flush() {
	n := min(len(c.outbox), SocketBuffer-len(c.socket))
	c.socket = append(c.socket, c.outbox[:n]...)
	c.outbox = append(c.outbox[:0], c.outbox[n:]...)
	switch {
	case len(c.outbox) > 0:
		c.stuck = true
	case c.stuck:
		c.stuck = false
		c.Post(c.handler.Drained)
	}
	if c.closing && len(c.outbox) == 0 {
		c.closed = true
	}
	c.readable.Broadcast()
}

// Queued is the number of bytes in the outbox.
func (c *Conn) Queued() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.outbox)
}

// Pause stops reading.
func (c *Conn) Pause() { c.paused = true }

// Resume goes on reading.
func (c *Conn) Resume() {
	c.loop.post(func() {
		c.paused = false
		c.deliver(nil)
	})
}

// Post runs f on the loop.
func (c *Conn) Post(f func(loop int)) { c.loop.post(func() { f(0) }) }

// StartTLS has no meaning in memory.
func (c *Conn) StartTLS(*tls.Config) error { return ErrNoTLS }

// Hold is told how many bytes the handler holds before Authenticated.
func (c *Conn) Hold(n int) bool {
	c.loop.mu.Lock()
	defer c.loop.mu.Unlock()
	switch more := n - c.held; {
	case c.known:
		return true
	case more > 0 && c.loop.Unauth > 0 && c.loop.held+more > c.loop.Unauth:
		return false
	default:
		c.held = n
		c.loop.held += more
		return true
	}
}

// Authenticated ends the counting of what is held.
func (c *Conn) Authenticated() {
	c.Hold(0)
	c.loop.mu.Lock()
	defer c.loop.mu.Unlock()
	c.known = true
}

// Held is how many bytes all connections hold before Authenticated.
func (l *Loop) Held() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held
}

// Close ends the connection when the client has taken what is queued, or at
// once with 0.
func (c *Conn) Close(linger time.Duration) {
	c.mu.Lock()
	c.closing = true
	if linger == 0 {
		c.outbox = nil
		c.closed = true
	}
	c.flush()
	c.mu.Unlock()
	c.tell(nil)
}

// SetDeadline does nothing: nobody is slow in memory.
func (c *Conn) SetDeadline(time.Duration) {}

// RemoteAddr is where the client seems to be.
func (c *Conn) RemoteAddr() netip.AddrPort { return c.remote }

// Secure reports whether TLS is on: never.
func (c *Conn) Secure() bool { return false }

// deliver gives the handler input, as far as it takes it.
func (c *Conn) deliver(p []byte) {
	c.input = append(c.input, p...)
	for len(c.input) > 0 && !c.paused {
		lent := append([]byte(nil), c.input...)
		n := c.handler.Data(0, lent)
		// What was lent is gone: whoever kept it sees rubbish.
		for i := range lent {
			lent[i] = '!'
		}
		c.input = c.input[n:]
		if n == 0 && !c.paused {
			return
		}
	}
}

// tell has the handler told that the connection is gone, once.
func (c *Conn) tell(err error) {
	c.mu.Lock()
	told := c.told
	c.told = true
	c.mu.Unlock()
	if !told {
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
	gone := k.c.closed || k.c.told
	k.c.mu.Unlock()
	if gone {
		return 0, io.ErrClosedPipe
	}
	b := append([]byte(nil), p...)
	k.c.loop.post(func() { k.c.deliver(b) })
	return len(p), nil
}

// Close drops the connection, as a client does whose network is gone.
func (k *client) Close() error {
	c := k.c
	c.mu.Lock()
	c.closing, c.closed = true, true
	c.outbox, c.socket = nil, nil
	c.readable.Broadcast()
	c.mu.Unlock()
	c.tell(io.ErrUnexpectedEOF)
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
