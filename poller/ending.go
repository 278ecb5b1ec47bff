//go:build linux

package poller

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"roost/poller/epoll"
)

// How a connection ends: the peer's end, ours, and the last thing that happens
// in either case.

// destroyLater ends the connection from within a callback, where it cannot be freed.
func (c *Conn) destroyLater(err error) {
	c.paused = true
	c.Flush() // an alert may wait
	c.loop.post(c, func(int) {
		c.drain()
		c.destroy(err)
	})
}

// drain reads what has come and nobody wants any more: to close a socket with unread
// input resets the connection, and that destroys an alert on its way. Loop.
func (c *Conn) drain() {
	if c.closed() {
		return
	}
	c.closeWrite()
	for range maxReads {
		if n, err := epoll.Read(c.fd, c.loop.buf); n < len(c.loop.buf) && err != unix.EINTR {
			return
		}
	}
}

// peerClosed is the end of what the peer sends. Loop.
func (c *Conn) peerClosed() {
	var err error
	if !c.closing() {
		err = c.endOfInput()
	}
	c.paused = true
	if err == errNotYet {
		return
	}
	c.loop.post(c, func(int) { c.halfClose(err) })
}

// errNotYet is what a record layer returns that cannot end yet: it resumes reading
// when it can, and meets the end again.
var errNotYet = errors.New("poller: BUG: EOF during the handshake was not deferred")

// halfClose ends a connection whose peer has closed its side, when the peer has
// taken what is queued: it may still be reading. The sweep looks after it,
// because netpoll has forgotten its descriptor. Loop.
func (c *Conn) halfClose(err error) {
	if !c.closed() {
		// RFC 8446 section 6.1: "Each party MUST send a "close_notify" alert
		// before closing its write side of the connection".
		c.layer.closeWrite()
	}
	c.Flush()
	c.mu.Lock()
	was := c.state
	wait := c.queued() > 0 && (was < stateClosing || was == stateHalfClosed)
	if wait {
		c.advance(stateHalfClosed)
	}
	c.mu.Unlock()
	switch {
	case !wait:
		c.destroy(err)
	case was < stateClosing: // else the end was met again, by a handler that went on
		c.setDeadline(halfClosed)
	}
}

// halfClosed is how long a peer that has closed its side may take to read the
// rest.
const halfClosed = 10 * time.Second

// Close flushes what is queued, closes our side, and waits at most linger for
// the peer to close theirs; with 0 the connection is cut off at once. Nothing
// is delivered any more, nothing can be queued.
func (c *Conn) Close(linger time.Duration) {
	c.loop.post(c, func(int) {
		if c.closed() {
			return
		}
		if linger <= 0 {
			c.destroy(nil)
			return
		}
		if c.closing() {
			return
		}
		c.layer.closeWrite()
		c.setState(stateClosing)
		c.setDeadline(linger)
		c.dropUnread()
		c.Flush()
		if c.Queued() == 0 {
			c.closeWrite()
		}
		c.paused = true
		c.resume()
	})
}

// closeWrite shuts down our side of the socket. Loop.
func (c *Conn) closeWrite() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state < stateShutDown && c.fd >= 0 {
		c.state = stateShutDown
		_ = unix.Shutdown(int(c.fd), unix.SHUT_WR)
	}
}

// dropOutbox drops what is queued. Under mu.
func (c *Conn) dropOutbox() {
	if c.out != nil {
		outboxes.Put(c.out)
		c.out, c.full = nil, false
	}
}

func (c *Conn) dropUnread() {
	if unread := c.loop.unstash(c); unread != nil {
		inputPool.Put(unread)
	}
}

// destroy ends the connection: the last thing that happens to it. Loop, and not
// from within a callback of the operator.
func (c *Conn) destroy(err error) {
	if c.closed() {
		return
	}
	c.paused = true
	c.mu.Lock()
	c.forget()
	c.dropOutbox()
	fd := c.fd
	c.fd = -1
	c.state = stateClosed
	c.mu.Unlock()
	c.dropUnread()
	if failed := c.layer.free(); failed != nil {
		err = failed // the peer was sent an alert, and given time to read it
	}
	_ = unix.Close(int(fd))
	c.loop.poll.Free(c.op)
	c.op = nil
	c.loop.remove(c)
	c.loop.p.addrs.release(c.loop.p.unauth.leave(c))
	c.loop.p.stats.conns.Add(-1)
	c.handler.Closed(c.loop.index, err)
}
