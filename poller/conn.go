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

// Conn is one connection. While idle it owns only this struct and two small closures.
type Conn struct {
	// immutable
	loop *loop

	peer atomic.Uint32 // the peer's entry in the limits: a peerIndex, or with unauthFlag an index in unauth

	// loop
	slot     int32
	handler  Handler
	lastRead atomic.Uint32 // written by the loop: time of the last read, in the loop's seconds
	deadline uint32        // 0: none
	stall    uint32        // when the TLS record that has begun must be complete; 0: none has begun
	paused   bool
	marks    connMarks

	reserved bool // under mu: see Reserve. Placed here it takes no extra space

	proxied bool // under mu: the peer's address is in Poller.proxied. Placed here it takes no extra space

	fd    int32 // under mu; -1 when closed
	mu    sync.Mutex
	watch watch                      // the events that the poll watches for
	armed bool                       // waiting for the socket to become writable
	full  bool                       // the socket did not accept the whole outbox: Drained is called once it has
	state connState                  // changed by the loop, under mu
	out   *bytebufferpool.ByteBuffer // the outbox; nil: nothing is queued
	layer recordLayer                // the topmost record layer; changed by the loop, under mu

	// op is what the poll knows of the connection. Together they fill a size class of the
	// allocator; and no other object of a session is in that class, so that memory of many
	// connections that have ended is not kept by sessions between them.
	op epoll.Operator
}

// connMarks are what the loop remembers about a connection.
type connMarks uint8

const (
	markTimed  connMarks = 1 << iota // on the loop's list of deadlines
	markHungUp                       // netpoll has seen a hang-up and removed the descriptor
	markLast                         // the stashed input ends a message
	markOurEnd                       // Close was called before the peer's end
)

// newConn returns a connection without TLS on the next loop.
func (p *Poller) newConn(fd int) *Conn {
	c := &Conn{loop: p.nextLoop(), fd: int32(fd)}
	c.layer = (*plain)(c)
	return c
}

// register adds the connection to its loop and starts reading. Loop.
func (c *Conn) register() error {
	c.loop.poll.Init(&c.op, int(c.fd))
	c.op.OnRead, c.op.OnHup = c.readable, c.hungUp // OnWrite: see arm
	c.lastRead.Store(c.loop.now)
	c.loop.add(c)
	c.loop.p.stats.conns.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watch = watchRead
	return c.loop.poll.WatchRead(&c.op)
}

// maxReads limits how often one connection may fill the read buffer before others get
// their turn; the event is repeated for the remaining bytes.
const maxReads = 4

// readable is called when the socket is readable. Loop.
func (c *Conn) readable(epoll.Source) error {
	if c.paused {
		// Reading is level-triggered, so the event would repeat forever: remove the
		// descriptor from the poll until Resume.
		c.unregister()
		return nil
	}
	c.read(maxReads)
	return nil
}

// hungUp is called by netpoll, on a separate goroutine, when it has seen a hang-up and
// removed the descriptor from the poll. There may still be bytes to read.
func (c *Conn) hungUp(epoll.Source) error {
	c.loop.post(c, func(int) {
		if c.closed() {
			return
		}
		c.mu.Lock()
		c.forget() // a Resume since then has registered the descriptor again: netpoll removes it only once
		full := c.full
		c.mu.Unlock()
		c.marks |= markHungUp
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
		c.loop.counts.reads.Add(1)
		switch {
		case n > 0:
			c.loop.counts.bytesIn.Add(int64(n))
			c.sawInput()
			c.input(buf[:n])
			if n < len(buf) && c.marks&markHungUp == 0 {
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

// readBuffer returns the buffer for the next read. Loop.
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

// readAll reads what a peer sent before it hung up. Other connections get their turns
// between batches of reads. Loop.
func (c *Conn) readAll() {
	if !c.read(maxReads) && !c.paused && !c.closed() {
		c.loop.post(c, func(int) { c.readAll() })
	}
}

// deliver passes plain bytes to the handler and stashes those that it does not consume.
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
		// These bytes arrived unencrypted. Delivering them later would make them look as
		// if TLS had protected them.
		c.destroyLater(ErrPipelined)
		return
	}
	c.loop.stash(c, p[n:])
}

// deliverMessage passes p, a part of a message, to the handler, and stashes what it does not
// consume. The connection is not paused. Loop.
func (c *Conn) deliverMessage(p []byte, last bool) {
	c.loop.lastActive = c.loop.now
	n := c.handler.(MessageHandler).Message(c.loop.index, p, last)
	if n == len(p) || c.closing() {
		return
	}
	if last {
		c.marks |= markLast
	}
	c.loop.stash(c, p[n:])
}

// deliverUnread passes stashed input to the handler. Loop.
func (c *Conn) deliverUnread(p []byte) {
	if !c.layer.messages() {
		c.deliver(p)
		return
	}
	last := c.marks&markLast != 0
	c.marks &^= markLast
	c.deliverMessage(p, last)
}

// Post runs f soon on the connection's loop, in the order of the calls, even if the
// connection is closed.
func (c *Conn) Post(f func(loop int)) { c.loop.post(c, f) }

// Loop returns the index of the connection's loop.
func (c *Conn) Loop() int { return c.loop.index }

// Secure reports whether TLS is active.
func (c *Conn) Secure() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.layer.secure()
}

// RemoteAddr returns the peer's address, or the zero value once the connection is closed.
// If the connection came through a proxy, it is that of the client.
func (c *Conn) RemoteAddr() netip.AddrPort {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return netip.AddrPort{}
	}
	if c.proxied {
		return c.loop.p.proxied.get(int(c.fd))
	}
	peer, _ := epoll.Peer(c.fd)
	return peer
}

// takeFD returns the descriptor, which the connection no longer has. Under mu.
func (c *Conn) takeFD() int {
	fd := int(c.fd)
	c.fd = -1
	if c.proxied {
		c.loop.p.proxied.remove(fd)
	}
	return fd
}

// peerGone reports whether the connection is closed or the peer has closed its side, even
// if its last bytes are still unread.
func (c *Conn) peerGone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fd < 0 || epoll.HungUp(c.fd)
}

// StartTLS starts a TLS handshake with the next byte of the connection. It must be called
// from within Data, after the last plain byte has been consumed; queued bytes are sent in
// plain text before the handshake. Secured is called when the handshake has succeeded.
func (c *Conn) StartTLS(cfg *tls.Config) error { return c.startTLS(cfg, newStdTLS) }

// StartClientTLS is StartTLS for the client side of the handshake. It must be called on
// the loop.
func (c *Conn) StartClientTLS(cfg *tls.Config) error { return c.startTLS(cfg, newClientTLS) }

func (c *Conn) startTLS(cfg *tls.Config, layer func(*Conn, *tls.Config, network) *stdTLS) error {
	if c.loop.unread[c] != nil {
		return ErrPipelined
	}
	if c.layer != recordLayer((*plain)(c)) {
		return errors.New("poller: TLS is already active")
	}
	c.Flush()
	from := shareNetwork(c.RemoteAddr().Addr())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance(stateHandshaking)
	c.layer = c.layer.rebase(layer(c, cfg, from)) // from here on nothing can be queued in plain text
	return nil
}
