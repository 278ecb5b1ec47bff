package server

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// A server of idle clients allocates nothing, so that Go's collector, which is
// driven by allocation, has no reason to run: what a storm of logins needed
// would stay for hours. The trimmer looks every few seconds, and when the storm
// is over and much memory is held without being used, it collects once and
// gives it back.

// memory is what the process holds, in bytes.
type memory struct {
	live      uint64 // reachable at the last collection
	held      uint64 // for the heap, not given back to the system
	allocated uint64 // ever, on the heap
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

// When the trimmer acts.
const (
	trimEvery  = 5 * time.Second
	minExcess  = 1 << 20 // unused heap, in bytes, that justifies a collection
	excessPart = 16      // … and their part of what is live
	followUp   = 8       // looks after a collection when another one takes what caches gave up since
	quietPart  = 8       // quiet: less than this part of what is live was allocated since the last look
	minLeft    = 64      // clients that have left whose memory is worth a collection
	leftPart   = 8       // … and their part of those that there were
)

// trimmer decides when to give memory back.
type trimmer struct {
	peak  int    // the most clients that there were since the last collection
	last  memory // at the last look
	after memory // right after the last collection that it had made
	looks int    // until the follow-up, 0: there is none
}

// due reports whether it is time to collect: the storm is over, and there is
// something to gain that the last attempt did not see.
func (j *trimmer) due(now memory) bool {
	quiet := now.allocated-j.last.allocated < now.live/quietPart+minExcess
	j.last = now
	j.peak = max(j.peak, now.clients)
	// What is live is known from the last collection only. Clients that have been
	// idle for long and leave allocate next to nothing, and it is out of date.
	if left := j.peak - now.clients; quiet && left >= max(minLeft, j.peak/leftPart) {
		j.looks = followUp
		return true
	}
	worth := max(minExcess, now.live/excessPart)
	if now.allocated-j.after.allocated < worth {
		// Nothing was allocated, but caches that expire may have let go.
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

// collect gives back what is not used. A sync.Pool keeps what was put in it for
// one collection more: the second one takes that.
func (j *trimmer) collect(clients int) {
	runtime.GC()
	debug.FreeOSMemory()
	j.after = readMemory(clients)
	j.last, j.peak = j.after, clients
}

// manageHeap runs the trimmer until ctx ends, and the gcController if there is a percentage.
// clients is the number of connections.
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

// Go's collector works whenever the heap has grown by a part of what lives. With
// little alive that is soon: while a thousand clients a second log in over TLS, 50
// KB of garbage each, a server of a few megabytes would collect seventy times a
// second, a fifth of its CPU time. The gcController lets the heap grow by what comes in
// minCycle, if that is more. It bounds what a storm leaves in holes between
// sessions by megabytes, not by a part of the heap, and a heap of a million
// sessions, where a quarter lasts for seconds, never meets it.

const (
	minCycle   = 50 * time.Millisecond // collections are no closer together
	maxPercent = 400
)

// gcController sets the collector's percentage.
type gcController struct {
	base int // percent

	mu      sync.Mutex
	percent int
	last    time.Time // end of the last collection
	stopped bool
}

// cycle is an object that is garbage at once: its finalizer tells of a collection.
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

// next is the percentage after a collection that came so long after the one before.
func (p *gcController) next(since time.Duration) int {
	fit := float64(p.percent) * float64(minCycle) / float64(max(since, time.Millisecond))
	fit = min(fit, 2*float64(p.percent)) // one that came by chance is no storm
	return max(p.base, min(int(fit), maxPercent))
}

// set changes the percentage, unless it is nearly what it was: that stops the world
// for a moment. Under mu.
func (p *gcController) set(percent int) {
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
func (p *gcController) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set(p.base)
}

// stop watches no longer.
func (p *gcController) stop() {
	p.reset()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
}
