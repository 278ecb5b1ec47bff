package job

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestJob: one action at a time; it ends when it returns, when it is aborted, or with the
// place.
func TestJob(t *testing.T) {
	var j Job
	if j.Abort() {
		t.Error("nothing was aborted")
	}
	began, release := false, make(chan struct{})
	ended := make(chan bool, 1)
	end := func(aborted bool) { ended <- aborted }
	if !j.Start(func() { began = true }, func(context.Context) { <-release }, end) || !began {
		t.Fatal("it does not start")
	}
	if j.Start(func() { t.Error("begin was called") }, nil, nil) {
		t.Error("a second one starts")
	}
	close(release)
	if <-ended {
		t.Error("it ended as if aborted")
	}
	if j.Abort() {
		t.Error("one that has recorded its end was aborted")
	}
	untilAborted := func(ctx context.Context) { <-ctx.Done() }
	if !j.Start(nil, untilAborted, end) {
		t.Error("none can start after the first")
	}
	if !j.Abort() || !<-ended {
		t.Error("not aborted")
	}
	if !j.Start(nil, untilAborted, end) {
		t.Error("none can start after an abort")
	}
	j.Close()
	if !<-ended {
		t.Error("Close has not aborted it")
	}
	if j.Start(nil, untilAborted, nil) {
		t.Error("one starts after Close")
	}
	j.Close()
}

// TestPace: units come evenly, and those of a time in which the action was late do not
// come at once afterwards.
func TestPace(t *testing.T) {
	f := func(perSecond float64, seconds, want int) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			p := NewPace(perSecond, time.NewTicker)
			defer p.Stop()
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(seconds)*time.Second+Interval/2)
			defer cancel()
			n := 0
			for {
				some := p.Wait(ctx, 10)
				if some == 0 {
					break
				}
				if n += some; some > 10 {
					t.Errorf("%d at once", some)
				}
			}
			if n < want-1 || n > want {
				t.Errorf("%v a second: %d units in %d s, want %d", perSecond, n, seconds, want)
			}
		})
	}
	f(0.5, 10, 5)
	f(1, 10, 10)
	f(70, 10, 700)
	f(100000, 2, 200000)

	synctest.Test(t, func(t *testing.T) {
		p := NewPace(200, time.NewTicker) // one in each interval
		defer p.Stop()
		time.Sleep(time.Minute)
		if n := p.Wait(t.Context(), 1000); n != 1 {
			t.Errorf("%d units at once after a pause", n)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if n := p.Wait(ctx, 1000); n != 0 {
			t.Errorf("%d units after the end", n)
		}
	})
}
