package server

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// TestGCController: if collections are too frequent, the heap may grow more, in steps, up
// to a limit. Otherwise the percentage returns to its base.
func TestGCController(t *testing.T) {
	p := &gcController{base: 25, percent: 25}
	for _, tt := range []struct {
		percent int
		since   time.Duration
		want    int
	}{
		{25, time.Second, 25},
		{25, minCycle, 25},
		{25, minCycle / 2, 50},
		{25, minCycle / 10, 50}, // one step
		{25, 0, 50},
		{200, minCycle / 2, 400},
		{300, 0, maxPercent},
		{maxPercent, minCycle, maxPercent},
		{maxPercent, 2 * minCycle, 200},
		{maxPercent, time.Minute, 25},
	} {
		p.percent = tt.percent
		if got := p.next(tt.since); got != tt.want {
			t.Errorf("%d %% and %v: %d %%, want %d %%", tt.percent, tt.since, got, tt.want)
		}
	}
}

// collect returns after the garbage was collected and all pending finalizers have run:
// they run in order, and those of the second collection after those of the first.
func collect() {
	for range 2 {
		done := make(chan struct{})
		runtime.SetFinalizer(&struct{ done chan struct{} }{done}, func(g *struct{ done chan struct{} }) { close(g.done) })
		for finalized := false; !finalized; {
			runtime.GC()
			select {
			case <-done:
				finalized = true
			default:
				runtime.Gosched() // the object may still have been on the stack
			}
		}
	}
}

// TestGCControllerWatches: fast allocation changes the GC percentage, and reset and stop
// restore it.
func TestGCControllerWatches(t *testing.T) {
	before := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	p := newGCController(25)
	percent := func() int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.percent
	}
	var keep []byte
	for range 1 << 20 { // limits the attempts: 64 GB
		if percent() > 25 {
			break
		}
		keep = make([]byte, 64<<10)
	}
	runtime.KeepAlive(keep)
	if percent() <= 25 {
		t.Error("the percentage did not change during a storm of garbage")
	}
	p.reset()
	if got := debug.SetGCPercent(25); got != 25 {
		t.Errorf("reset to %d %%", got)
	}
	p.stop()
	for range 3 {
		p.arm()
		collect()
	}
	if got := debug.SetGCPercent(25); got != 25 {
		t.Errorf("%d %% after the stop", got)
	}
}
