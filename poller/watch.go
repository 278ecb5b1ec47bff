//go:build linux

package poller

// This file registers a connection's descriptor with the poll: it is removed while
// reading is paused, and watched for writing while the socket is full.

// watch says for which events a connection's descriptor is registered with the poll.
type watch uint8

const (
	watchNothing watch = iota // not registered
	watchRead                 // for reading, and for writing too while armed
	watchWrite                // for writing only: reading is paused
)

func (c *Conn) unregister() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget()
	if c.full {
		c.arm()
	}
}

// forget removes the descriptor from the poll. Under mu.
func (c *Conn) forget() {
	if c.watch != watchNothing {
		c.watch, c.armed = watchNothing, false
		_ = c.loop.poll.Unwatch(&c.op)
	}
}

// watchWrite waits for a full socket to become writable, even while reading is paused.
// Loop, and not from within a callback of the operator.
func (c *Conn) watchWrite() {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.fd < 0 || !c.full:
		return
	case c.marks&markHungUp != 0:
		c.addTimed()
		return
	}
	c.op.OnWrite = c.writable
	if c.watch != watchNothing {
		c.arm()
		return
	}
	c.watch = watchWrite
	err := c.loop.poll.WatchWrite(&c.op)
	c.armed = err == nil
	c.unwatched(err)
}

// unwatched ends the connection if the poll cannot watch its descriptor, because of err: the
// kernel limits the number of watches, and nothing would be heard of the peer again. Under mu.
func (c *Conn) unwatched(err error) {
	if err != nil {
		c.watch = watchNothing
		c.loop.post(c, func(int) { c.destroy(err) })
	}
}

// Pause stops reading until Resume. Loop.
func (c *Conn) Pause() { c.paused = true }

// Resume resumes reading, after passing the handler the bytes that it has not consumed.
func (c *Conn) Resume() {
	c.loop.post(c, func(int) { c.resume() })
}

func (c *Conn) resume() {
	if c.closed() || !c.paused {
		return
	}
	c.paused = false
	if unread := c.loop.unstash(c); unread != nil {
		c.deliverUnread(unread.B)
		inputPool.Put(unread)
	}
	c.stall = 0 // the time of the pause does not count
	if !c.paused && !c.closing() {
		if err := c.resumeLayers(); err != nil {
			c.destroyLater(err)
			return
		}
	}
	switch {
	case c.paused || c.closed():
	case c.marks&markHungUp != 0:
		c.readAll()
	default:
		c.reregister()
	}
}

// reregister registers the descriptor again if it was removed during a pause. Loop, and
// not from within a callback of the operator.
func (c *Conn) reregister() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watch == watchRead || c.fd < 0 {
		return
	}
	c.forget()
	c.watch = watchRead
	c.unwatched(c.loop.poll.WatchRead(&c.op))
	if c.full {
		c.arm()
	}
}
