//go:build linux

package poller

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"roost/poller/epoll"
	"roost/poller/websocket"
)

// This file ends connections: after the peer has closed its side, after Close, and after
// errors.

// destroyLater ends the connection from within a callback, where it cannot be freed.
func (c *Conn) destroyLater(err error) {
	c.paused = true
	c.Flush() // an alert may wait
	c.loop.post(c, func(int) {
		c.drain()
		c.destroy(err)
	})
}

// drain reads and discards received bytes: closing a socket with unread input resets the
// connection, which would destroy an alert in flight. Loop.
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

// peerClosed handles the end of the peer's data. Loop.
func (c *Conn) peerClosed() {
	err := c.properEnd()
	c.paused = true
	if err == errNotYet {
		return
	}
	c.loop.post(c, func(int) { c.halfClose(err) })
}

// properEnd returns what Closed gets when both sides have closed and everything was sent.
// Loop.
func (c *Conn) properEnd() error {
	if c.marks&markOurEnd != 0 {
		return nil
	}
	return c.endOfInput()
}

// errNotYet is returned by a record layer that cannot end yet. It resumes reading once it
// can, and reads the end again.
var errNotYet = errors.New("poller: BUG: EOF during the handshake was not deferred")

// halfClose ends a connection whose peer has closed its side, after the peer, which may
// still be reading, has accepted the queued bytes. The once-a-second check flushes it,
// because netpoll has removed its descriptor. Loop.
func (c *Conn) halfClose(err error) {
	if !c.closed() {
		// RFC 8446 section 6.1 (https://www.rfc-editor.org/rfc/rfc8446#section-6.1):
		// "Each party MUST send a "close_notify" alert before closing its write side of
		// the connection".
		c.layer.closeWrite()
	}
	c.Flush()
	c.mu.Lock()
	was := c.state
	wait := c.queued() > 0 && was < stateShutDown
	if wait {
		c.advance(stateHalfClosed)
	}
	c.mu.Unlock()
	switch {
	case !wait:
		c.destroy(err)
	case was < stateClosing: // otherwise there is a deadline, of Close or because the end is met again
		c.setDeadline(halfClosed)
	}
}

// halfClosed limits how long a peer that has closed its side may take to read the
// remaining bytes.
const halfClosed = 10 * time.Second

// SetCloseCode sets the code of the close frame that Close sends over WebSocket (RFC 6455
// section 7.4.1, https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1) instead of 1000. It
// does nothing without WebSocket, and after the peer has sent a close frame.
func (c *Conn) SetCloseCode(code uint16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ws, ok := c.layer.(*webSocket); ok {
		ws.setCode(code)
	}
}

// Close sends the queued bytes, closes our side, and waits at most linger for the peer to
// close its side; with 0 it closes the connection at once. After Close nothing is
// delivered and nothing can be queued.
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
		c.marks |= markOurEnd
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
		_ = epoll.CloseWrite(c.fd)
	}
}

// dropOutbox discards the queued bytes. Under mu.
func (c *Conn) dropOutbox() {
	if c.out != nil {
		if c.full {
			c.loop.counts.backlog.Add(-int64(len(c.out.B)))
		}
		outboxes.Put(c.out)
		c.out, c.full = nil, false
	}
}

func (c *Conn) dropUnread() {
	if unread := c.loop.unstash(c); unread != nil {
		inputPool.Put(unread)
	}
}

// destroy closes the socket and frees everything that the connection holds. Loop, and not
// from within a callback of the operator.
func (c *Conn) destroy(err error) {
	if c.closed() {
		return
	}
	c.paused = true
	c.mu.Lock()
	c.forget()
	c.dropOutbox()
	fd := c.takeFD()
	c.state = stateClosed
	c.mu.Unlock()
	c.dropUnread()
	unfinished := c.inHandshake()
	if failed := c.layer.free(); failed != nil { // the peer was sent an alert or a close frame, and given time to read it
		err = failed
		_, frames := failed.(*websocket.Error)
		unfinished = unfinished || !frames
	}
	if unfinished {
		c.loop.p.stats.tlsFailed[failureOf(err)].Add(1)
	}
	_ = epoll.Close(fd)
	c.leavePoll()
	c.loop.p.addrs.release(c.loop.p.unauth.leave(&c.peer))
	c.dropLayer()
	c.deadline, c.stall = 0, 0
	c.handler.Closed(c.loop.index, err)
}

// leavePoll undoes register. Loop, and not from within a callback of the operator.
func (c *Conn) leavePoll() {
	c.loop.poll.Free(&c.op)
	c.loop.remove(c)
	c.loop.p.stats.conns.Add(-1)
}

// dropLayer releases the memory of the record layers of a connection that has ended: its
// handler may keep the connection for another socket, see Plug. Loop.
func (c *Conn) dropLayer() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.layer = (*plain)(c)
}
