// Package job runs long actions in the background: one at a time, at a pace, until they
// are done or aborted.
package job

import (
	"context"
	"sync"
	"time"
)

// Job is the place of one action: while it runs, another one cannot start. The zero value
// is ready for use.
type Job struct {
	mu     sync.Mutex
	closed bool
	stop   context.CancelFunc // nil: nothing runs
	done   chan struct{}      // closed when what runs has returned
}

// Start calls begin and then runs f in the background, with a context that ends when the
// action is aborted; when f has returned, it calls end with whether it was aborted. It
// reports whether it did: not while an earlier action runs, and not after Close. begin and
// end may be nil. What they record agrees with the Job: begin is called before, and end
// after, any other action can be found to run. They must not call the Job.
func (j *Job) Start(begin func(), f func(context.Context), end func(aborted bool)) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed || j.stop != nil {
		return false
	}
	if begin != nil {
		begin()
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	j.stop, j.done = stop, done
	go func() {
		defer close(done)
		f(ctx)
		aborted := ctx.Err() != nil
		stop()
		j.mu.Lock()
		defer j.mu.Unlock()
		if end != nil {
			end(aborted)
		}
		j.stop = nil
	}()
	return true
}

// Abort ends the context of the action that runs, and waits until it has returned. It
// reports whether one ran.
func (j *Job) Abort() bool {
	j.mu.Lock()
	stop, done := j.stop, j.done
	j.mu.Unlock()
	if stop == nil {
		return false
	}
	stop()
	<-done
	return true
}

// Close aborts the action that runs; no other one will start.
func (j *Job) Close() {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	j.Abort()
}

// Interval is the time between two steps of an action that has a Pace.
const Interval = 5 * time.Millisecond

// Pace spreads an action over time: so many units in each interval. An action that could
// not keep up does not hurry afterwards. It is for one goroutine.
type Pace struct {
	tick *time.Ticker
	step float64 // units in an interval
	have float64 // units that may be done now
}

// NewPace returns the pace of perSecond units in a second, which must be above 0. newTicker
// is time.NewTicker, or a function of a test whose tickers tick when it wants. Call Stop.
func NewPace(perSecond float64, newTicker func(time.Duration) *time.Ticker) *Pace {
	return &Pace{tick: newTicker(Interval), step: perSecond * Interval.Seconds()}
}

// Stop stops the ticker.
func (p *Pace) Stop() { p.tick.Stop() }

// Sleep waits for the next interval. It returns false if ctx ends first.
func (p *Pace) Sleep(ctx context.Context) bool {
	select {
	case <-p.tick.C:
		p.have = min(p.have+p.step, 1+p.step)
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// Wait waits until at least one unit may be done, and returns how many may be, at most
// limit. They count as done. It returns 0 when ctx ends.
func (p *Pace) Wait(ctx context.Context, limit int) int {
	for p.have < 1 {
		if !p.Sleep(ctx) {
			return 0
		}
	}
	if ctx.Err() != nil {
		return 0
	}
	n := int(min(p.have, float64(limit)))
	p.have -= float64(n)
	return n
}
