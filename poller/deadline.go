//go:build linux

package poller

import (
	"time"
)

// This file ends connections when a time limit has passed: deadlines set by handlers,
// incomplete TLS records, and outboxes of half-closed connections. Only connections with
// one of these are checked every second.

// SetDeadline makes the connection end with ErrDeadline (see Handler.Expired) after the
// given time, rounded up to whole seconds; 0 removes the deadline.
func (c *Conn) SetDeadline(after time.Duration) {
	c.loop.post(c, func(int) { c.setDeadline(after) })
}

func (c *Conn) setDeadline(after time.Duration) {
	c.deadline = 0
	if after <= 0 || c.closed() {
		return
	}
	c.deadline = c.loop.now + uint32((after+time.Second-1)/time.Second)
	c.addTimed()
}

// expire lets the handler tell the peer why the connection ends. During a TLS handshake
// nothing can be sent: then the connection is closed at once, whatever the handler does,
// which frees the handshake's memory. Loop, and not from within a callback of the
// operator.
func (c *Conn) expire(err error) {
	c.deadline = 0
	c.handler.Expired(c.loop.index, err)
	handshake := c.state == stateHandshaking
	c.loop.post(c, func(int) { // after what a Close has posted
		if handshake || !c.closing() {
			c.destroy(err)
		}
	})
}

// addTimed puts the connection on the loop's list of deadlines.
func (c *Conn) addTimed() {
	if c.marks&markTimed == 0 {
		c.marks |= markTimed
		c.loop.timed = append(c.loop.timed, c)
	}
}

// recordBegun starts the time limit for a TLS record that is not complete, unless it is
// running already. Loop.
func (c *Conn) recordBegun() {
	if c.stall == 0 {
		c.stall = c.loop.now + uint32((c.loop.p.config().RecordTimeout+time.Second-1)/time.Second)
		c.addTimed()
	}
}

// due is called every second for a connection that is timed. It reports whether to call
// it again. Loop.
func (c *Conn) due(now uint32) (again bool) {
	waits := c.flushHungUp()
	switch {
	case c.closed():
	case c.stall != 0 && now > c.stall && !c.paused:
		c.destroy(ErrStalled)
	case c.deadline != 0 && now > c.deadline && c.closing():
		c.destroy(nil)
	case c.deadline != 0 && now > c.deadline:
		c.expire(ErrDeadline)
	case c.deadline != 0, c.stall != 0, waits:
		return true
	}
	c.marks &^= markTimed
	return false
}

// flushHungUp writes to a peer that has closed its side and may still read: netpoll has
// removed its descriptor, so no event comes for its outbox. It reports whether bytes
// remain. Loop.
func (c *Conn) flushHungUp() bool {
	if c.marks&markHungUp == 0 || c.closed() {
		return false
	}
	c.Flush()
	if c.Queued() > 0 {
		return true
	}
	if c.closing() && c.state != stateShutDown {
		c.destroy(c.properEnd()) // an improper end of TLS is reported even after the outbox is sent
	}
	return false
}
