//go:build linux

package poller

import (
	"crypto/tls"
	"crypto/x509"
	"sync"
	"time"

	"github.com/valyala/bytebufferpool"

	"roost/poller/epoll"
)

// Socket is a connected socket that belongs to no connection: Conn.Unplug has taken it from
// one, for Conn.Plug of another. It has everything that belongs to the peer rather than to
// the handler: the descriptor, the record layers, what is queued and what is unread, and
// the peer's place in the limits. It must be passed to Plug or closed, once.
type Socket struct {
	p       *Poller
	fd      int
	layer   recordLayer
	out     *bytebufferpool.ByteBuffer // nil: nothing is queued
	unread  *bytebufferpool.ByteBuffer // nil: nothing is unread
	peer    peerIndex
	proxied bool // the peer's address is in Poller.proxied
	last    bool // unread ends a message
}

// Unplug takes away the connection's socket, which stays open. The connection is closed
// then, but Closed is not called. Unplug returns nil if the connection is closed already,
// is closing, or is in a TLS handshake. The peer must have authenticated. It must be called
// on the loop, and not from within Data; what Data does not consume is unread in the socket.
func (c *Conn) Unplug() (socket interface{ Close(linger time.Duration) }) {
	if c.state != stateOpen {
		return nil
	}
	c.paused = true
	x := &Socket{p: c.loop.p, unread: c.loop.unstash(c), peer: c.loop.p.unauth.leave(c)}
	x.last = c.marks&markLast != 0
	c.peer.Store(0)
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

// Plug gives the connection, which must be closed, a socket from Unplug of any connection
// of the same poller. Reading is paused until Resume. After an error the socket is closed,
// and the connection remains closed. Plug must be called on the loop.
//
// What was posted for the connection's previous socket must have run before: the caller
// posts the call of Plug after the previous socket is gone.
func (c *Conn) Plug(socket interface{ Close(linger time.Duration) }) error {
	x := socket.(*Socket)
	if c.state != stateClosed {
		panic("poller: BUG: Plug of a connection that is open")
	}
	if !x.p.sockets.remove(x) {
		panic("poller: BUG: the socket was used before")
	}
	if c.loop.ending {
		x.discard()
		return ErrClosed
	}
	c.paused = true
	c.marks = c.marks&markTimed | markPlugged
	if x.last {
		c.marks |= markLast
	}
	c.peer.Store(uint32(x.peer))
	c.mu.Lock()
	c.fd, c.out, c.proxied = int32(x.fd), x.out, x.proxied
	c.layer = x.layer.moveTo(c)
	c.state = stateOpen
	c.mu.Unlock()
	if x.unread != nil {
		c.loop.keepUnread(c, x.unread)
	}
	if c.deadline != 0 {
		c.addTimed()
	}
	if err := c.register(); err != nil {
		c.loop.post(c, func(int) { c.destroy(err) })
		return nil // Closed will be called
	}
	c.Flush()
	return nil
}

// Unplugged makes a connection without a socket, for Plug. accept returns its handler, nil if
// the connection is not needed after all.
func (p *Poller) Unplugged(accept func(*Conn) Handler) {
	c := p.newConn(-1)
	c.state = stateClosed
	c.handler = accept(c)
}

// Close sends what is queued and closes the socket as Conn.Close does. Any goroutine may
// call it.
func (x *Socket) Close(linger time.Duration) {
	c := &Conn{loop: x.p.nextLoop(), fd: -1, state: stateClosed, handler: ignore{}}
	c.layer = (*plain)(c)
	c.loop.post(c, func(int) {
		if c.Plug(x) == nil {
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
	x.p.addrs.release(x.peer)
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
