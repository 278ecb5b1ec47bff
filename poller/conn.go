//go:build linux

package poller

import (
	"crypto/tls"
	"errors"
	"io"
	"net/netip"
	"sync"
	"time"

	"github.com/cloudwego/netpoll"
	"github.com/valyala/bytebufferpool"
	"golang.org/x/sys/unix"
)

// Conn is one connection. While it is idle it owns this struct, netpoll's
// operator and two small closures, and nothing else.
type Conn struct {
	// immutable
	loop *loop
	peer peerIndex // its peer's place in the limits

	// loop
	slot     int32
	handler  Handler
	op       *netpoll.FDOperator
	seen     uint32 // when something was read, in the loop's seconds
	deadline uint32 // 0: none
	stall    uint32 // when a TLS record that has begun must be whole; 0: none has
	paused   bool
	urgent   bool // on the loop's list of deadlines
	hup      bool // netpoll has seen a hang-up and forgotten the descriptor
	dead     bool // Closed was called

	fd    int32 // under mu; -1 when closed
	mu    sync.Mutex
	watch watch // what the poll looks for
	armed bool  // waits for the socket to take bytes
	full  bool  // the socket did not take everything
	end   ending
	out   *bytebufferpool.ByteBuffer // nil: nothing is queued
	rec   record                     // nil: plain
}

// ending is how far the end of our side has come.
type ending uint8

const (
	endOpen     ending = iota
	endClosing         // nothing more may be queued
	endShutDown        // … and our side of the socket is shut down
)

// watch is what a connection's descriptor is registered for with the poll.
type watch uint8

const (
	watchNothing watch = iota // not registered
	watchRead                 // and for writing too while armed
	watchWrite                // for writing only: reading is paused
)

// record is a record layer: what stands between the bytes of the socket and
// those of the handler.
type record interface {
	// open is given bytes from the socket and hands plain ones on to
	// Conn.deliver. Loop.
	open(p []byte) error
	// resume goes on after a pause. Loop.
	resume() error
	// seal seals p into the outbox. Any goroutine.
	seal(p []byte) error
	// eof is told that the peer closed; it returns the error of an end that
	// is not a proper one. Loop.
	eof() error
	// closeWrite seals the last record into the outbox. Loop.
	closeWrite()
	// free gives back what the layer holds. Loop.
	free()
}

// register adds the connection to its loop and begins to read. Loop.
func (c *Conn) register() error {
	op := c.loop.poll.Alloc()
	op.FD = int(c.fd)
	op.OnRead, op.OnHup = c.readable, c.hungUp // OnWrite: see arm
	c.op = op
	c.seen = c.loop.now
	c.loop.adopt(c)
	c.loop.p.stats.conns.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watch = watchRead
	return c.loop.poll.Control(op, netpoll.PollReadable)
}

// maxReads is how often one connection may fill the read buffer before others
// get their turn; the event comes again for what is left.
const maxReads = 4

// readable is called when there is something to read. Loop.
func (c *Conn) readable(netpoll.Poll) error {
	if c.paused {
		// The event would come for ever: forget the descriptor until Resume.
		c.unregister()
		return nil
	}
	c.read(maxReads)
	return nil
}

func (c *Conn) unregister() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget()
	if c.full {
		c.arm()
	}
}

// forget takes the descriptor out of the poll. Under mu.
func (c *Conn) forget() {
	if c.watch != watchNothing {
		c.watch, c.armed = watchNothing, false
		_ = c.loop.poll.Control(c.op, netpoll.PollDetach)
	}
}

// watchWrite waits for a socket that was full to take bytes, also while reading
// is paused. Loop, and not from within a callback of the operator.
func (c *Conn) watchWrite() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 || c.hup || !c.full {
		return
	}
	c.op.OnWrite = c.writable
	if c.watch != watchNothing {
		c.arm()
		return
	}
	c.watch = watchWrite
	c.armed = c.loop.poll.Control(c.op, netpoll.PollWritable) == nil
}

// hungUp is called by netpoll on a goroutine of its own when it has seen a
// hang-up and forgotten the descriptor. There may still be bytes to read.
func (c *Conn) hungUp(netpoll.Poll) error {
	c.loop.post(c, func(int) {
		c.mu.Lock()
		c.watch, c.armed = watchNothing, false
		c.mu.Unlock()
		c.hup = true
		if !c.paused {
			c.readAll()
		}
	})
	return nil
}

// read reads at most max times into the loop's buffer. It reports whether the
// socket is empty for now. Loop.
func (c *Conn) read(max int) (empty bool) {
	for ; max > 0 && !c.paused && !c.dead; max-- {
		n, err := unix.Read(int(c.fd), c.loop.buf)
		c.loop.p.stats.reads.Add(1)
		switch {
		case n > 0:
			c.seen = c.loop.now
			c.input(c.loop.buf[:n])
			if n < len(c.loop.buf) && !c.hup {
				return true
			}
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return true
		case n == 0 && err == nil:
			c.peerClosed()
			return true
		default:
			c.loop.post(c, func(int) { c.shut(err) })
			c.paused = true
			return true
		}
	}
	return false
}

// readAll reads what a peer sent before it hung up. A peer that goes on and on
// gets its turns between others'. Loop.
func (c *Conn) readAll() {
	if !c.read(maxReads) && !c.paused && !c.dead {
		c.loop.post(c, func(int) { c.readAll() })
	}
}

// input takes bytes from the socket through the record layer. Loop.
func (c *Conn) input(p []byte) {
	if c.lingering() {
		return // nobody reads this any more
	}
	if c.rec == nil {
		c.deliver(p)
		return
	}
	if err := c.rec.open(p); err != nil {
		c.fail(err)
	}
}

// fail ends the connection from within a callback, where it cannot be freed.
func (c *Conn) fail(err error) {
	c.paused = true
	c.Flush() // an alert may wait
	c.loop.post(c, func(int) { c.shut(err) })
}

// deliver gives plain bytes to the handler and keeps what it does not use.
// Loop.
func (c *Conn) deliver(p []byte) {
	n := 0
	if !c.paused {
		n = c.handler.Data(c.loop.index, p)
	}
	if n < len(p) && !c.dead && !c.lingering() {
		c.loop.keep(c, p[n:])
	}
}

// peerClosed is the end of what the peer sends. Loop.
func (c *Conn) peerClosed() {
	err := io.EOF
	if c.rec != nil && !c.lingering() {
		switch e := c.rec.eof(); {
		case e == errLater:
			c.paused = true
			return
		case e != nil:
			err = e
		}
	}
	if c.lingering() {
		err = nil
	}
	c.paused = true
	c.loop.post(c, func(int) { c.finish(err) })
}

// errLater is the answer of a record layer that is not ready for the end: it
// resumes reading when it is, and meets the end again.
var errLater = errors.New("poller: BUG: the end was not waited for")

// finish ends a connection whose peer has closed its side, when the peer has
// taken what is queued: it may still be reading. The sweep looks after it,
// because netpoll has forgotten its descriptor. Loop.
func (c *Conn) finish(err error) {
	if c.rec != nil && !c.dead {
		// RFC 8446 section 6.1: "Each party MUST send a "close_notify" alert
		// before closing its write side of the connection".
		c.rec.closeWrite()
	}
	c.Flush()
	if c.dead || c.Queued() == 0 || c.lingering() {
		c.shut(err)
		return
	}
	c.mu.Lock()
	c.stopQueueing()
	c.mu.Unlock()
	c.setDeadline(halfClosed)
}

// halfClosed is how long a peer that has closed its side may take to read the
// rest.
const halfClosed = 10 * time.Second

// Pause stops reading, until Resume. Loop.
func (c *Conn) Pause() { c.paused = true }

// Resume goes on reading, with what the handler has not used first.
func (c *Conn) Resume() {
	c.loop.post(c, func(int) { c.resume() })
}

func (c *Conn) resume() {
	if c.dead || !c.paused {
		return
	}
	c.paused = false
	if rest := c.loop.take(c); rest != nil {
		c.deliver(rest.B)
		remainders.Put(rest)
	}
	c.stall = 0 // the time while nothing was read does not count
	if c.rec != nil && !c.paused && !c.lingering() {
		if err := c.rec.resume(); err != nil {
			c.fail(err)
			return
		}
	}
	switch {
	case c.paused || c.dead:
	case c.hup:
		c.readAll()
	default:
		c.reregister()
	}
}

// reregister begins to wait for events again, after a pause that met one. Loop,
// and not from within a callback of the operator.
func (c *Conn) reregister() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watch == watchRead || c.fd < 0 {
		return
	}
	c.forget()
	c.watch = watchRead
	_ = c.loop.poll.Control(c.op, netpoll.PollReadable)
	if c.full {
		c.arm()
	}
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
	return c.rec != nil
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

// SetDeadline closes the connection with ErrDeadline when it is still there
// then, to the second; 0 takes that back.
func (c *Conn) SetDeadline(after time.Duration) {
	c.loop.post(c, func(int) { c.setDeadline(after) })
}

func (c *Conn) setDeadline(after time.Duration) {
	c.deadline = 0
	if after <= 0 || c.dead {
		return
	}
	c.deadline = c.loop.now + uint32((after+time.Second-1)/time.Second)
	c.watchTime()
}

// watchTime puts the connection on the loop's list of deadlines.
func (c *Conn) watchTime() {
	if !c.urgent {
		c.urgent = true
		c.loop.urgent = append(c.loop.urgent, c)
	}
}

// begun notes that a TLS record has begun that is not whole, if that is new.
// Loop.
func (c *Conn) begun() {
	if c.stall == 0 {
		c.stall = c.loop.now + uint32((c.loop.p.cfg.RecordTimeout+time.Second-1)/time.Second)
		c.watchTime()
	}
}

// due is asked every second of a connection with a deadline; it answers whether
// to ask again. Loop.
func (c *Conn) due(now uint32) bool {
	if c.dead || c.deadline == 0 && c.stall == 0 {
		c.urgent = false
		return false
	}
	if c.stall != 0 && now > c.stall && !c.paused {
		c.urgent = false
		c.shut(ErrStalled)
		return false
	}
	if c.deadline == 0 || now <= c.deadline {
		if c.hup {
			c.Flush() // nobody else looks after a hung-up socket's outbox
			if c.Queued() == 0 && c.lingering() && !c.isShutDown() {
				c.shut(io.EOF)
			}
		}
		return true
	}
	c.urgent = false
	if c.lingering() {
		c.shut(nil)
	} else {
		c.shut(ErrDeadline)
	}
	return false
}

// Close flushes what is queued, closes our side, and waits at most linger for
// the peer to close theirs; with 0 the connection is cut off at once. Nothing
// is delivered any more, nothing can be queued.
func (c *Conn) Close(linger time.Duration) {
	c.loop.post(c, func(int) {
		if c.dead {
			return
		}
		if linger <= 0 {
			c.shut(nil)
			return
		}
		if c.lingering() {
			return
		}
		if c.rec != nil {
			c.rec.closeWrite()
		}
		c.mu.Lock()
		c.stopQueueing()
		c.mu.Unlock()
		c.setDeadline(linger)
		c.dropRest()
		c.Flush()
		if c.Queued() == 0 {
			c.closeWrite()
		}
		c.paused = true
		c.resume()
	})
}

// lingering reports whether Close was called. Loop.
func (c *Conn) lingering() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.end != endOpen
}

// stopQueueing refuses what others want to queue from now on. Under mu.
func (c *Conn) stopQueueing() { c.end = max(c.end, endClosing) }

func (c *Conn) isShutDown() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.end == endShutDown
}

// closeWrite shuts down our side of the socket. Loop.
func (c *Conn) closeWrite() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end != endShutDown && c.fd >= 0 {
		c.end = endShutDown
		_ = unix.Shutdown(int(c.fd), unix.SHUT_WR)
	}
}

func (c *Conn) dropRest() {
	if rest := c.loop.take(c); rest != nil {
		remainders.Put(rest)
	}
}

// shut ends the connection: the last thing that happens to it. Loop, and not
// from within a callback of the operator.
func (c *Conn) shut(err error) {
	if c.dead {
		return
	}
	c.dead = true
	c.paused = true
	c.mu.Lock()
	c.forget()
	if c.out != nil {
		outboxes.Put(c.out)
		c.out = nil
	}
	fd := c.fd
	c.fd = -1
	c.stopQueueing()
	c.mu.Unlock()
	c.dropRest()
	if c.rec != nil {
		c.rec.free()
	}
	_ = unix.Close(int(fd))
	c.loop.poll.Free(c.op)
	c.op = nil
	c.loop.drop(c)
	c.loop.p.addrs.release(c.peer)
	c.loop.p.stats.conns.Add(-1)
	c.handler.Closed(c.loop.index, err)
}

// StartTLS makes the connection's next byte the first of a TLS handshake. It is
// to be called from within Data, after the last byte of the clear stream was
// used; what is queued goes out in clear before it. Secured is called when the
// handshake is done.
func (c *Conn) StartTLS(cfg *tls.Config) error { return c.startTLS(cfg, newStdTLS) }

// StartClientTLS is StartTLS for the side that begins the handshake. It is to
// be called on the loop.
func (c *Conn) StartClientTLS(cfg *tls.Config) error { return c.startTLS(cfg, newClientTLS) }

func (c *Conn) startTLS(cfg *tls.Config, layer func(*Conn, *tls.Config) *stdTLS) error {
	if c.loop.rests[c] != nil {
		return ErrPipelined
	}
	if c.rec != nil {
		return errors.New("poller: TLS is on already")
	}
	c.Flush()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rec = layer(c, cfg)
	return nil
}
