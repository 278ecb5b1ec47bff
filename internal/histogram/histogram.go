// Package histogram counts values, such as durations, in a few buckets, without locks and
// without allocations.
package histogram

import (
	"slices"
	"sync/atomic"
)

// Histogram counts values by bucket. Its methods may be called from any goroutine. A loop
// that counts often has one of its own, so that no other CPU has the counters in its cache.
type Histogram struct {
	bounds []int64 // upper limits, inclusive, in increasing order
	counts []atomic.Int64
	sum    atomic.Int64
}

// New returns a histogram whose buckets have these upper limits, in increasing order.
// Larger values are counted in one more bucket.
func New[T ~int64](bounds ...T) *Histogram {
	h := &Histogram{counts: make([]atomic.Int64, len(bounds)+1)}
	for _, b := range bounds {
		h.bounds = append(h.bounds, int64(b))
	}
	return h
}

// Observe counts a value. Most values should belong to the first buckets: they are found
// in order.
func (h *Histogram) Observe(v int64) {
	i := 0
	for i < len(h.bounds) && v > h.bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(v)
}

// Snapshot returns the counts. While values are being counted, the parts of a snapshot may
// be from slightly different moments.
func (h *Histogram) Snapshot() Snapshot {
	s := Snapshot{Bounds: h.bounds, Counts: make([]int64, len(h.counts)), Sum: h.sum.Load()}
	for i := range h.counts {
		s.Counts[i] = h.counts[i].Load()
	}
	return s
}

// Snapshot is what a Histogram has counted. The zero value has counted nothing.
type Snapshot struct {
	Bounds []int64 // upper limits of the buckets, inclusive; not to be changed
	Counts []int64 // values in each bucket; the last one has those above all limits
	Sum    int64   // of all values
}

// Count returns the number of values.
func (s Snapshot) Count() (n int64) {
	for _, c := range s.Counts {
		n += c
	}
	return n
}

// Plus returns the values of both snapshots, which must be of equal buckets.
func (s Snapshot) Plus(other Snapshot) Snapshot { return s.combine(other, 1) }

// Since returns the values that were counted after an earlier snapshot of the same
// histogram.
func (s Snapshot) Since(earlier Snapshot) Snapshot { return s.combine(earlier, -1) }

// combine adds factor times the counts of other.
func (s Snapshot) combine(other Snapshot, factor int64) Snapshot {
	if s.Counts == nil {
		s = Snapshot{Bounds: other.Bounds, Counts: make([]int64, len(other.Counts))}
	}
	s.Counts = slices.Clone(s.Counts)
	for i, c := range other.Counts {
		s.Counts[i] += factor * c
	}
	s.Sum += factor * other.Sum
	return s
}

// Quantile returns an estimate of the value below which the share q of all values is, from
// 0 to 1: within a bucket, values are taken to be evenly distributed. For values above all
// limits it returns the largest limit, and 0 if there are no values.
func (s Snapshot) Quantile(q float64) float64 {
	rank, below := q*float64(s.Count()), 0.0
	lower := 0.0
	for i, bound := range s.Bounds {
		n := float64(s.Counts[i])
		if n > 0 && below+n >= rank {
			return lower + (float64(bound)-lower)*(rank-below)/n
		}
		below += n
		lower = float64(bound)
	}
	if below == float64(s.Count()) && below == 0 {
		return 0
	}
	return lower
}
