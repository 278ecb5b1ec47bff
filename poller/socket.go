//go:build linux

package poller

import (
	"crypto/tls"
	"crypto/x509"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/bytebufferpool"

	"roost/poller/epoll"
)

// Socket is a connected socket that belongs to no connection: Conn.Unplug has taken it from a
// connection, so that Conn.Plug can give it to another one. It has everything that belongs to
// the peer rather than to the handler: the descriptor, the record layers, what is queued and
// what is unread, and the peer's place in the limits. It must be passed to Plug or closed, once.
type Socket struct {
	p       *Poller
	fd      int
	layer   recordLayer
	out     *bytebufferpool.ByteBuffer // nil: nothing is queued
	unread  *bytebufferpool.ByteBuffer // nil: nothing is unread
	peer    atomic.Uint32              // see Conn.peer
	proxied bool                       // the peer's address is in Poller.proxied
	last    bool                       // unread ends a message
}

// Unplug takes away the connection's socket, which stays open. The connection is closed
// then, but Closed is not called. Unplug returns nil if the connection is closed already,
// is closing, or is in a TLS handshake. It must be called on the loop, and not from within
// Data; what Data does not consume is unread in the socket. The memory of a peer that has not
// authenticated stays counted.
func (c *Conn) Unplug() (socket interface{ Close(linger time.Duration) }) {
	if c.state != stateOpen {
		return nil
	}
	c.paused = true
	x := &Socket{p: c.loop.p, unread: c.loop.takeUnread(c), last: c.marks&markLast != 0}
	x.p.unauth.unplug(c, x)
	c.mu.Lock()
	c.forget()
	if c.full {
		c.loop.counts.backlog.Add(-int64(len(c.out.B)))
	}
	x.fd, x.layer, x.out, x.proxied = int(c.fd), c.layer, c.out, c.proxied
	c.fd, c.layer, c.out, c.proxied = -1, (*plain)(c), nil, false
	c.full, c.state = false, stateClosed
	c.mu.Unlock()
	c.stall = 0
	c.leavePoll()
	x.p.sockets.add(x)
	return x
}

// Plug returns a new connection, a *Conn, with a socket that Unplug has taken from any
// connection of the same poller, for a handler, which must be a Handler. c must be closed. The
// new connection takes over from c what belongs to the handler rather than to the peer: the
// loop, the deadline, and whether the outbox is reserved. Reading is paused until Resume. After
// an error the socket is closed. Plug must be called on the loop.
//
// What was posted because of an earlier socket of the handler concerns its earlier connection,
// which stays closed.
func (c *Conn) Plug(socket interface{ Close(linger time.Duration) }, handler any) (conn any, err error) {
	n, err := c.plug(socket.(*Socket), handler.(Handler))
	if err != nil {
		return nil, err // not an interface that holds nil
	}
	return n, nil
}

func (c *Conn) plug(x *Socket, h Handler) (*Conn, error) {
	if c.state != stateClosed {
		panic("poller: BUG: Plug of a connection that is open")
	}
	if !x.p.sockets.remove(x) {
		panic("poller: BUG: the socket was used before")
	}
	if c.loop.ending {
		x.discard()
		return nil, ErrClosed
	}
	n := &Conn{loop: c.loop, fd: int32(x.fd), handler: h, paused: true, reserved: c.isReserved(), proxied: x.proxied, out: x.out}
	n.layer = x.layer.moveTo(n)
	x.p.unauth.plug(x, n)
	if x.last {
		n.marks |= markLast
	}
	if x.unread != nil {
		n.loop.keepUnread(n, x.unread)
	}
	if n.deadline = c.deadline; n.deadline != 0 {
		n.addTimed()
	}
	if err := n.register(); err != nil {
		n.loop.post(n, func(int) { n.destroy(err) })
		return n, nil // Closed will be called
	}
	n.Flush()
	return n, nil
}

func (c *Conn) isReserved() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reserved
}

// Vacant returns a connection, a *Conn, of the same loop that is closed, and reserved as after
// Reserve. A handler that waits for another socket (see Plug) keeps it instead of its own, so
// that waiting costs no memory: all of the loop's handlers that begin to wait in the same
// minute get the same one. That time is its LastRead. Vacant must be called on the loop.
func (c *Conn) Vacant() any {
	l := c.loop
	v := l.vacant.Load()
	if l.now-v.lastRead.Load() >= vacantSeconds {
		v = newVacant(l)
		l.vacant.Store(v)
	}
	return v
}

// vacantSeconds is how long a loop uses the same vacant connection.
const vacantSeconds = 60

// newVacant returns a connection that never has a socket. Its methods change nothing, so
// handlers can share it.
func newVacant(l *loop) *Conn {
	c := &Conn{loop: l, fd: -1, state: stateClosed, paused: true, reserved: true}
	c.layer = (*plain)(c)
	c.lastRead.Store(l.now)
	return c
}

// Vacant returns what Conn.Vacant does, of the next loop, for handlers that have no connection
// yet. Any goroutine may call it.
func (p *Poller) Vacant() *Conn { return p.nextLoop().vacant.Load() }

// Close sends what is queued and closes the socket as Conn.Close does. Any goroutine may
// call it.
func (x *Socket) Close(linger time.Duration) {
	v := x.p.Vacant()
	v.Post(func(int) {
		if c, err := v.plug(x, ignore{}); err == nil {
			c.Close(linger)
		}
	})
}

// discard closes the socket at once.
func (x *Socket) discard() {
	_ = x.layer.free()
	if x.out != nil {
		outboxes.Put(x.out)
	}
	if x.unread != nil {
		inputPool.Put(x.unread)
	}
	if x.proxied {
		x.p.proxied.remove(x.fd)
	}
	_ = epoll.Close(x.fd)
	x.p.addrs.release(x.p.unauth.leave(&x.peer))
}

// ignore is the handler of a connection that only closes a socket.
type ignore struct{}

func (ignore) Data(_ int, p []byte) int                             { return len(p) }
func (ignore) KeepAlive([]byte) bool                                { return false }
func (ignore) Secured(int, *tls.ConnectionState, *x509.Certificate) {}
func (ignore) Drained(int)                                          {}
func (ignore) Expired(int, error)                                   {}
func (ignore) Closed(int, error)                                    {}

// sockets are those that belong to no connection at the moment.
type sockets struct {
	mu  sync.Mutex
	all map[*Socket]struct{}
}

func (s *sockets) add(x *Socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = make(map[*Socket]struct{})
	}
	s.all[x] = struct{}{}
}

// remove reports whether x was there.
func (s *sockets) remove(x *Socket) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.all[x]
	delete(s.all, x)
	return ok
}

// close closes the sockets that are on their way when the poller ends: what was posted to
// take them has not run.
func (s *sockets) close() {
	s.mu.Lock()
	all := s.all
	s.all = nil
	s.mu.Unlock()
	for x := range all {
		x.discard()
	}
}
