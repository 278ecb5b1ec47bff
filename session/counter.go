package session

import "sync/atomic"

// Counter counts events of several kinds. Each loop and each pool of workers has its own
// numbers, so counting takes no lock, and a loop does not wait for another CPU's cache. A
// Counter is made once, in a package variable of its owner, and counts for each Manager
// separately. It costs no memory per session.
type Counter struct{ first, kinds int }

// counted is the number of kinds of all counters.
var counted int

// NewCounter returns a counter for events of the kinds 0 to kinds-1. It is for package
// variables: it must not be called after the first NewManager.
func NewCounter(kinds int) Counter {
	c := Counter{counted, kinds}
	counted += kinds
	return c
}

// Add counts n events of a kind.
func (c Counter) Add(t *Turn, kind, n int) { t.counts[c.first : c.first+c.kinds][kind].Add(int64(n)) }

// Total returns the number of events of a kind since the manager was made.
func (c Counter) Total(m *Manager, kind int) (total int64) {
	i := c.first + kind
	for _, t := range m.turns {
		total += t.counts[i].Load()
	}
	for _, w := range m.pools() {
		total += w.counts[i].Load()
	}
	return total
}

// counts has the numbers of all counters.
type counts []atomic.Int64

// countsGap is the number of unused elements on both sides of counts: as many bytes as the
// largest cache line, so that no other variable is in a line with these.
const countsGap = 16

func newCounts() counts {
	return make(counts, counted+2*countsGap)[countsGap : countsGap+counted]
}
