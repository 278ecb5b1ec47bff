//go:build linux

package poller

import (
	"bytes"

	"github.com/valyala/bytebufferpool"
	"golang.org/x/sys/unix"

	"roost/internal/panics"
	"roost/poller/epoll"
)

// The buffers of outboxes and of unconsumed input come from pools and are returned as
// soon as they are empty: an idle connection has none.
var (
	outboxes  bytebufferpool.Pool
	inputPool bytebufferpool.Pool
)

// buffer returns a buffer for input that has to wait. For a peer that has not
// authenticated it is a new one, only as large as the input; buffers of the pool are as
// large as their earlier users needed.
func (c *Conn) buffer() *bytebufferpool.ByteBuffer {
	if c.unauth() {
		return new(bytebufferpool.ByteBuffer)
	}
	return inputPool.Get()
}

// largeWriteFactor times Config.Outbox is the default limit of one write to an empty
// outbox: a large roster does not mean that the peer reads slowly.
const largeWriteFactor = 16

// Queue copies p to the outbox, as one message of the record layer. It makes no system
// call. ErrFull means that the peer does not read fast enough; then nothing was queued.
func (c *Conn) Queue(p []byte) error { return c.queue(p, false) }

// Reserve leaves the outbox to callers of QueueReserved: once it has returned, Queue fails
// with ErrReserved. So these know what was queued before it, and all that is queued after.
func (c *Conn) Reserve() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reserved = true
}

// QueueReserved is Queue for an outbox that is reserved.
func (c *Conn) QueueReserved(p []byte) error { return c.queue(p, true) }

func (c *Conn) queue(p []byte, reserved bool) error {
	defer panics.Stop() // the lock may be held, and a stream's bytes half written
	c.mu.Lock()
	err := c.mayWrite(len(p), reserved)
	if err == nil {
		err = c.sealed(c.layer.seal(message{body: p}))
	}
	c.mu.Unlock()
	return err
}

// QueueMessages is Queue, or QueueReserved, for several messages that count as one write for
// the limits of the outbox: p contains them one after another, and ends has the offset of
// each one's end. Either all or none are queued.
func (c *Conn) QueueMessages(p []byte, ends []int, reserved bool) error {
	defer panics.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.mayWrite(len(p), reserved)
	begin := 0
	for i := 0; i < len(ends) && err == nil; i++ {
		err = c.layer.seal(message{body: p[begin:ends[i]]})
		begin = ends[i]
	}
	return c.sealed(err)
}

// mayWrite returns nil if n more bytes may be queued. Under mu.
func (c *Conn) mayWrite(n int, reserved bool) error {
	if c.reserved && !reserved {
		return ErrReserved
	}
	return c.checkSpace(n)
}

// sealed is called after a message was sealed, with the error of that: it undoes what
// checkSpace has counted. Under mu.
func (c *Conn) sealed(err error) error {
	if err != nil {
		c.loop.p.unauth.set(c, heldOutbox, c.queued())
	}
	return err
}

// Messages reports whether the peer can tell where each message begins and ends, as over
// WebSocket. Then each Queue is a message, and the handler is a MessageHandler.
func (c *Conn) Messages() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.layer.messages()
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

// mayQueue returns how many bytes the outbox may hold after a write of n bytes when it
// already holds queued bytes. A large write is allowed even if the outbox is not empty: a
// client that reads steadily may still have some earlier bytes to read.
func (c *Conn) mayQueue(queued, n int) int {
	cfg := c.loop.p.config()
	limit, large := cfg.Outbox, cfg.LargeWrite
	switch {
	case c.unauth():
		return min(limit, unauthOutbox)
	case queued == 0:
		return large
	case n > limit, queued > limit: // a large write, or one after it
		return large + limit
	}
	return limit
}

// append appends p to the outbox. Under mu.
func (c *Conn) append(p []byte) {
	if c.out == nil {
		c.out = outboxes.Get()
	}
	queued := len(c.out.B)
	c.out.B = append(c.out.B, p...)
	c.grew(queued)
}

// grew is called after bytes were appended to the outbox, which had queued bytes before.
// Under mu.
func (c *Conn) grew(queued int) {
	if c.full {
		c.loop.counts.backlog.Add(int64(len(c.out.B) - queued))
	}
}

func (c *Conn) queued() int {
	if c.out == nil {
		return 0
	}
	return len(c.out.B)
}

// Queued returns the number of bytes in the outbox.
func (c *Conn) Queued() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.queued()
}

// Unconfirmed returns how many bytes the peer's system has not acknowledged: those in the outbox,
// and those that the socket has accepted. It makes a system call.
func (c *Conn) Unconfirmed() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return 0
	}
	accepted, err := unix.IoctlGetInt(int(c.fd), unix.SIOCOUTQ)
	if err != nil {
		accepted = 0
	}
	return c.queued() + accepted
}

// Flush writes as many queued bytes as the socket accepts. It reports whether the socket
// is full and bytes remain: then Drained is called once the socket has accepted all of
// them. Otherwise Drained may not be called; Queued > 0 does not imply it, because those
// bytes may not have been offered to the socket yet.
func (c *Conn) Flush() (full bool) {
	defer panics.Stop() // the lock may be held, and a stream's bytes half written
	c.mu.Lock()
	failed := c.flush()
	c.writeFailed(failed)
	full = c.full && failed == nil
	c.mu.Unlock()
	return full
}

// flush is Flush under mu.
func (c *Conn) flush() (failed error) {
	if c.out == nil || c.fd < 0 || c.armed {
		return nil
	}
	return c.write()
}

// write writes the outbox to the socket. When a socket that was full has accepted
// everything, the handler's Drained is called soon, whichever goroutine called write.
// Under mu.
func (c *Conn) write() (failed error) {
	for c.out != nil {
		queued := len(c.out.B)
		n, err := epoll.Write(c.fd, c.out.B)
		c.loop.counts.writes.Add(1)
		if n > 0 {
			c.loop.counts.bytesOut.Add(int64(n))
		}
		switch {
		case n == queued:
			// The length is left as it is: the pool calibrates its buffer sizes by it.
			outboxes.Put(c.out)
			c.out = nil
			if c.full {
				c.full = false
				c.loop.counts.backlog.Add(-int64(queued))
				c.loop.post(c, func(loop int) { c.afterDrain(loop) })
			}
			c.loop.p.unauth.set(c, heldOutbox, 0)
		case err == unix.EINTR:
		case err == nil, err == unix.EAGAIN:
			// The remaining bytes move to the front. Copying them for a slow peer costs
			// less than an offset in every connection.
			c.out.B = c.out.B[:copy(c.out.B, c.out.B[max(n, 0):])]
			if c.unauth() {
				c.fitOutbox()
			}
			c.countBacklog(queued)
			c.arm()
			return nil
		default:
			return err
		}
	}
	return nil
}

// countBacklog marks the socket as full and counts what remains in the outbox, which had
// queued bytes before the last write. Under mu.
func (c *Conn) countBacklog(queued int) {
	counted := 0
	if c.full {
		counted = queued
	}
	c.full = true
	c.loop.counts.backlog.Add(int64(len(c.out.B) - counted))
}

// fitOutbox replaces the outbox of a peer that has not authenticated with a copy of
// exactly its size. Under mu.
func (c *Conn) fitOutbox() {
	fit := &bytebufferpool.ByteBuffer{B: bytes.Clone(c.out.B)}
	outboxes.Put(c.out)
	c.out = fit
	c.loop.p.unauth.set(c, heldOutbox, len(fit.B))
}

// arm requests an event for when the socket is writable again. Most sockets are never
// full, so the event's handler is created only when it is first needed, on the loop.
// Under mu.
func (c *Conn) arm() {
	switch {
	case c.armed:
	case c.watch == watchWrite:
		c.armed = true // edge-triggered: the event comes, since a write has just failed
	case c.watch == watchRead && c.op.OnWrite != nil:
		c.armed = c.loop.poll.AddWrite(&c.op) == nil
	default:
		c.loop.post(c, func(int) { c.watchWrite() })
	}
}

// writable handles the event that arm requested. Loop.
func (c *Conn) writable(epoll.Source) error {
	c.mu.Lock()
	c.writeFailed(c.write())
	if c.out == nil && c.armed {
		c.armed = false
		if c.watch == watchRead {
			_ = c.loop.poll.RemoveWrite(&c.op)
		}
	}
	c.mu.Unlock()
	return nil
}

// writeFailed ends the connection if err, of a write, is not nil. Under mu.
func (c *Conn) writeFailed(err error) {
	if err != nil {
		c.loop.post(c, func(int) { c.destroy(err) })
	}
}

// afterDrain continues what waited for an empty outbox. Loop.
func (c *Conn) afterDrain(loop int) {
	if c.closed() {
		return
	}
	switch {
	case c.state == stateHalfClosed:
		c.destroy(c.properEnd())
	case c.closing():
		c.closeWrite()
	default:
		c.handler.Drained(loop)
	}
}
