//go:build linux

package poller

import (
	"crypto/tls"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/valyala/bytebufferpool"
	"golang.org/x/sys/unix"

	"roost/poller/epoll"
)

// Conn is one connection. While it is idle it owns this struct, netpoll's
// operator and two small closures, and nothing else.
type Conn struct {
	// immutable
	loop *loop

	peer atomic.Uint32 // its peer's place in the limits: a peerIndex, or with unauthFlag an index in unauth

	// loop
	slot     int32
	handler  Handler
	op       *epoll.Operator
	lastRead uint32 // when something was read, in the loop's seconds
	deadline uint32 // 0: none
	stall    uint32 // when a TLS record that has begun must be whole; 0: none has
	paused   bool
	timed    bool // on the loop's list of deadlines
	hup      bool // netpoll has seen a hang-up and forgotten the descriptor

	fd    int32 // under mu; -1 when closed
	mu    sync.Mutex
	watch watch                      // what the poll looks for
	armed bool                       // waits for the socket to take bytes
	full  bool                       // the socket did not take all of the outbox: Drained comes when it has
	state connState                  // changed by the loop, under mu
	out   *bytebufferpool.ByteBuffer // nil: nothing is queued
	layer recordLayer                // the uppermost one; changed by the loop, under mu
}

// newConn returns a connection on the next loop, without TLS.
func (p *Poller) newConn(fd int) *Conn {
	c := &Conn{loop: p.nextLoop(), fd: int32(fd)}
	c.layer = (*plain)(c)
	return c
}

// register adds the connection to its loop and begins to read. Loop.
func (c *Conn) register() error {
	op := c.loop.poll.NewOperator(int(c.fd))
	op.OnRead, op.OnHup = c.readable, c.hungUp // OnWrite: see arm
	c.op = op
	c.lastRead = c.loop.now
	c.loop.add(c)
	c.loop.p.stats.conns.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watch = watchRead
	return c.loop.poll.WatchRead(op)
}

// maxReads is how often one connection may fill the read buffer before others
// get their turn; the event comes again for what is left.
const maxReads = 4

// readable is called when there is something to read. Loop.
func (c *Conn) readable(epoll.Source) error {
	if c.paused {
		// The event would come for ever: forget the descriptor until Resume.
		c.unregister()
		return nil
	}
	c.read(maxReads)
	return nil
}

// hungUp is called by netpoll on a goroutine of its own when it has seen a
// hang-up and forgotten the descriptor. There may still be bytes to read.
func (c *Conn) hungUp(epoll.Source) error {
	c.loop.post(c, func(int) {
		c.mu.Lock()
		c.watch, c.armed = watchNothing, false
		full := c.full
		c.mu.Unlock()
		c.hup = true
		if full && !c.closed() {
			c.addTimed()
		}
		if !c.paused {
			c.readAll()
		}
	})
	return nil
}

// read reads at most max times into the loop's buffer. It reports whether the
// socket is empty for now. Loop.
func (c *Conn) read(max int) (empty bool) {
	for ; max > 0 && !c.paused && !c.closed(); max-- {
		buf := c.readBuffer()
		n, err := epoll.Read(c.fd, buf)
		c.loop.p.stats.reads.Add(1)
		switch {
		case n > 0:
			c.lastRead = c.loop.now
			c.input(buf[:n])
			if n < len(buf) && !c.hup {
				return true
			}
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return true
		case n == 0 && err == nil:
			c.peerClosed()
			return true
		default:
			c.loop.post(c, func(int) { c.destroy(err) })
			c.paused = true
			return true
		}
	}
	return false
}

// readBuffer is where the next bytes of the socket go. Loop.
func (c *Conn) readBuffer() []byte {
	buf := c.loop.buf
	if c.state == stateHandshaking {
		return buf[:min(len(buf), earlyRead)]
	}
	if c.unauth() {
		return buf[:min(len(buf), unauthRead)]
	}
	return buf
}

// readAll reads what a peer sent before it hung up. A peer that goes on and on
// gets its turns between others'. Loop.
func (c *Conn) readAll() {
	if !c.read(maxReads) && !c.paused && !c.closed() {
		c.loop.post(c, func(int) { c.readAll() })
	}
}

// deliver gives plain bytes to the handler and keeps what it does not use.
// Loop.
func (c *Conn) deliver(p []byte) {
	n := 0
	if !c.handler.KeepAlive(p) {
		c.loop.lastActive = c.loop.now
	}
	layer := c.layer
	if !c.paused {
		n = c.handler.Data(c.loop.index, p)
	}
	if n == len(p) || c.closing() {
		return
	}
	if c.layer != layer {
		// It came in clear, and would be taken for something that came
		// through TLS.
		c.destroyLater(ErrPipelined)
		return
	}
	c.loop.stash(c, p[n:])
}

// Post runs f on the connection's loop, soon and in order, also when the
// connection is closed.
func (c *Conn) Post(f func(loop int)) { c.loop.post(c, f) }

// Loop is the index of the connection's loop.
func (c *Conn) Loop() int { return c.loop.index }

// Secure reports whether TLS is on.
func (c *Conn) Secure() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.layer.secure()
}

// RemoteAddr is the peer's address, the zero value when the connection is gone.
func (c *Conn) RemoteAddr() netip.AddrPort {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return netip.AddrPort{}
	}
	sa, err := unix.Getpeername(int(c.fd))
	if err != nil {
		return netip.AddrPort{}
	}
	return addrPort(sa)
}

// peerGone reports whether the peer has closed its side, whatever it has sent
// before, or the connection is closed.
func (c *Conn) peerGone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fd < 0 || epoll.HungUp(c.fd)
}

// StartTLS makes the connection's next byte the first of a TLS handshake. It is
// to be called from within Data, after the last byte of the clear stream was
// used; what is queued goes out in clear before it. Secured is called when the
// handshake is done.
func (c *Conn) StartTLS(cfg *tls.Config) error { return c.startTLS(cfg, newStdTLS) }

// StartClientTLS is StartTLS for the side that begins the handshake. It is to
// be called on the loop.
func (c *Conn) StartClientTLS(cfg *tls.Config) error { return c.startTLS(cfg, newClientTLS) }

func (c *Conn) startTLS(cfg *tls.Config, layer func(*Conn, *tls.Config, network) *stdTLS) error {
	if c.loop.unread[c] != nil {
		return ErrPipelined
	}
	if c.layer != recordLayer((*plain)(c)) {
		return errors.New("poller: TLS is on already")
	}
	c.Flush()
	from := shareNetwork(c.RemoteAddr().Addr())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance(stateHandshaking)
	c.layer = c.layer.rebase(layer(c, cfg, from)) // nothing can be queued in clear once its handshake has begun
	return nil
}
