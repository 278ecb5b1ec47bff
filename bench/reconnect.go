package bench

import (
	"context"
	"time"
)

// ReconnectConfig says how many clients are dropped and come back.
type ReconnectConfig struct {
	Sessions  int // in all
	ServerPID int // process whose CPU is counted; 0: none
}

// ReconnectResult is how that went.
type ReconnectResult struct {
	Sessions    int      `json:"sessions"`
	Failed      int      `json:"failed"`
	Errors      []string `json:"errors,omitempty"`
	Seconds     float64  `json:"seconds"` // from the drop until all were back
	PerSecond   float64  `json:"per_second"`
	ServerCPU   float64  `json:"server_cpu_s,omitempty"`            // seconds
	CPUPerLogin float64  `json:"server_cpu_us_per_login,omitempty"` // with what the drop itself cost
	PeakRSS     int64    `json:"server_peak_rss,omitempty"`         // bytes, sampled twice a second
	Latency     Latency  `json:"latency"`                           // of a login
}

// Reconnect logs clients in, drops all of them at once, as when a network fails,
// and logs them in again as fast as it goes. The fleet has as many accounts.
func (f *Clients) Reconnect(ctx context.Context, cfg ReconnectConfig) (ReconnectResult, error) {
	r := ReconnectResult{Sessions: cfg.Sessions}
	if err := f.Login(ctx, cfg.Sessions); err != nil {
		return r, err
	}
	if err := f.sync(ctx); err != nil {
		return r, err
	}
	before, err := serverUsage(cfg.ServerPID)
	if err != nil {
		return r, err
	}
	hist := f.timeLogins()
	stop := sampleMemory(cfg.ServerPID, func() int { return f.Status().Online })
	start := time.Now()
	f.Drop(cfg.Sessions)
	if err := f.Login(ctx, cfg.Sessions); err != nil {
		r.Errors = append(r.Errors, err.Error())
	}
	r.Seconds = time.Since(start).Seconds()
	samples := stop()
	after, err := serverUsage(cfg.ServerPID)
	if err != nil {
		return r, err
	}
	r.Failed = f.Status().Failed
	r.ServerCPU = (after.CPU - before.CPU).Seconds()
	for _, s := range samples {
		r.PeakRSS = max(r.PeakRSS, s.RSS)
	}
	r.Latency = hist()
	r.derive()
	return r, ctx.Err()
}

// derive computes what follows from the other figures.
func (r *ReconnectResult) derive() {
	n := float64(r.Sessions - r.Failed)
	r.PerSecond = n / r.Seconds
	if n > 0 {
		r.CPUPerLogin = 1e6 * r.ServerCPU / n
	}
}

func (r *ReconnectResult) add(o ReconnectResult) {
	r.Sessions += o.Sessions
	r.Failed += o.Failed
	r.Errors = joinErrors(r.Errors, o.Errors)
	r.Seconds = max(r.Seconds, o.Seconds)
	r.ServerCPU = max(r.ServerCPU, o.ServerCPU)
	r.PeakRSS = max(r.PeakRSS, o.PeakRSS)
	r.Latency.add(o.Latency)
	r.derive()
}

func (r *ReconnectResult) latency() *Latency { return &r.Latency }
