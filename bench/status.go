package bench

import (
	"context"
	"sync"
	"time"
)

// Status is how far a fleet has come.
type Status struct {
	Phase  string `json:"phase"`  // what it does now
	Online int    `json:"online"` // clients that are available
	Failed int    `json:"failed"` // clients that could not log in
	Lost   int    `json:"lost"`   // clients that were available and were disconnected
	Done   int64  `json:"done"`   // of what the phase counts: messages or presences that arrived, logins
}

// plus is the status of two fleets.
func (s Status) plus(o Status) Status {
	if s.Phase == "" {
		s.Phase = o.Phase
	}
	s.Online += o.Online
	s.Failed += o.Failed
	s.Lost += o.Lost
	s.Done += o.Done
	return s
}

// Phases of scenarios.
const (
	phaseLogin    = "logging in"
	phaseSettle   = "resting"
	phaseIdle     = "idle"
	phaseWarmup   = "warming up"
	phaseMessages = "messages"
	phaseContacts = "making contacts"
	phasePresence = "presence"
	phaseWait     = "waiting for the other processes"
)

// enter begins a phase; done counts what it is about, nil where there is nothing.
func (f *Clients) enter(phase string, done func() int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.Phase, f.done = phase, done
}

// Status is how far the fleet has come. It may be called at any time.
func (f *Clients) Status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.status
	if f.done != nil {
		s.Done = f.done()
	}
	return s
}

// sync waits until all processes that share a scenario have come here.
func (f *Clients) sync(ctx context.Context) error {
	if f.cfg.Sync == nil {
		return ctx.Err()
	}
	f.enter(phaseWait, nil)
	return f.cfg.Sync(ctx)
}

// Every calls f again and again until stop, which returns when f is not running.
func Every(d time.Duration, f func()) (stop func()) {
	end := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for tick := time.NewTicker(d); ; {
			select {
			case <-end:
				tick.Stop()
				return
			case <-tick.C:
				f()
			}
		}
	})
	return func() {
		close(end)
		wg.Wait()
	}
}

// sampleEvery is how often the server's memory is read.
const sampleEvery = 500 * time.Millisecond

// sampleMemory reads the memory of process pid, 0 for none, at each number of
// clients online that it sees; the answer ends that and returns the samples.
func sampleMemory(pid int, online func() int) (end func() []Sample) {
	var samples []Sample
	stop := Every(sampleEvery, func() {
		u, err := serverUsage(pid)
		if err != nil || pid == 0 {
			return
		}
		s := Sample{online(), u.RSS}
		if n := len(samples); n > 0 && samples[n-1].Sessions == s.Sessions {
			samples[n-1] = s
		} else {
			samples = append(samples, s)
		}
	})
	return func() []Sample {
		stop()
		return samples
	}
}
