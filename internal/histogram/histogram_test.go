package histogram

import (
	"slices"
	"sync"
	"testing"
	"time"
)

func TestHistogram(t *testing.T) {
	h := New(time.Millisecond, 10*time.Millisecond)
	for _, v := range []time.Duration{-1, 0, time.Millisecond, time.Millisecond + 1, 10 * time.Millisecond, time.Hour} {
		h.Observe(int64(v))
	}
	s := h.Snapshot()
	if want := []int64{3, 2, 1}; !slices.Equal(s.Counts, want) || s.Count() != 6 {
		t.Errorf("%v, want %v", s.Counts, want)
	}
	if want := int64(time.Hour + 12*time.Millisecond); s.Sum != want {
		t.Errorf("sum %d, want %d", s.Sum, want)
	}
	h.Observe(5)
	later := h.Snapshot()
	if d := later.Since(s); !slices.Equal(d.Counts, []int64{1, 0, 0}) || d.Sum != 5 {
		t.Errorf("since: %+v", d)
	}
	if !slices.Equal(s.Counts, []int64{3, 2, 1}) {
		t.Errorf("the earlier snapshot has changed: %v", s.Counts)
	}
	both := Snapshot{}.Plus(s).Plus(later)
	if !slices.Equal(both.Counts, []int64{7, 4, 2}) || both.Sum != s.Sum+later.Sum {
		t.Errorf("plus: %+v", both)
	}
}

func TestQuantile(t *testing.T) {
	f := func(counts []int64, q, want float64) {
		t.Helper()
		s := Snapshot{Bounds: []int64{10, 20, 40}, Counts: counts}
		if got := s.Quantile(q); got != want {
			t.Errorf("%v: quantile %v is %v, want %v", counts, q, got, want)
		}
	}
	f([]int64{0, 0, 0, 0}, 0.5, 0)
	f([]int64{10, 0, 0, 0}, 0.5, 5)
	f([]int64{0, 10, 0, 0}, 0.5, 15)
	f([]int64{5, 0, 5, 0}, 0.9, 36)
	f([]int64{5, 0, 5, 0}, 0.5, 10)
	f([]int64{1, 0, 0, 1}, 0.99, 40)
	f([]int64{0, 0, 0, 1}, 0.5, 40)
	if got := (Snapshot{}).Quantile(0.5); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

// TestConcurrently: no value is lost.
func TestConcurrently(t *testing.T) {
	h := New[int64](1, 2)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for range 1000 {
				h.Observe(int64(g))
				h.Snapshot()
			}
		})
	}
	wg.Wait()
	if s := h.Snapshot(); !slices.Equal(s.Counts, []int64{2000, 1000, 1000}) || s.Sum != 6000 {
		t.Errorf("%+v", s)
	}
}

// TestObserveAllocates: counting allocates nothing.
func TestObserveAllocates(t *testing.T) {
	h := New[int64](1, 2)
	if n := testing.AllocsPerRun(100, func() { h.Observe(3) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
