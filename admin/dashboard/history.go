package dashboard

import (
	"math"
	"sync"
	"time"

	"roost/session"
)

// series is something that is recorded.
type series int

// The series. Rates are per second.
const (
	seriesOnline   series = iota // clients
	seriesLogins                 // rate
	seriesMessages               // rate
	seriesLoops                  // seconds until the slowest event loop has run a function
	seriesStore                  // seconds until the store has read a number
	seriesLogin                  // seconds that logins took: the 99th percentile
	seriesMemory                 // bytes, resident
	seriesExpected               // bytes that roost check expects
	seriesCPU                    // CPUs in use
	seriesLoginCPU               // CPUs that the logins should use, as roost check expects it
	seriesCount
)

// seriesInfo describes a series.
var seriesInfo = [seriesCount]struct {
	name  string // in history.json
	worst bool   // what is kept of an interval is its largest value, not its mean
}{
	seriesOnline: {"online", false}, seriesLogins: {"logins", false}, seriesMessages: {"messages", false},
	seriesLoops: {"loops", true}, seriesStore: {"store", true}, seriesLogin: {"login", true},
	seriesMemory: {"memory", false}, seriesExpected: {"expected", false},
	seriesCPU: {"cpu", false}, seriesLoginCPU: {"login_cpu", false},
}

// sample is the value of each series in an interval; NaN: it is not known.
type sample struct {
	at     int64 // Unix time of the end of the interval; 0: there is none
	values [seriesCount]float32
}

// How long and how finely the history goes back.
const (
	fineInterval   = 10 * time.Second // an hour of these
	fineCount      = 360
	coarseInterval = 2 * time.Minute // a day of these
	coarseCount    = 720
	perCoarse      = int(coarseInterval / fineInterval)
)

// ring has the newest samples.
type ring struct {
	samples []sample
	next    int // index of the oldest one, once there are that many
	count   int
}

func (r *ring) add(s sample) {
	r.samples[r.next] = s
	r.next = (r.next + 1) % len(r.samples)
	r.count = min(r.count+1, len(r.samples))
}

// each calls f for each sample, the oldest first.
func (r *ring) each(f func(*sample)) {
	for i := range r.count {
		f(&r.samples[(r.next+len(r.samples)-r.count+i)%len(r.samples)])
	}
}

// Reading is what a Dashboard is given about the server, from time to time.
type Reading struct {
	Online   int64
	Logins   int64           // since the start
	Messages int64           // since the start; below 0: not known
	Ended    []session.Ended // since the start
	Memory   int64           // resident bytes
	Expected int64           // what roost check expects of Memory
	CPU      time.Duration   // CPU time since the start
	LoginCPU time.Duration   // CPU time that roost check expects of one login
	Loops    time.Duration   // until the slowest event loop has run a function; below 0: not known
	Store    time.Duration   // until the store has read a number; below 0: not known
	Login    time.Duration   // 99th percentile of the logins since the last reading; below 0: not known
}

// History is a day of the past of a server in a constant amount of memory, 59 KB.
// Samples of 10 s are kept for an hour, those of 2 min for a day.
type History struct {
	mu           sync.Mutex
	fine, coarse ring
	sum          sample // of the fine samples since the last coarse one
	sums         [seriesCount]int
	summed       int // fine samples in sum
	last         Reading
	lastAt       time.Time
	ends         ends
	fineSpace    [fineCount]sample
	coarseSpace  [coarseCount]sample
}

// NewHistory returns an empty history.
func NewHistory() *History {
	h := new(History)
	h.fine.samples, h.coarse.samples = h.fineSpace[:], h.coarseSpace[:]
	return h
}

// Add adds what was read at a time.
func (h *History) Add(now time.Time, r Reading) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := sample{at: now.Unix()}
	set := func(i series, v float64) { s.values[i] = float32(v) }
	seconds := now.Sub(h.lastAt).Seconds()
	rate := func(new, old int64) float64 {
		if h.lastAt.IsZero() || seconds <= 0 || new < 0 || old < 0 {
			return math.NaN()
		}
		return float64(new-old) / seconds
	}
	set(seriesOnline, float64(r.Online))
	logins := rate(r.Logins, h.last.Logins)
	set(seriesLogins, logins)
	set(seriesMessages, rate(r.Messages, h.last.Messages))
	for i, d := range map[series]time.Duration{seriesLoops: r.Loops, seriesStore: r.Store, seriesLogin: r.Login} {
		set(i, known(d.Seconds(), d >= 0))
	}
	set(seriesMemory, float64(r.Memory))
	set(seriesExpected, float64(r.Expected))
	set(seriesCPU, rate(int64(r.CPU), int64(h.last.CPU))/float64(time.Second))
	set(seriesLoginCPU, logins*r.LoginCPU.Seconds())
	h.last, h.lastAt = r, now
	h.last.Ended = nil
	h.ends.add(now, r.Ended)
	h.fine.add(s)
	h.summarize(&s)
}

func known(v float64, ok bool) float64 {
	if !ok {
		return math.NaN()
	}
	return v
}

// summarize adds a sample to the coarse one in progress. Under mu.
func (h *History) summarize(s *sample) {
	for i, v := range s.values {
		switch {
		case math.IsNaN(float64(v)):
		case seriesInfo[i].worst:
			h.sum.values[i] = max(h.sum.values[i], v)
			h.sums[i] = 1
		default:
			h.sum.values[i] += v
			h.sums[i]++
		}
	}
	if h.summed++; h.summed < perCoarse {
		return
	}
	h.sum.at = s.at
	for i := range h.sum.values {
		h.sum.values[i] = float32(known(float64(h.sum.values[i])/float64(h.sums[i]), h.sums[i] > 0))
	}
	h.coarse.add(h.sum)
	h.sum, h.sums, h.summed = sample{}, [seriesCount]int{}, 0
}

// span is how much of the history is shown.
type span string

const (
	hour span = "1h"
	day  span = "24h"
)

// since returns the samples of a span that are newer than a time, the oldest first.
func (h *History) since(s span, after int64) (all []sample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := &h.fine
	if s == day {
		r = &h.coarse
	}
	r.each(func(x *sample) {
		if x.at > after {
			all = append(all, *x)
		}
	})
	return all
}

// latest returns the newest sample; all its values are NaN if there is none.
func (h *History) latest() sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fine.count == 0 {
		s := sample{}
		for i := range s.values {
			s.values[i] = float32(math.NaN())
		}
		return s
	}
	return h.fine.samples[(h.fine.next+fineCount-1)%fineCount]
}
