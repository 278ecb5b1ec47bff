package bench

import (
	"context"
	"time"
)

// IdleConfig says how many clients log in and then do nothing.
type IdleConfig struct {
	Sessions  int           // in all
	Base      int           // the session count that memory is compared with; below Sessions
	Rate      float64       // logins per second; 0: as fast as it goes
	Settle    time.Duration // rest before memory is read; default 2 min
	Hold      time.Duration // how long they then idle while CPU is counted
	Ping      time.Duration // each sends a white-space ping so often while idle; 0: never
	ServerPID int           // process that is measured; 0: none

	Progress func(phase string, s Status) // called about twice a second; nil: not
}

// IdleResult is what they cost.
type IdleResult struct {
	Sessions        int      `json:"sessions"`
	Base            int      `json:"base"`
	Failed          int      `json:"failed"`
	Lost            int      `json:"lost"`
	Errors          []string `json:"errors,omitempty"`
	LoginsPerSecond float64  `json:"logins_per_second"`
	CPUPerLogin     float64  `json:"server_cpu_us_per_login,omitempty"`
	BaseRSS         int64    `json:"server_rss_at_base,omitempty"` // bytes
	RSS             int64    `json:"server_rss,omitempty"`         // bytes
	BytesPerSession float64  `json:"server_rss_bytes_per_session,omitempty"`
	IdleCPU         float64  `json:"server_idle_cpu_percent,omitempty"` // of one CPU
	Growth          []Sample `json:"growth,omitempty"`
}

// Sample is the server's memory at one number of sessions.
type Sample struct {
	Sessions int   `json:"sessions"`
	RSS      int64 `json:"rss"` // bytes
}

// Idle logs clients in and watches what they cost while they do nothing.
func (f *Fleet) Idle(ctx context.Context, cfg IdleConfig) (r IdleResult, err error) {
	if cfg.Settle <= 0 {
		cfg.Settle = 2 * time.Minute
	}
	r.Base, r.Sessions = cfg.Base, cfg.Sessions
	stop := f.watch(ctx, cfg, &r)
	defer stop()
	base, err := f.settled(ctx, cfg, cfg.Base)
	if err != nil {
		return r, err
	}
	start := time.Now()
	if err := f.login(ctx, cfg.Sessions-cfg.Base, cfg.Rate); err != nil {
		r.Errors = append(r.Errors, err.Error())
	}
	r.LoginsPerSecond = float64(cfg.Sessions-cfg.Base) / time.Since(start).Seconds()
	full, err := f.settled(ctx, cfg, 0)
	if err != nil {
		return r, err
	}
	s := f.Status()
	r.Failed, r.Lost, r.BaseRSS, r.RSS = s.Failed, s.Lost, base.RSS, full.RSS
	if n := float64(cfg.Sessions - cfg.Base); cfg.ServerPID != 0 && n > 0 {
		r.CPUPerLogin = us(full.CPU-base.CPU) / n
		r.BytesPerSession = float64(full.RSS-base.RSS) / n
	}
	if cfg.Hold > 0 {
		err = f.hold(ctx, cfg, &r)
	}
	return r, err
}

// settled logs n more clients in and reads the server's usage after a rest.
func (f *Fleet) settled(ctx context.Context, cfg IdleConfig, n int) (Usage, error) {
	if n > 0 {
		if err := f.login(ctx, n, cfg.Rate); err != nil {
			return Usage{}, err
		}
	}
	if cfg.ServerPID == 0 {
		return Usage{}, ctx.Err()
	}
	select {
	case <-ctx.Done():
		return Usage{}, ctx.Err()
	case <-time.After(cfg.Settle):
	}
	return ReadUsage(cfg.ServerPID)
}

// hold keeps the clients idle, with pings spread evenly.
func (f *Fleet) hold(ctx context.Context, cfg IdleConfig, r *IdleResult) error {
	ctx, cancel := context.WithTimeout(ctx, cfg.Hold)
	defer cancel()
	before, err := serverUsage(cfg.ServerPID)
	if err != nil {
		return err
	}
	start := time.Now()
	if cfg.Ping > 0 {
		f.ping(ctx, cfg.Ping)
	}
	<-ctx.Done()
	after, err := serverUsage(cfg.ServerPID)
	if err != nil {
		return err
	}
	r.IdleCPU = 100 * (after.CPU - before.CPU).Seconds() / time.Since(start).Seconds()
	return nil
}

// ping has each client send white space once in every interval.
func (f *Fleet) ping(ctx context.Context, every time.Duration) {
	clients := f.Clients()
	const tick = 20 * time.Millisecond
	start := time.Now()
	sent := 0
	for ticker := time.NewTicker(tick); ; {
		select {
		case <-ctx.Done():
			ticker.Stop()
			return
		case <-ticker.C:
		}
		for due := int(float64(len(clients)) * time.Since(start).Seconds() / every.Seconds()); sent < due; sent++ {
			clients[sent%len(clients)].Ping()
		}
	}
}

// watch samples the server's memory, and tells how it goes, until stop.
func (f *Fleet) watch(ctx context.Context, cfg IdleConfig, r *IdleResult) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for tick := time.NewTicker(500 * time.Millisecond); ; {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
			}
			s := f.Status()
			if u, err := serverUsage(cfg.ServerPID); err == nil && cfg.ServerPID != 0 {
				if n := len(r.Growth); n == 0 || r.Growth[n-1].Sessions != s.Online {
					r.Growth = append(r.Growth, Sample{s.Online, u.RSS})
				} else {
					r.Growth[n-1].RSS = u.RSS
				}
			}
			if cfg.Progress != nil {
				cfg.Progress("idle", s)
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}
