package router

import (
	"sync"
	"sync/atomic"
	"time"

	"roost/session"
)

// changeClock is a logical clock that tells whether a resource has changed its presence
// since a client became inactive. It advances when a client becomes inactive, if presence
// was held since it last advanced, so a change before that moment has a smaller number than a
// change after it. The rate at which it advances is limited, so that the numbers suffice. A
// change with the same number as the client counts as later: at worst, this sends presence that
// the client already has.
type changeClock struct {
	ticks atomic.Uint32
	used  atomic.Bool // presence was held at this time

	mu    sync.Mutex
	spare int       // how often it may still advance at once
	added time.Time // when spare was last increased
}

const (
	maxSpare   = 512
	spareEvery = 30 * time.Second // 2^19 of these are half a year
)

// periods is the number of times that session.SetInactive takes, without noSince.
const periods = session.MaxSince - 1

// noSince is a time so long ago that every presence counts as changed since.
const noSince = 1

// stamps is the number of different stamps of presence; older changes are not distinguished.
const stamps = 1 << 16

// now returns the time for a client that becomes inactive.
func (c *changeClock) now(at time.Time) uint32 {
	if c.used.Load() {
		c.advance(at)
	}
	return noSince + 1 + c.ticks.Load()%periods
}

func (c *changeClock) advance(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := int(at.Sub(c.added) / spareEvery); n > 0 {
		c.spare, c.added = min(c.spare+n, maxSpare), at
	}
	if c.spare > 0 && c.used.Swap(false) {
		c.spare--
		c.ticks.Add(1)
	}
}

// age returns how long ago a time is: 0 if it is now.
func (c *changeClock) age(since uint32) uint32 { return ageAt(c.ticks.Load(), since) }

// ageAt returns how long before a value of the clock a time is.
func ageAt(now, since uint32) uint32 {
	if since <= noSince {
		return stamps
	}
	return (now%periods + periods - (since - noSince - 1)) % periods
}

// holdPresence defers a broadcast, which appendTo appends, until an inactive client becomes
// active. It returns false if the client has become active. The caller holds the presence lock
// of the sender's account, under which the presence is also sent later.
func (r *Router) holdPresence(t *session.Turn, bc *broadcast, to *session.Session, appendTo func([]byte, string) []byte) bool {
	switch {
	case to == bc.s:
		return false // it has asked for it
	case bc.leaving:
		return holdStanza(t, to, bc.address(), unavailableFrom, appendTo(nil, to.BareJID()))
	case !r.holdChange(to):
		return false
	}
	// After holdChange: not before the client became inactive.
	if bc.s != nil {
		bc.s.SetPresenceStamp(uint16(r.changesSeen.ticks.Load()))
	} else {
		r.elsewhere.note(&r.changesSeen, bc.from.BareString())
	}
	dropHeld(to, bc.address(), unavailableFrom)
	return true
}

// holdChange records that presence has changed which an inactive client gets when it becomes
// active. It returns false if the client has become active.
func (r *Router) holdChange(to *session.Session) bool {
	since := to.SetHeld()
	if since == 0 {
		return false
	}
	c := &r.changesSeen
	if c.age(since) >= stamps {
		to.ReplaceSince(since, noSince)
	}
	if !c.used.Load() {
		c.used.Store(true)
	}
	return true
}

// unchanged reports whether a resource has the presence that it had when the client became
// inactive. The caller holds the presence lock of its account.
func (f *pendingPresence) unchanged(r *Router, x *session.Session) bool {
	if f.since == 0 || !f.own && !f.roster {
		return false
	}
	now := r.changesSeen.ticks.Load() // once: the clock may advance
	age := ageAt(now, f.since)
	return age < stamps && uint32(uint16(now)-x.PresenceStamp()) > age
}
