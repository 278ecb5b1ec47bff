package server

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// A server of idle clients allocates nothing, so that Go's collector, which is
// driven by allocation, has no reason to run: what a storm of logins needed
// would stay for hours. The janitor looks every few seconds, and when the storm
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

// When the janitor acts.
const (
	janitorEvery = 5 * time.Second
	minExcess    = 1 << 20 // bytes held in vain that are worth a collection
	excessPart   = 16      // … and their part of what is live
	followUp     = 8       // looks after a collection when another one takes what caches gave up since
	quietPart    = 8       // quiet: less than this part of what is live was allocated since the last look
	minLeft      = 64      // clients that have left whose memory is worth a collection
	leftPart     = 8       // … and their part of those that there were
)

// janitor decides when to give memory back.
type janitor struct {
	peak  int    // the most clients that there were since the last collection
	last  memory // at the last look
	after memory // right after the last collection that it had made
	looks int    // until the follow-up, 0: there is none
}

// due reports whether it is time to collect: the storm is over, and there is
// something to gain that the last attempt did not see.
func (j *janitor) due(now memory) bool {
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
func (j *janitor) collect(clients int) {
	runtime.GC()
	debug.FreeOSMemory()
	j.after = readMemory(clients)
	j.last, j.peak = j.after, clients
}

// keepSmall runs the janitor until ctx ends, and the pacer if there is a percentage.
// clients is the number of connections.
func keepSmall(ctx context.Context, gcPercent int, clients func() int) {
	var j janitor
	p := &pacer{}
	if gcPercent > 0 {
		p = newPacer(gcPercent)
		defer p.stop()
	}
	every(ctx, janitorEvery, func() {
		if n := clients(); j.due(readMemory(n)) {
			p.reset()
			j.collect(n)
		}
	})
}
