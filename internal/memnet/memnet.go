// Package memnet is a network in memory that behaves like package poller: it has one loop,
// an outbox with a limit in bytes, clients that may stop reading, and reading that can be
// paused. It serves to test the packages above the poller without sockets.
package memnet

import (
	"errors"
	"net"
	"net/netip"
	"sync"
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
	l.vacant = &Conn{loop: l, paused: true, reserved: true, authenticated: true}
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

// Held returns how many bytes all connections hold before Authenticated.
func (l *Loop) Held() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held
}

// Vacant is Conn.Vacant for handlers that have no connection yet.
func (l *Loop) Vacant() *Conn { return l.vacant }
