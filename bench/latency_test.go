package bench

import (
	"testing"
	"time"
)

// TestLatenciesAtEnd: latencies can be read while a loop records others. Bug: a message that
// arrived when the scenario had just ended was recorded while the latencies were read, which
// the race detector found by chance.
func TestLatenciesAtEnd(t *testing.T) {
	const n = 1000
	loops := newLoopLatencies(2)
	began, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for i := range n {
			loops[1].record(time.Duration(i+1) * time.Millisecond)
			if i == 0 {
				close(began)
			}
		}
	}()
	<-began
	if got := ofLoops(loops).hist.TotalCount(); got < 1 || got > n {
		t.Errorf("%d latencies", got)
	}
	<-ended
	if got := ofLoops(loops); got.hist.TotalCount() != n || got.Max < 1e6 {
		t.Errorf("%d latencies up to %v µs, want %d", got.hist.TotalCount(), got.Max, n)
	}
}
