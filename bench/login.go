package bench

import (
	"context"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// login is Login at a rate, in logins per second; 0: as fast as it goes.
func (f *Clients) login(ctx context.Context, n int, rate float64) error {
	if rate <= 0 {
		return f.Login(ctx, n)
	}
	f.pace = time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer func() { f.pace.Stop(); f.pace = nil }()
	return f.Login(ctx, n)
}

// timeLogins begins to record how long logins take; the answer sums it up.
func (f *Clients) timeLogins() (sum func() Latency) {
	var mu sync.Mutex
	hist := newHistogram()
	f.onReady = func(took time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		record(hist, took)
	}
	return func() Latency {
		mu.Lock()
		defer mu.Unlock()
		return summary([]*hdrhistogram.Histogram{hist})
	}
}

// LoginConfig says how often clients log in and go again.
type LoginConfig struct {
	Count     int // logins in all
	ServerPID int // process whose CPU is counted; 0: none
}

// LoginResult is what that cost.
type LoginResult struct {
	Logins      int      `json:"logins"`
	Failed      int      `json:"failed"`
	Errors      []string `json:"errors,omitempty"`
	PerSecond   float64  `json:"per_second"`
	ServerCPU   float64  `json:"server_cpu_s,omitempty"` // seconds
	CPUPerLogin float64  `json:"server_cpu_us_per_login,omitempty"`
	Latency     Latency  `json:"latency"` // from connecting to the own presence
}

// LoginStorm logs clients in, as many at once as the fleet allows, and lets each
// go as soon as it is available.
func (f *Clients) LoginStorm(ctx context.Context, cfg LoginConfig) (LoginResult, error) {
	hist := f.timeLogins()
	f.leave = true
	if err := f.sync(ctx); err != nil {
		return LoginResult{}, err
	}
	before, err := serverUsage(cfg.ServerPID)
	if err != nil {
		return LoginResult{}, err
	}
	start := time.Now()
	r := LoginResult{Logins: cfg.Count}
	if err := f.Login(ctx, cfg.Count); err != nil {
		r.Errors = append(r.Errors, err.Error())
	}
	took := time.Since(start)
	f.left.Wait()
	after, err := serverUsage(cfg.ServerPID)
	if err != nil {
		return r, err
	}
	r.Failed = f.Status().Failed
	r.PerSecond = float64(r.Logins-r.Failed) / took.Seconds()
	r.ServerCPU = (after.CPU - before.CPU).Seconds()
	r.Latency = hist()
	r.derive()
	return r, ctx.Err()
}

// derive computes what follows from the other figures.
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
