package server

import (
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

// Go's collector works whenever the heap has grown by a part of what lives. With
// little alive that is soon: while a thousand clients a second log in over TLS, 50
// KB of garbage each, a server of a few megabytes would collect seventy times a
// second, a fifth of its CPU time. The pacer lets the heap grow by what comes in
// minCycle, if that is more. It bounds what a storm leaves in holes between
// sessions by megabytes, not by a part of the heap, and a heap of a million
// sessions, where a quarter lasts for seconds, never meets it.

const (
	minCycle   = 50 * time.Millisecond // collections are no closer together
	maxPercent = 400
)

// pacer sets the collector's percentage.
type pacer struct {
	base int // percent

	mu      sync.Mutex
	percent int
	last    time.Time // end of the last collection
	stopped bool
}

// cycle is an object that is garbage at once: its finalizer tells of a collection.
type cycle struct{ p *pacer }

// newPacer sets the percentage and watches collections until stop.
func newPacer(percent int) *pacer {
	p := &pacer{base: percent, percent: percent, last: time.Now()}
	debug.SetGCPercent(percent)
	p.arm()
	return p
}

func (p *pacer) arm() { runtime.SetFinalizer(&cycle{p}, (*cycle).collected) }

func (c *cycle) collected() {
	p := c.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	now := time.Now()
	p.set(p.next(now.Sub(p.last)))
	p.last = now
	p.arm()
}

// next is the percentage after a collection that came so long after the one before.
func (p *pacer) next(since time.Duration) int {
	fit := float64(p.percent) * float64(minCycle) / float64(max(since, time.Millisecond))
	fit = min(fit, 2*float64(p.percent)) // one that came by chance is no storm
	return max(p.base, min(int(fit), maxPercent))
}

// set changes the percentage, unless it is nearly what it was: that stops the world
// for a moment. Under mu.
func (p *pacer) set(percent int) {
	if percent != p.base && percent > p.percent*3/4 && percent < p.percent*5/4 {
		return
	}
	if percent != p.percent {
		p.percent = percent
		debug.SetGCPercent(percent)
	}
}

// reset takes back what a storm has needed: without garbage no collection comes
// that would.
func (p *pacer) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set(p.base)
}

// stop watches no longer.
func (p *pacer) stop() {
	p.reset()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
}
