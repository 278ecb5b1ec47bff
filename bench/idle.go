package bench

import (
	"context"
	"time"
)

// IdleConfig configures a run of Idle.
type IdleConfig struct {
	Sessions int           // total number of clients
	Base     int           // number of sessions at which memory is read first; less than Sessions
	Rate     float64       // logins per second; 0: as fast as possible
	Settle   time.Duration // pause before memory is read
	Hold     time.Duration // how long clients then stay idle while CPU time is measured
	Ping     time.Duration // interval of each client's white-space pings while idle; 0: never
	Detach   bool          // clients lose their connections before memory is read, so that their sessions are detached; Hold must be 0
	Servers  []int         // processes that are measured; nil: none
}

// IdleResult is the result of Idle.
type IdleResult struct {
	Sessions        int      `json:"sessions"`
	Base            int      `json:"base"`
	Failed          int      `json:"failed"`
	Lost            int      `json:"lost"`
	Errors          []string `json:"errors,omitempty"`
	LoginsPerSecond float64  `json:"logins_per_second"`
	ServerCPU       float64  `json:"server_cpu_s,omitempty"` // seconds, from the memory reading at Base to that at Sessions
	CPUPerLogin     float64  `json:"server_cpu_us_per_login,omitempty"`
	BaseRSS         int64    `json:"server_rss_at_base,omitempty"` // bytes
	RSS             int64    `json:"server_rss,omitempty"`         // bytes
	BytesPerSession float64  `json:"server_rss_bytes_per_session,omitempty"`
	IdleCPU         float64  `json:"server_idle_cpu_percent,omitempty"` // percent of one CPU
	Growth          []Sample `json:"growth,omitempty"`
}

// derive computes the derived figures.
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

var _ memorySeries = (*IdleResult)(nil)

func (r *IdleResult) setGrowth(samples []Sample) { r.Growth = samples }

// Sample is the server's memory at one number of sessions.
type Sample struct {
	Sessions int   `json:"sessions"`
	RSS      int64 `json:"rss"` // bytes
}

// Idle logs clients in and measures what they cost while they are idle.
func (cs *Clients) Idle(ctx context.Context, cfg IdleConfig) (IdleResult, error) {
	r := IdleResult{Base: cfg.Base, Sessions: cfg.Sessions}
	sampled := cfg.Servers
	if cfg.Detach {
		sampled = nil // the number of clients online says nothing about it
	}
	stop := sampleMemory(sampled, func() int { return cs.Status().Online })
	err := cs.idle(ctx, cfg, &r)
	r.Growth = stop()
	r.derive()
	return r, err
}

func (cs *Clients) idle(ctx context.Context, cfg IdleConfig, r *IdleResult) error {
	if err := cs.login(ctx, cfg.Base, cfg.Rate); err != nil {
		return err
	}
	base, err := cs.usageAfterSettle(ctx, cfg)
	if err != nil {
		return err
	}
	start := time.Now()
	if err := cs.login(ctx, cfg.Sessions-cfg.Base, cfg.Rate); err != nil {
		r.Errors = append(r.Errors, err.Error())
	}
	r.LoginsPerSecond = float64(cfg.Sessions-cfg.Base) / time.Since(start).Seconds()
	full, err := cs.usageAfterSettle(ctx, cfg)
	if err != nil {
		return err
	}
	r.BaseRSS, r.RSS = base.RSS, full.RSS
	r.ServerCPU = (full.CPU - base.CPU).Seconds()
	if cfg.Hold > 0 {
		if err := cs.hold(ctx, cfg, r); err != nil {
			return err
		}
	}
	lost, errs := cs.disconnected()
	r.Failed, r.Lost, r.Errors = cs.Status().Failed, lost, joinErrors(r.Errors, errs)
	return nil
}

// detach lets all clients lose their connections. They pause before, so that the server has
// time to request acknowledgements: what is not acknowledged would take memory.
func (cs *Clients) detach(ctx context.Context, pause time.Duration) error {
	if !cs.cfg.SM {
		return errResumedSM
	}
	cs.enter(phaseSettle, nil)
	if err := sleep(ctx, pause); err != nil {
		return err
	}
	clients := cs.All()
	cs.Drop(len(clients))
	cs.open.Wait()
	for _, c := range clients {
		if c.acks.enabled && c.acks.id == "" {
			return errNoResume
		}
	}
	return nil
}

// usageAfterSettle reads the server's usage after cfg.Settle, and returns when all
// processes have done so.
func (cs *Clients) usageAfterSettle(ctx context.Context, cfg IdleConfig) (u Usage, err error) {
	if cfg.Detach {
		if err := cs.detach(ctx, cfg.Settle); err != nil {
			return u, err
		}
	}
	if len(cfg.Servers) == 0 {
		return u, cs.sync(ctx)
	}
	if err := cs.sync(ctx); err != nil {
		return u, err
	}
	cs.enter(phaseSettle, nil)
	if err := sleep(ctx, cfg.Settle); err != nil {
		return u, err
	}
	if u, err = ReadExactUsage(cfg.Servers...); err != nil {
		return u, err
	}
	return u, cs.sync(ctx)
}

// hold keeps the clients idle, with their pings spread evenly over time.
func (cs *Clients) hold(ctx context.Context, cfg IdleConfig, r *IdleResult) error {
	cs.enter(phaseIdle, nil)
	ctx, cancel := context.WithTimeout(ctx, cfg.Hold)
	defer cancel()
	before, err := ReadUsage(cfg.Servers...)
	if err != nil {
		return err
	}
	start := time.Now()
	if cfg.Ping > 0 {
		cs.ping(ctx, cfg.Ping)
	}
	<-ctx.Done()
	after, err := ReadUsage(cfg.Servers...)
	if err != nil {
		return err
	}
	r.IdleCPU = 100 * (after.CPU - before.CPU).Seconds() / time.Since(start).Seconds()
	return nil
}

// ping lets each client send white space once per interval.
func (cs *Clients) ping(ctx context.Context, every time.Duration) {
	clients := cs.All()
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
