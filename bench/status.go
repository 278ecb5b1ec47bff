package bench

import (
	"context"
	"sync"
	"time"
)

// Status is the progress of Clients.
type Status struct {
	Phase  string `json:"phase"`  // the current phase
	Online int    `json:"online"` // clients that are available
	Failed int    `json:"failed"` // clients that could not log in
	Lost   int    `json:"lost"`   // clients that were available and were disconnected
	Done   int64  `json:"done"`   // what the phase counts: delivered messages or presence stanzas, logins, or resumptions
}

// plus returns the sum of two statuses.
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
	phaseSettle   = "settling"
	phaseIdle     = "idle"
	phaseWarmup   = "warming up"
	phaseMessages = "messages"
	phaseContacts = "making contacts"
	phasePresence = "presence"
	phaseResume   = "resuming"
	phaseWait     = "waiting for the other processes"
)

// enter starts a phase; done returns the value of Status.Done, nil if there is none.
func (cs *Clients) enter(phase string, done func() int64) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.status.Phase, cs.done = phase, done
}

// Status returns the progress. It may be called at any time.
func (cs *Clients) Status() Status {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	s := cs.status
	if cs.done != nil {
		s.Done = cs.done()
	}
	return s
}

// sync waits until all processes that share a scenario have called it.
func (cs *Clients) sync(ctx context.Context) error {
	if cs.cfg.Sync == nil {
		return ctx.Err()
	}
	cs.enter(phaseWait, nil)
	return cs.cfg.Sync(ctx)
}

// Every calls f at intervals of d until stop is called. stop returns when f is not
// running.
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

// sampleEvery is the interval at which the server's memory is read.
const sampleEvery = 500 * time.Millisecond

// sampleMemory samples the memory of processes over the number of clients
// online. The returned function stops the sampling and returns the samples.
func sampleMemory(pids []int, online func() int) (end func() []Sample) {
	var samples []Sample
	stop := Every(sampleEvery, func() {
		u, err := ReadUsage(pids...)
		if err != nil || len(pids) == 0 {
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
