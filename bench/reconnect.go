package bench

import (
	"context"
	"time"
)

// ReconnectConfig configures a run of Reconnect.
type ReconnectConfig struct {
	Sessions int   // number of clients
	Servers  []int // processes whose CPU time is measured; nil: none
}

// ReconnectResult is the result of Reconnect.
type ReconnectResult struct {
	Sessions    int      `json:"sessions"`
	Failed      int      `json:"failed"`
	Errors      []string `json:"errors,omitempty"`
	Seconds     float64  `json:"seconds"` // from the drop until all clients were available again
	PerSecond   float64  `json:"per_second"`
	ServerCPU   float64  `json:"server_cpu_s,omitempty"`            // seconds
	CPUPerLogin float64  `json:"server_cpu_us_per_login,omitempty"` // including the cost of the drop
	PeakRSS     int64    `json:"server_peak_rss,omitempty"`         // bytes, sampled twice a second
	Latency     Latency  `json:"latency"`                           // of one login
}

// Reconnect logs clients in, drops all of them at once, as when a network fails, and logs
// them in again as fast as possible. Config.Accounts must equal cfg.Sessions.
func (cs *Clients) Reconnect(ctx context.Context, cfg ReconnectConfig) (ReconnectResult, error) {
	r := ReconnectResult{Sessions: cfg.Sessions}
	if err := cs.Login(ctx, cfg.Sessions); err != nil {
		return r, err
	}
	if err := cs.sync(ctx); err != nil {
		return r, err
	}
	before, err := ReadUsage(cfg.Servers...)
	if err != nil {
		return r, err
	}
	hist := cs.timeLogins()
	stop := sampleMemory(cfg.Servers, func() int { return cs.Status().Online })
	start := time.Now()
	cs.Drop(cfg.Sessions)
	if err := cs.Login(ctx, cfg.Sessions); err != nil {
		r.Errors = append(r.Errors, err.Error())
	}
	r.Seconds = time.Since(start).Seconds()
	samples := stop()
	after, err := ReadUsage(cfg.Servers...)
	if err != nil {
		return r, err
	}
	r.Failed = cs.Status().Failed
	r.ServerCPU = (after.CPU - before.CPU).Seconds()
	for _, s := range samples {
		r.PeakRSS = max(r.PeakRSS, s.RSS)
	}
	r.Latency = hist()
	r.derive()
	return r, ctx.Err()
}

// derive computes the derived figures.
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
