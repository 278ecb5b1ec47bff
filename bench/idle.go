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
}

// IdleResult is what they cost.
type IdleResult struct {
	Sessions        int      `json:"sessions"`
	Base            int      `json:"base"`
	Failed          int      `json:"failed"`
	Lost            int      `json:"lost"`
	Errors          []string `json:"errors,omitempty"`
	LoginsPerSecond float64  `json:"logins_per_second"`
	ServerCPU       float64  `json:"server_cpu_s,omitempty"` // seconds, from the rest at Base to that at Sessions
	CPUPerLogin     float64  `json:"server_cpu_us_per_login,omitempty"`
	BaseRSS         int64    `json:"server_rss_at_base,omitempty"` // bytes
	RSS             int64    `json:"server_rss,omitempty"`         // bytes
	BytesPerSession float64  `json:"server_rss_bytes_per_session,omitempty"`
	IdleCPU         float64  `json:"server_idle_cpu_percent,omitempty"` // of one CPU
	Growth          []Sample `json:"growth,omitempty"`
}

// derive computes what follows from the other figures.
func (r *IdleResult) derive() {
	if n := float64(r.Sessions - r.Base); n > 0 {
		r.CPUPerLogin = 1e6 * r.ServerCPU / n
		r.BytesPerSession = float64(r.RSS-r.BaseRSS) / n
	}
}

func (r *IdleResult) add(o IdleResult) {
	r.Sessions += o.Sessions
	r.Base += o.Base
	r.Failed += o.Failed
	r.Lost += o.Lost
	r.Errors = joinErrors(r.Errors, o.Errors)
	r.LoginsPerSecond += o.LoginsPerSecond
	r.ServerCPU = max(r.ServerCPU, o.ServerCPU)
	r.BaseRSS = max(r.BaseRSS, o.BaseRSS)
	r.RSS = max(r.RSS, o.RSS)
	r.IdleCPU = max(r.IdleCPU, o.IdleCPU)
	r.derive()
}

func (*IdleResult) latency() *Latency { return nil }

func (r *IdleResult) grew(samples []Sample) { r.Growth = samples }

// Sample is the server's memory at one number of sessions.
type Sample struct {
	Sessions int   `json:"sessions"`
	RSS      int64 `json:"rss"` // bytes
}

// Idle logs clients in and watches what they cost while they do nothing.
func (f *Clients) Idle(ctx context.Context, cfg IdleConfig) (IdleResult, error) {
	if cfg.Settle <= 0 {
		cfg.Settle = 2 * time.Minute
	}
	r := IdleResult{Base: cfg.Base, Sessions: cfg.Sessions}
	stop := sampleMemory(cfg.ServerPID, func() int { return f.Status().Online })
	err := f.idle(ctx, cfg, &r)
	r.Growth = stop()
	r.derive()
	return r, err
}

func (f *Clients) idle(ctx context.Context, cfg IdleConfig, r *IdleResult) error {
	if err := f.login(ctx, cfg.Base, cfg.Rate); err != nil {
		return err
	}
	base, err := f.settled(ctx, cfg)
	if err != nil {
		return err
	}
	start := time.Now()
	if err := f.login(ctx, cfg.Sessions-cfg.Base, cfg.Rate); err != nil {
		r.Errors = append(r.Errors, err.Error())
	}
	r.LoginsPerSecond = float64(cfg.Sessions-cfg.Base) / time.Since(start).Seconds()
	full, err := f.settled(ctx, cfg)
	if err != nil {
		return err
	}
	s := f.Status()
	r.Failed, r.Lost, r.BaseRSS, r.RSS = s.Failed, s.Lost, base.RSS, full.RSS
	r.ServerCPU = (full.CPU - base.CPU).Seconds()
	if cfg.Hold > 0 {
		return f.hold(ctx, cfg, r)
	}
	return nil
}

// settled reads the server's usage after a rest, and goes on when everybody has.
func (f *Clients) settled(ctx context.Context, cfg IdleConfig) (u Usage, err error) {
	if cfg.ServerPID == 0 {
		return u, f.sync(ctx)
	}
	if err := f.sync(ctx); err != nil {
		return u, err
	}
	f.enter(phaseSettle, nil)
	if err := rest(ctx, cfg.Settle); err != nil {
		return u, err
	}
	if u, err = ReadUsage(cfg.ServerPID); err != nil {
		return u, err
	}
	return u, f.sync(ctx)
}

// hold keeps the clients idle, with pings spread evenly.
func (f *Clients) hold(ctx context.Context, cfg IdleConfig, r *IdleResult) error {
	f.enter(phaseIdle, nil)
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
func (f *Clients) ping(ctx context.Context, every time.Duration) {
	clients := f.All()
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
