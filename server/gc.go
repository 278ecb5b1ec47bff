package server

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// A server of idle clients allocates nothing. Go's garbage collector is driven by
// allocation and therefore does not run: memory from a storm of logins would stay for
// hours. The trimmer checks every few seconds. After a storm, if much memory is unused,
// it collects once and returns memory to the system.

// memory is the memory of the process, in bytes.
type memory struct {
	live      uint64 // reachable at the last collection
	held      uint64 // for the heap, not returned to the system
	allocated uint64 // total since the start, on the heap
	clients   int    // connections
}

// Names of runtime metrics.
const (
	metricLive      = "/gc/heap/live:bytes"
	metricObjects   = "/memory/classes/heap/objects:bytes"
	metricUnused    = "/memory/classes/heap/unused:bytes"
	metricFree      = "/memory/classes/heap/free:bytes"
	metricAllocated = "/gc/heap/allocs:bytes"
)

func readMemory(clients int) memory {
	s := []metrics.Sample{{Name: metricLive}, {Name: metricObjects}, {Name: metricUnused}, {Name: metricFree}, {Name: metricAllocated}}
	metrics.Read(s)
	return memory{
		live:      s[0].Value.Uint64(),
		held:      s[1].Value.Uint64() + s[2].Value.Uint64() + s[3].Value.Uint64(),
		allocated: s[4].Value.Uint64(),
		clients:   clients,
	}
}

// Conditions for a trim.
const (
	trimEvery  = 5 * time.Second
	minExcess  = 1 << 20 // unused heap, in bytes, that justifies a collection
	excessPart = 16      // … and that excess as a fraction of the live heap
	followUp   = 8       // checks between a collection and the next one, which frees what caches have dropped in between
	quietPart  = 8       // quiet: less than this fraction of the live heap was allocated since the last check
	minLeft    = 64      // departed clients whose memory justifies a collection
	leftPart   = 8       // … and their fraction of all clients
)

// trimmer decides when to return memory to the system.
type trimmer struct {
	peak  int    // maximum number of clients since the last collection
	last  memory // at the last check
	after memory // after the last collection by the trimmer
	looks int    // checks until the follow-up; 0: no follow-up pending
}

// due reports whether to collect now: the storm is over, and a collection is likely to
// free memory that the last one could not.
func (j *trimmer) due(now memory) bool {
	quiet := now.allocated-j.last.allocated < now.live/quietPart+minExcess
	j.last = now
	j.peak = max(j.peak, now.clients)
	// The size of the live heap is from the last collection. It is out of date when
	// clients that were idle for long leave, since that allocates almost nothing.
	if left := j.peak - now.clients; quiet && left >= max(minLeft, j.peak/leftPart) {
		j.looks = followUp
		return true
	}
	worth := max(minExcess, now.live/excessPart)
	if now.allocated-j.after.allocated < worth {
		// Nothing was allocated, but caches may have expired.
		if j.looks > 0 {
			j.looks--
			return j.looks == 0
		}
		return false
	}
	if !quiet || now.held < now.live+worth {
		return false
	}
	j.looks = followUp
	return true
}

// collect returns unused memory to the system. It collects twice, since a sync.Pool keeps
// its contents for one more collection.
func (j *trimmer) collect(clients int) {
	runtime.GC()
	debug.FreeOSMemory()
	j.after = readMemory(clients)
	j.last, j.peak = j.after, clients
}

// manageHeap runs the trimmer until ctx ends, and the gcController if gcPercent is
// positive. clients returns the number of connections.
func manageHeap(ctx context.Context, gcPercent int, clients func() int) {
	var j trimmer
	p := &gcController{}
	if gcPercent > 0 {
		p = newGCController(gcPercent)
		defer p.stop()
	}
	every(ctx, trimEvery, func() {
		if n := clients(); j.due(readMemory(n)) {
			p.reset()
			j.collect(n)
		}
	})
}

// Go's garbage collector runs whenever the heap has grown by a percentage of the live
// heap. With a small live heap that is often: while a thousand clients per second log in
// over TLS, with 50 KB of garbage each, a server of a few megabytes would collect seventy
// times per second and spend a fifth of its CPU time on it. The gcController lets the
// heap grow for at least minCycle between collections. This limits the holes that a storm
// leaves between sessions to some megabytes, instead of a percentage of the heap. It
// never affects a heap of a million sessions, where cycles take seconds.

const (
	minCycle   = 200 * time.Millisecond // minimum time between collections
	maxPercent = 400
)

// gcController adjusts the GC percentage.
type gcController struct {
	base int // percent

	mu      sync.Mutex
	percent int
	last    time.Time // end of the last collection
	stopped bool
}

// cycle is an object that becomes garbage immediately: its finalizer signals a
// collection.
type cycle struct{ p *gcController }

// newGCController sets the percentage and watches collections until stop.
func newGCController(percent int) *gcController {
	p := &gcController{base: percent, percent: percent, last: time.Now()}
	debug.SetGCPercent(percent)
	p.arm()
	return p
}

func (p *gcController) arm() { runtime.SetFinalizer(&cycle{p}, (*cycle).collected) }

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

// next returns the percentage to use after a collection, given the time since the one
// before.
func (p *gcController) next(since time.Duration) int {
	fit := float64(p.percent) * float64(minCycle) / float64(max(since, time.Millisecond))
	fit = min(fit, 2*float64(p.percent)) // a single early collection is no storm
	return max(p.base, min(int(fit), maxPercent))
}

// set changes the percentage unless the difference is small, since a change stops the
// world briefly. The caller holds mu.
func (p *gcController) set(percent int) {
	if percent != p.base && percent > p.percent*3/4 && percent < p.percent*5/4 {
		return
	}
	if percent != p.percent {
		p.percent = percent
		debug.SetGCPercent(percent)
	}
}

// reset returns to the base percentage after a storm. Without garbage, no collection
// would trigger that.
func (p *gcController) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set(p.base)
}

// stop ends the adjustments.
func (p *gcController) stop() {
	p.reset()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
}
