package server

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"roost/admin/api"
	"roost/internal/job"
	"roost/jid"
	"roost/session"
)

// A drain makes all clients leave, at a pace that whatever receives them can handle. The
// server accepts no new ones meanwhile and afterwards. It stays until it is stopped, or
// until the drain is aborted, which makes it serve again.

// Limits of a request.
const (
	maxDrainTime  = 7 * 24 * time.Hour
	maxDrainAhead = 30 * 24 * time.Hour
)

// drains has the drain that is scheduled or runs, and then the last one.
type drains struct {
	s        *Server
	job      job.Job
	exit     chan struct{} // closed when the server is to stop
	stop     func()        // closes it, once
	lastRead func(*session.Session) time.Time

	ops sync.Mutex // held while a drain starts, or is aborted

	mu    sync.Mutex
	last  *api.Drain // without the counters; nil: there was none
	total atomic.Int64
	ended atomic.Int64
}

func (d *drains) prepare(s *Server) {
	d.s, d.exit, d.lastRead = s, make(chan struct{}), lastRead
	d.stop = sync.OnceFunc(func() { close(d.exit) })
}

// Exit is closed when a drain is done after which the server is to stop.
func (s *Server) Exit() <-chan struct{} { return s.drains.exit }

// StartDrain begins or schedules a drain. It implements admin.Drains.
func (s *Server) StartDrain(q *api.DrainRequest, actor string) (api.Drain, error) {
	d := &s.drains
	if err := checkDrain(q); err != nil {
		return api.Drain{}, err
	}
	d.ops.Lock()
	defer d.ops.Unlock()
	if s.state.Load() != api.Serving {
		return api.Drain{}, conflict("the server is "+string(s.state.Load().(api.State)), "DELETE /v1/drain ends a drain")
	}
	begin := time.Now().UTC().Truncate(time.Second)
	if q.Begin != nil {
		begin = q.Begin.UTC()
	}
	started := d.job.Start(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.total.Store(0)
		d.ended.Store(0)
		d.last = &api.Drain{State: api.DrainScheduled, OverSeconds: q.OverSeconds, To: q.To, Text: q.Text, Exit: q.Exit, Actor: actor, Begin: begin, End: q.End}
		if q.Begin == nil {
			d.begin() // before the response
		}
	}, func(ctx context.Context) { d.run(ctx, begin) }, nil)
	if !started {
		return api.Drain{}, conflict("a drain is scheduled already", "abort it with DELETE /v1/drain")
	}
	s.writeOutage()
	status, _ := s.DrainStatus()
	return status, nil
}

func conflict(message, hint string) error {
	return &api.Error{Status: 409, Code: api.CodeConflict, Message: message, Hint: hint}
}

// DrainStatus returns the drain that is scheduled or runs, or the last one; false if there
// was none. It implements admin.Drains.
func (s *Server) DrainStatus() (api.Drain, bool) {
	d := &s.drains
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last == nil {
		return api.Drain{}, false
	}
	status := *d.last
	status.Clients, status.Ended, status.Remaining = d.total.Load(), d.ended.Load(), int64(d.left(status.To == ""))
	return status, true
}

// AbortDrain ends a drain, also one that is done, and has the server accept clients again.
// It implements admin.Drains.
func (s *Server) AbortDrain() (api.Drain, error) {
	d := &s.drains
	d.ops.Lock()
	defer d.ops.Unlock()
	ran := d.job.Abort()
	draining := s.state.Load() == api.Draining
	if !ran && !draining {
		return api.Drain{}, conflict("there is no drain", "")
	}
	if draining {
		if err := s.listeners.resume(); err != nil {
			return api.Drain{}, conflict("the server cannot listen again: "+err.Error(), "end the process that has the address, and abort the drain again")
		}
		if !s.state.CompareAndSwap(api.Draining, api.Serving) { // it stops
			_ = s.listeners.close()
			return api.Drain{}, conflict("the server is stopping", "")
		}
	}
	d.setState(api.DrainAborted)
	s.writeOutage()
	status, _ := s.DrainStatus()
	s.log.Info("drain aborted", "sessions", status.Remaining)
	return status, nil
}

// begin refuses new clients. Under mu.
func (d *drains) begin() {
	if !d.s.state.CompareAndSwap(api.Serving, api.Draining) {
		return // it stops
	}
	d.s.listeners.stop()
	d.total.Store(int64(d.left(d.last.To == "")))
	d.last.State = api.DrainRunning
	if d.last.OverSeconds == 0 {
		d.last.OverSeconds = float64(d.total.Load()) / api.DefaultDrainRate
	}
}

// setState records how far the drain is.
func (d *drains) setState(state api.DrainState) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last.State = state
	if state == api.DrainDone || state == api.DrainAborted {
		now := time.Now().UTC()
		d.last.EndedAt = &now
	}
}

// run waits until the drain is to begin, and has all clients leave, until ctx ends.
func (d *drains) run(ctx context.Context, begin time.Time) {
	timer := time.NewTimer(time.Until(begin))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return
	}
	d.mu.Lock()
	if d.last.State == api.DrainScheduled {
		d.begin()
	}
	q := *d.last
	d.mu.Unlock()
	if q.State != api.DrainRunning {
		return // the server stops
	}
	total := d.total.Load()
	d.s.log.Info("drain begins", "actor", q.Actor, "sessions", total)
	rate := float64(api.DefaultDrainRate)
	if q.OverSeconds > 0 {
		rate = max(float64(total), 1) / q.OverSeconds
	}
	pace := job.NewPace(rate, newTicker)
	defer pace.Stop()
	w := &leaving{d: d, pace: pace, to: q.To, text: q.Text}
	if !w.all(ctx) {
		return
	}
	d.setState(api.DrainDone)
	d.s.log.Info("drain has ended: all clients have left", "sessions", d.ended.Load())
	if q.Exit {
		d.stop()
	}
}

// checkDrain checks a request, and puts the host into the form that clients get.
func checkDrain(q *api.DrainRequest) error {
	wrong := func(field, hint, message string) error {
		return &api.Error{Status: 400, Code: api.CodeBadRequest, Message: message, Hint: hint, Field: field}
	}
	if !(q.OverSeconds >= 0 && q.OverSeconds <= maxDrainTime.Seconds()) {
		return wrong("over_seconds", "", "over_seconds must be 0 to 604800 seconds (168h)")
	}
	if q.Begin != nil && time.Until(*q.Begin) > maxDrainAhead {
		return wrong("begin", "", "begin must be at most 30 days from now")
	}
	if q.End != nil && q.End.Before(time.Now()) {
		return wrong("end", "", "end must be in the future")
	}
	if q.To == "" {
		return nil
	}
	to, ok := otherHost(q.To)
	if !ok {
		return wrong("to", "such as xmpp2.example.org, 192.0.2.1:5222 or [2001:db8::1]:5222", fmt.Sprintf("%q is not a host", q.To))
	}
	q.To = to
	return nil
}

// otherHost returns the content of <see-other-host/> for a host with or without a port. RFC
// 6120 section 4.9.3.19: "a valid domainpart or a domainpart plus port number"; the format
// of an IPv6 address "includes the enclosing the IPv6 address in square brackets".
func otherHost(text string) (string, bool) {
	host, port := text, ""
	if h, p, err := net.SplitHostPort(text); err == nil {
		host, port = h, ":"+p
		if n, err := net.LookupPort("tcp", p); err != nil || n == 0 || strings.TrimLeft(p, "0123456789") != "" {
			return "", false
		}
	}
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	domain, err := jid.NormalizeDomain(host)
	if err != nil {
		return "", false
	}
	return domain + port, true
}
