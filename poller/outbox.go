//go:build linux

package poller

import (
	"bytes"

	"github.com/valyala/bytebufferpool"
	"golang.org/x/sys/unix"

	"roost/internal/panics"
	"roost/poller/epoll"
)

// The buffers of outboxes and of input that waits come from pools and go back as soon as they are
// empty: an idle connection has none.
var (
	outboxes  bytebufferpool.Pool
	inputPool bytebufferpool.Pool
)

// buffer returns a buffer for input that has to wait. What is held for a peer that
// has not authenticated is as large as what it has sent; those of the pool are
// as large as others have needed.
func (c *Conn) buffer() *bytebufferpool.ByteBuffer {
	if c.unauth() {
		return new(bytebufferpool.ByteBuffer)
	}
	return inputPool.Get()
}

// largeWriteFactor is how many times the limit of an outbox one write may be that
// finds it empty, unless Config.LargeWrite says otherwise: a large roster is not a
// slow reader.
const largeWriteFactor = 16

// Queue copies p to the outbox, as one message of the record layer; it makes
// no system call. ErrFull means that the peer does not read and nothing was
// taken.
func (c *Conn) Queue(p []byte) error {
	defer panics.Stop() // the lock may be held, and bytes of somebody else's stream half written
	c.mu.Lock()
	err := c.checkSpace(len(p))
	if err == nil {
		if err = c.layer.seal(p); err != nil {
			c.loop.p.unauth.set(c, heldOutbox, c.queued()) // not what checkSpace counted
		}
	}
	c.mu.Unlock()
	return err
}

// checkSpace returns nil if n more bytes fit. Under mu.
func (c *Conn) checkSpace(n int) error {
	queued := c.queued()
	switch {
	case c.state >= stateClosing || c.fd < 0:
		return ErrClosed
	case queued+n > c.mayQueue(queued, n), !c.loop.p.unauth.set(c, heldOutbox, queued+n):
		return ErrFull
	}
	return nil
}

// mayQueue is how many bytes there may be in the outbox after a write of n bytes that
// finds queued in it. A large write need not find it empty: a client that reads on may
// have left some of what came before, and is not slow for that.
func (c *Conn) mayQueue(queued, n int) int {
	limit := c.loop.p.cfg.Outbox
	switch {
	case c.unauth():
		return min(limit, unauthOutbox)
	case queued == 0:
		return c.loop.p.cfg.LargeWrite
	case n > limit, queued > limit: // a large write, or one after it
		return c.loop.p.cfg.LargeWrite + limit
	}
	return limit
}

// append puts p in the outbox. Under mu.
func (c *Conn) append(p []byte) {
	if c.out == nil {
		c.out = outboxes.Get()
	}
	c.out.B = append(c.out.B, p...)
}

func (c *Conn) queued() int {
	if c.out == nil {
		return 0
	}
	return len(c.out.B)
}

// Queued is the number of bytes that wait in the outbox.
func (c *Conn) Queued() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.queued()
}

// Flush writes what is queued, as far as the socket takes it. It reports whether the
// socket is full and bytes are left: then Drained is called when it has taken all of
// them. Without such a report nothing is promised: Queued alone does not tell, since
// what it counts may not have been offered to the socket yet.
func (c *Conn) Flush() (full bool) {
	defer panics.Stop() // the lock may be held, and bytes of somebody else's stream half written
	c.mu.Lock()
	failed := c.flush()
	full = c.full && failed == nil
	c.mu.Unlock()
	if failed != nil {
		c.loop.post(c, func(int) { c.destroy(failed) })
	}
	return full
}

// flush is Flush under mu.
func (c *Conn) flush() (failed error) {
	if c.out == nil || c.fd < 0 || c.armed {
		return nil
	}
	return c.write()
}

// write offers the outbox to the socket. The handler is told, soon, when a socket that
// had been full has taken everything, whoever calls this. Under mu.
func (c *Conn) write() (failed error) {
	for c.out != nil {
		n, err := epoll.Write(c.fd, c.out.B)
		c.loop.p.stats.writes.Add(1)
		switch {
		case n == len(c.out.B):
			// With its length: from that the pool learns what to keep.
			outboxes.Put(c.out)
			c.out = nil
			if c.full {
				c.full = false
				c.loop.post(c, func(loop int) { c.afterDrain(loop) })
			}
			c.loop.p.unauth.set(c, heldOutbox, 0)
		case err == unix.EINTR:
		case err == nil, err == unix.EAGAIN:
			// What is left moves to the front; the socket is full, and a slow
			// peer's copy costs less than a field in every connection.
			c.out.B = c.out.B[:copy(c.out.B, c.out.B[max(n, 0):])]
			if c.unauth() {
				c.fitOutbox()
			}
			c.full = true
			c.arm()
			return nil
		default:
			return err
		}
	}
	return nil
}

// fitOutbox has what waits for a peer that has not authenticated take no more memory
// than it has bytes. Under mu.
func (c *Conn) fitOutbox() {
	fit := &bytebufferpool.ByteBuffer{B: bytes.Clone(c.out.B)}
	outboxes.Put(c.out)
	c.out = fit
	c.loop.p.unauth.set(c, heldOutbox, len(fit.B))
}

// arm asks for an event when the socket takes bytes again. Most sockets are never
// full: what handles that event is made when it is first needed, on the loop.
// Under mu.
func (c *Conn) arm() {
	switch {
	case c.armed:
	case c.watch == watchWrite:
		c.armed = true // edge-triggered: the event comes, since a write has just failed
	case c.watch == watchRead && c.op.OnWrite != nil:
		c.armed = c.loop.poll.AddWrite(c.op) == nil
	default:
		c.loop.post(c, func(int) { c.watchWrite() })
	}
}

// writable is the event that arm asked for. Loop.
func (c *Conn) writable(epoll.Source) error {
	c.mu.Lock()
	failed := c.write()
	if c.out == nil && c.armed {
		c.armed = false
		if c.watch == watchRead {
			_ = c.loop.poll.RemoveWrite(c.op)
		}
	}
	c.mu.Unlock()
	if failed != nil {
		c.loop.post(c, func(int) { c.destroy(failed) })
	}
	return nil
}

// afterDrain goes on with what waited for an empty outbox. Loop.
func (c *Conn) afterDrain(loop int) {
	if c.closed() {
		return
	}
	switch {
	case c.state == stateHalfClosed:
		c.destroy(c.endOfInput())
	case c.closing():
		c.closeWrite()
	default:
		c.handler.Drained(loop)
	}
}
