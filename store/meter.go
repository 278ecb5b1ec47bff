package store

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"roost/internal/histogram"
)

// Meter measures how long the operations of a store take, from the call to the result:
// waiting for a connection or for other writes is included. Any goroutine may call its
// methods.
type Meter struct {
	reads, writes *histogram.Histogram

	mu      sync.Mutex
	slowest []Call // of the present period, the slowest first
	before  []Call // of the period before
	end     time.Time
}

// Call is an operation that was measured.
type Call struct {
	Op   Op
	At   time.Time // when it ended
	Took time.Duration
}

const (
	slowCalls  = 10              // calls that a period keeps
	slowPeriod = 5 * time.Minute // length of a period
)

// callBounds are the upper limits of the buckets of a Meter.
var callBounds = []time.Duration{
	50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond, time.Second, 5 * time.Second,
}

// NewMeter returns a Meter. Its Intercept goes into the Options of the store.
func NewMeter() *Meter {
	return &Meter{reads: histogram.New(callBounds...), writes: histogram.New(callBounds...)}
}

// Intercept measures one operation. It is an Intercept of Options.
func (m *Meter) Intercept(_ context.Context, op Op) (done func(), err error) {
	if op.Name == "Watch" {
		return noop, nil // it returns when the server stops
	}
	began := time.Now()
	return func() { m.add(op, began) }, nil
}

func (m *Meter) add(op Op, began time.Time) {
	now := time.Now()
	took := now.Sub(began)
	if op.Writes {
		m.writes.Observe(int64(took))
	} else {
		m.reads.Observe(int64(took))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn(now)
	if n := len(m.slowest); n == slowCalls && m.slowest[n-1].Took >= took {
		return
	}
	slower := func(a, b Call) int { return cmp.Compare(b.Took, a.Took) }
	c := Call{op, now, took}
	i, _ := slices.BinarySearchFunc(m.slowest, c, slower)
	m.slowest = slices.Insert(m.slowest, i, c)
	m.slowest = m.slowest[:min(len(m.slowest), slowCalls)]
}

// turn begins a new period if the present one is over. Under mu.
func (m *Meter) turn(now time.Time) {
	if now.Before(m.end) {
		return
	}
	if now.Sub(m.end) > slowPeriod {
		m.slowest = nil // it ended more than a period ago
	}
	m.before, m.slowest, m.end = m.slowest, make([]Call, 0, slowCalls+1), now.Add(slowPeriod)
}

// Times returns how long reads and writes took, in nanoseconds.
func (m *Meter) Times() (reads, writes histogram.Snapshot) {
	return m.reads.Snapshot(), m.writes.Snapshot()
}

// Slowest returns the ten slowest operations of the last five to ten minutes, the slowest
// first.
func (m *Meter) Slowest() []Call {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn(time.Now())
	all := slices.Concat(m.slowest, m.before)
	slices.SortStableFunc(all, func(a, b Call) int { return cmp.Compare(b.Took, a.Took) })
	return all[:min(len(all), slowCalls)]
}

// Batches is implemented by a Store that commits the writes of several callers at once.
type Batches interface {
	// BatchStats returns the counters since the store was opened.
	BatchStats() BatchStats
}

// BatchStats are the counters of commits. Waiting is a current value.
type BatchStats struct {
	Commits int64
	Writes  histogram.Snapshot // writes of each commit
	Waiting int                // writes that are not committed yet
}
