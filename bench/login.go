package bench

import (
	"context"
	"time"
)

// login is Login at a rate in logins per second; 0: as fast as possible.
func (cs *Clients) login(ctx context.Context, n int, rate float64) error {
	if rate <= 0 {
		return cs.Login(ctx, n)
	}
	cs.pace = time.NewTicker(max(1, time.Duration(float64(time.Second)/rate)))
	defer func() { cs.pace.Stop(); cs.pace = nil }()
	return cs.Login(ctx, n)
}

// timeLogins starts recording the latencies of logins. The returned function summarizes
// them.
func (cs *Clients) timeLogins() (sum func() Latency) {
	all := newLoopLatencies(1) // of all loops
	cs.onReady = all[0].record
	return func() Latency { return ofLoops(all) }
}

// LoginConfig configures a run of LoginStorm.
type LoginConfig struct {
	Count   int     // total number of logins
	Rate    float64 // logins per second; 0: as fast as possible
	Servers []int   // processes whose CPU time is measured; nil: none
}

// LoginResult is the result of LoginStorm.
type LoginResult struct {
	Logins      int      `json:"logins"`
	Failed      int      `json:"failed"`
	Errors      []string `json:"errors,omitempty"`
	PerSecond   float64  `json:"per_second"`
	ServerCPU   float64  `json:"server_cpu_s,omitempty"` // seconds
	CPUPerLogin float64  `json:"server_cpu_us_per_login,omitempty"`
	Latency     Latency  `json:"latency"` // from connecting to the client's own presence
}

// LoginStorm logs clients in, at most Config.InFlight at once, and lets each leave as soon
// as it is available.
func (cs *Clients) LoginStorm(ctx context.Context, cfg LoginConfig) (LoginResult, error) {
	hist := cs.timeLogins()
	cs.leave = true
	if err := cs.sync(ctx); err != nil {
		return LoginResult{}, err
	}
	before, err := ReadUsage(cfg.Servers...)
	if err != nil {
		return LoginResult{}, err
	}
	start := time.Now()
	r := LoginResult{Logins: cfg.Count}
	if err := cs.login(ctx, cfg.Count, cfg.Rate); err != nil {
		r.Errors = append(r.Errors, err.Error())
	}
	took := time.Since(start)
	cs.open.Wait()
	after, err := ReadUsage(cfg.Servers...)
	if err != nil {
		return r, err
	}
	r.Failed = cs.Status().Failed
	r.PerSecond = float64(r.Logins-r.Failed) / took.Seconds()
	r.ServerCPU = (after.CPU - before.CPU).Seconds()
	r.Latency = hist()
	r.derive()
	return r, ctx.Err()
}

// derive computes the derived figures.
func (r *LoginResult) derive() {
	if n := float64(r.Logins - r.Failed); n > 0 {
		r.CPUPerLogin = 1e6 * r.ServerCPU / n
	}
}

func (r *LoginResult) add(o LoginResult) {
	r.Logins += o.Logins
	r.Failed += o.Failed
	r.Errors = joinErrors(r.Errors, o.Errors)
	r.PerSecond += o.PerSecond
	r.ServerCPU = max(r.ServerCPU, o.ServerCPU)
	r.Latency.add(o.Latency)
	r.derive()
}

func (r *LoginResult) latency() *Latency { return &r.Latency }
