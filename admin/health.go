package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"roost/admin/api"
)

// How long the checks of /healthz may take together.
const (
	defaultHealthTimeout = 5 * time.Second
	maxHealthTimeout     = 30 * time.Second
)

// healthRoutes are for load balancers and supervisors, which have no tokens.
var healthRoutes = []route{
	{id: "health", method: http.MethodGet, path: api.PathHealth, scope: ScopeNone, response: api.Health{}, unavailable: api.Health{}, handle: (*Server).health,
		query:   []param{{"timeout", "number", "Seconds that the checks may take, at most 30; default 5."}},
		summary: "Whether the server works: every event loop has turned, the store has responded and the log is written since the request came. 503 if not."},
	{id: "ready", method: http.MethodGet, path: api.PathReady, scope: ScopeNone, response: api.Health{}, unavailable: api.Health{}, handle: (*Server).ready,
		summary: "Whether the server accepts clients. 503 while it drains or stops."},
}

// health makes the checks, all at once.
func (s *Server) health(r *request) (any, error) {
	timeout, err := r.seconds("timeout", defaultHealthTimeout, maxHealthTimeout)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	checks := []struct {
		name string
		f    func(context.Context) error
	}{{"loops", s.checkLoops}, {"store", s.checkStore}}
	if f := s.cfg.LogWritten; f != nil {
		checks = append(checks, struct {
			name string
			f    func(context.Context) error
		}{"log", f})
	}
	results := make(chan int, len(checks))
	all := make([]api.Check, len(checks))
	for i, c := range checks {
		go func() {
			begin := time.Now()
			err := s.guarded(func() error { return c.f(ctx) })
			all[i] = api.Check{Name: c.name, OK: err == nil, Seconds: time.Since(begin).Seconds()}
			if err != nil {
				all[i].Error = err.Error()
			}
			results <- i
		}()
	}
	for range checks {
		<-results
	}
	return healthReply(all), nil
}

// healthReply is the response with the result of checks.
func healthReply(checks []api.Check) any {
	h := api.Health{OK: true, Checks: checks}
	for _, c := range checks {
		h.OK = h.OK && c.OK
	}
	if !h.OK {
		return reply{http.StatusServiceUnavailable, h}
	}
	return h
}

// guarded calls f. A panic is logged, and is an error.
func (s *Server) guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.panics.Recovered(p, s.b.Logger)
			err = errPanicked
		}
	}()
	return f()
}

// checkLoops waits until every loop has run a function. There is one such function at a
// time, so that checks do not accumulate on a loop that is stuck.
func (s *Server) checkLoops(ctx context.Context) error {
	var turned atomic.Int64
	done := make(chan struct{})
	loops := int64(s.b.Poller.Loops())
	select {
	case s.probing <- struct{}{}:
	case <-ctx.Done():
		return errors.New("an event loop has not turned since an earlier check")
	}
	s.b.Poller.PostAll(func(int) {
		if turned.Add(1) == loops {
			close(done)
			<-s.probing
		}
	})
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d of %d event loops have not turned", loops-turned.Load(), loops)
	}
}

// checkStore waits for a read.
func (s *Server) checkStore(ctx context.Context) error {
	_, err := s.b.Store.LastAccountEvent(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("the store has not responded")
	}
	if err != nil {
		s.b.Logger.Error("the store has failed in a health check", "err", err)
		return errors.New("the store has failed; the log has the reason")
	}
	return nil
}

// ready reports whether clients are accepted.
func (s *Server) ready(*request) (any, error) {
	c := api.Check{Name: "serving", OK: true}
	if state := s.b.State(); state != api.Serving {
		c.OK, c.Error = false, "the server is "+string(state)
	}
	return healthReply([]api.Check{c}), nil
}
