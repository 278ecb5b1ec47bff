package admin

import (
	"context"
	"sync"
	"time"
)

// rate is how often something happened in the last minute.
type rate struct {
	mu      sync.Mutex
	samples []sample // oldest first
}

// sample is a counter at a time.
type sample struct {
	at time.Time
	n  int64
}

// Samples are taken at this interval, and this many are kept: those of a minute.
const (
	sampleInterval = 5 * time.Second
	sampleCount    = 13
)

// run takes samples of a counter until ctx ends.
func (r *rate) run(ctx context.Context, read func() int64) {
	r.add(sample{time.Now(), read()})
	tick := time.NewTicker(sampleInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			r.add(sample{now, read()})
		}
	}
}

func (r *rate) add(s sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.samples) == sampleCount {
		r.samples = append(r.samples[:0], r.samples[1:]...)
	}
	r.samples = append(r.samples, s)
}

// perSecond is the mean rate since the oldest sample.
func (r *rate) perSecond(now sample) float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.samples) == 0 {
		return 0
	}
	oldest := r.samples[0]
	seconds := now.at.Sub(oldest.at).Seconds()
	if seconds <= 0 {
		return 0
	}
	return float64(now.n-oldest.n) / seconds
}
