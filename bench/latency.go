package bench

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latencies are recorded from 1 microsecond to 1 minute, with three significant digits.
const (
	minLatency = int64(time.Microsecond)
	maxLatency = int64(time.Minute)
)

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(minLatency, maxLatency, 3)
}

// record adds one latency, clamped to the range.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(int64(d), minLatency), maxLatency))
}

// loopLatencies are the latencies that one loop records. It may still record when the scenario
// has ended.
type loopLatencies struct {
	mu   sync.Mutex
	hist *hdrhistogram.Histogram
}

func newLoopLatencies(loops int) []*loopLatencies {
	all := make([]*loopLatencies, loops)
	for i := range all {
		all[i] = &loopLatencies{hist: newHistogram()}
	}
	return all
}

func (l *loopLatencies) record(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	record(l.hist, d)
}

// ofLoops summarizes what the loops have recorded until now.
func ofLoops(loops []*loopLatencies) Latency {
	all := newHistogram()
	for _, l := range loops {
		l.mu.Lock()
		all.Merge(l.hist)
		l.mu.Unlock()
	}
	return summary([]*hdrhistogram.Histogram{all})
}

// Latency summarizes a distribution of latencies, in microseconds.
type Latency struct {
	P50  float64 `json:"p50_us"`
	P90  float64 `json:"p90_us"`
	P99  float64 `json:"p99_us"`
	P999 float64 `json:"p999_us"`
	Max  float64 `json:"max_us"`

	Curve []Quantile `json:"curve,omitempty"` // for charts

	hist *hdrhistogram.Histogram // the recorded latencies
}

// add merges the latencies of another process.
func (l *Latency) add(o Latency) { *l = summary([]*hdrhistogram.Histogram{l.hist, o.hist}) }

// Quantile means that this percentage took at most this long.
type Quantile struct {
	Percent float64 `json:"percent"`
	Micros  float64 `json:"us"`
}

// curve lists the percentages of the points in a chart of latencies.
var curve = []float64{1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 98, 99, 99.5, 99.8, 99.9, 99.95, 99.99}

// summary merges histograms.
func summary(hs []*hdrhistogram.Histogram) Latency {
	all := newHistogram()
	for _, h := range hs {
		all.Merge(h)
	}
	us := func(v int64) float64 { return float64(v) / 1000 }
	l := Latency{
		P50: us(all.ValueAtQuantile(50)), P90: us(all.ValueAtQuantile(90)), P99: us(all.ValueAtQuantile(99)),
		P999: us(all.ValueAtQuantile(99.9)), Max: us(all.Max()), hist: all,
	}
	if all.TotalCount() > 0 {
		for _, p := range curve {
			l.Curve = append(l.Curve, Quantile{p, us(all.ValueAtQuantile(p))})
		}
	}
	return l
}
