//go:build linux

package poller

import (
	"time"
)

// When a connection ends for the time that has passed: deadlines that handlers
// set, records that do not end, and outboxes of half-closed connections. Only
// connections with one of these are looked at every second.

// SetDeadline ends the connection with ErrDeadline when it is still there then,
// to the second (Handler.Expired); 0 takes that back.
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

// expire lets the handler say why the connection ends. During a TLS handshake nothing
// can be said: then it is cut off, whatever the handler does, and what the handshake
// holds is free. Loop, and not from within a callback of the operator.
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
	if !c.timed {
		c.timed = true
		c.loop.timed = append(c.loop.timed, c)
	}
}

// recordBegun notes that a TLS record has begun that is not whole, if that is new.
// Loop.
func (c *Conn) recordBegun() {
	if c.stall == 0 {
		c.stall = c.loop.now + uint32((c.loop.p.cfg.RecordTimeout+time.Second-1)/time.Second)
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
	c.timed = false
	return false
}

// flushHungUp writes to a peer that has closed its side and may still read:
// netpoll has removed its descriptor, so no event comes for its outbox.
// It reports whether something is left. Loop.
func (c *Conn) flushHungUp() bool {
	if !c.hup || c.closed() {
		return false
	}
	c.Flush()
	if c.Queued() > 0 {
		return true
	}
	if c.closing() && c.state != stateShutDown {
		c.destroy(c.endOfInput()) // improper where it was, however much waited
	}
	return false
}
