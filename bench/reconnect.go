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
	CPUPerLogin float64  `json:"server_cpu_us_per_login,omitempty"` // with what the drop itself cost
	PeakRSS     int64    `json:"server_peak_rss,omitempty"`         // bytes, sampled twice a second
	Latency     Latency  `json:"latency"`                           // of a login
}

// Reconnect logs clients in, drops all of them at once, as when a network fails,
// and logs them in again as fast as it goes. The fleet has as many accounts.
func (f *Fleet) Reconnect(ctx context.Context, cfg ReconnectConfig) (ReconnectResult, error) {
	r := ReconnectResult{Sessions: cfg.Sessions}
	if err := f.Login(ctx, cfg.Sessions); err != nil {
		return r, err
	}
	before, err := serverUsage(cfg.ServerPID)
	if err != nil {
		return r, err
	}
	hist := f.timeLogins()
	growth := IdleResult{}
	stop := f.watch(ctx, IdleConfig{ServerPID: cfg.ServerPID}, &growth)
	start := time.Now()
	f.Drop(cfg.Sessions)
	if err := f.Login(ctx, cfg.Sessions); err != nil {
		r.Errors = append(r.Errors, err.Error())
	}
	r.Seconds = time.Since(start).Seconds()
	stop()
	after, err := serverUsage(cfg.ServerPID)
	if err != nil {
		return r, err
	}
	r.Failed = f.Status().Failed
	r.PerSecond = float64(cfg.Sessions-r.Failed) / r.Seconds
	if n := float64(cfg.Sessions - r.Failed); n > 0 {
		r.CPUPerLogin = us(after.CPU-before.CPU) / n
	}
	for _, g := range growth.Growth {
		r.PeakRSS = max(r.PeakRSS, g.RSS)
	}
	r.Latency = hist()
	return r, ctx.Err()
}
