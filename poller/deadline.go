//go:build linux

package poller

import (
	"io"
	"time"
)

// When a connection ends for the time that has passed: deadlines that handlers
// set, records that do not end, and outboxes that nobody else looks after. Only
// connections with one of these are looked at every second.

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
