package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"roost/bench"
)

// benchIdleCmd is many clients that do nothing.
type benchIdleCmd struct {
	fleetFlags
	Sessions int           `env:"-" default:"15000" placeholder:"N" help:"Clients in all (default: ${default})."`
	Base     int           `env:"-" default:"2000" placeholder:"N" help:"Memory per client is the growth from this number of them on (default: ${default})."`
	Rate     float64       `env:"-" default:"0" placeholder:"N" help:"Logins per second; 0: as fast as it goes (default: ${default})."`
	Settle   time.Duration `env:"-" default:"2m" placeholder:"TIME" help:"Rest before memory is read (default: ${default})."`
	Hold     time.Duration `env:"-" default:"0s" placeholder:"TIME" help:"How long the clients then idle while the server's CPU is counted (default: ${default})."`
	Ping     time.Duration `env:"-" default:"1m" placeholder:"TIME" help:"Each sends a white-space ping so often meanwhile; 0s: never (default: ${default})."`
}

// Run measures.
func (c *benchIdleCmd) Run() error {
	if c.Base < 0 || c.Base >= c.Sessions {
		return usageError(fmt.Sprintf("--base %d must be below --sessions %d", c.Base, c.Sessions))
	}
	if err := c.jidOK(); err != nil {
		return err
	}
	ctx, stop := interrupted()
	defer stop()
	f, err := c.start(ctx, c.Sessions, c.Sessions)
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := f.Idle(ctx, bench.IdleConfig{
		Sessions: c.Sessions, Base: c.Base, Rate: c.Rate, Settle: c.Settle, Hold: c.Hold, Ping: c.Ping,
		ServerPID: c.ServerPID, Progress: live(os.Stderr),
	})
	if err != nil {
		return err
	}
	rows := [][2]string{
		{"clients", fmt.Sprintf("%s (%d failed, %d were disconnected)", humanize.Comma(int64(r.Sessions)), r.Failed, r.Lost)},
		{"logins", number(r.LoginsPerSecond, "per second")},
		{"server, CPU per login", number(r.CPUPerLogin, "us")},
		{"server, memory per client", number(r.BytesPerSession, fmt.Sprintf("B (growth from %s clients on)", humanize.Comma(int64(r.Base))))},
		{"server, memory in all", memorySize(r.RSS)},
		{"server, CPU while idle", number(r.IdleCPU, "% of one CPU")},
	}
	if err := c.report(os.Stdout, r, "Idle clients", rows); err != nil {
		return err
	}
	return failures(r.Failed+r.Lost, r.Errors)
}

func memorySize(n int64) string {
	if n == 0 {
		return ""
	}
	return humanize.IBytes(uint64(n))
}

// failures makes the command fail when clients did.
func failures(n int, errs []string) error {
	if n == 0 {
		return nil
	}
	if len(errs) == 0 {
		return fmt.Errorf("%d clients failed", n)
	}
	first, _, _ := strings.Cut(errs[0], "\n")
	return fmt.Errorf("%d clients failed, the first: %s", n, first)
}

// benchMessageCmd is pairs of clients that talk.
type benchMessageCmd struct {
	fleetFlags
	Pairs    int           `env:"-" default:"100" placeholder:"N" help:"Pairs of clients that talk (default: ${default})."`
	Idle     int           `env:"-" default:"0" placeholder:"N" help:"Clients that idle beside them (default: ${default})."`
	Rate     float64       `env:"-" default:"0" placeholder:"N" help:"Messages per second in all; 0: each is answered at once (default: ${default})."`
	Warmup   time.Duration `env:"-" default:"2s" placeholder:"TIME" help:"Not counted (default: ${default})."`
	Duration time.Duration `env:"-" default:"10s" placeholder:"TIME" help:"Counted (default: ${default})."`
}

// Run measures.
func (c *benchMessageCmd) Run() error {
	if c.Pairs < 1 || c.Idle < 0 || c.Rate < 0 {
		return usageError("--pairs must be at least 1, --idle and --rate at least 0")
	}
	if err := c.jidOK(); err != nil {
		return err
	}
	ctx, stop := interrupted()
	defer stop()
	n := 2*c.Pairs + c.Idle
	f, err := c.start(ctx, n, n)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Login(ctx, n); err != nil {
		return err
	}
	r, err := f.Message(ctx, bench.MessageConfig{Pairs: c.Pairs, Rate: c.Rate, Warmup: c.Warmup, Duration: c.Duration, ServerPID: c.ServerPID})
	if err != nil {
		return err
	}
	rows := append([][2]string{
		{"clients", fmt.Sprintf("%s, %s pairs of them talk", humanize.Comma(int64(r.Sessions)), humanize.Comma(int64(r.Pairs)))},
		{"messages delivered", humanize.Comma(r.Messages)},
		{"", number(r.PerSecond, "per second")},
		{"server, CPU per message", number(r.CPUPerMessage, "us")},
	}, latencyRows(r.Latency)...)
	if err := c.report(os.Stdout, r, "Messages", rows); err != nil {
		return err
	}
	if r.Messages == 0 {
		return errors.New("no message arrived")
	}
	return nil
}

// benchLoginCmd is clients that come and go.
type benchLoginCmd struct {
	fleetFlags
	Count    int `env:"-" default:"5000" placeholder:"N" help:"Logins in all (default: ${default})."`
	Accounts int `env:"-" default:"1000" placeholder:"N" help:"Accounts that they share (default: ${default})."`
}

// Run measures.
func (c *benchLoginCmd) Run() error {
	if c.Count < 1 || c.Accounts < 1 {
		return usageError("--count and --accounts must be at least 1")
	}
	if err := c.jidOK(); err != nil {
		return err
	}
	ctx, stop := interrupted()
	defer stop()
	f, err := c.start(ctx, c.InFlight, c.Accounts)
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := f.LoginStorm(ctx, bench.LoginConfig{Count: c.Count, ServerPID: c.ServerPID})
	if err != nil {
		return err
	}
	rows := append([][2]string{
		{"logins", fmt.Sprintf("%s (%d failed)", humanize.Comma(int64(r.Logins)), r.Failed)},
		{"", number(r.PerSecond, "per second")},
		{"server, CPU per login", number(r.CPUPerLogin, "us")},
	}, latencyRows(r.Latency)...)
	if err := c.report(os.Stdout, r, "Logins", rows); err != nil {
		return err
	}
	return failures(r.Failed, r.Errors)
}

// benchPresenceCmd is clients that see each other change their presence.
type benchPresenceCmd struct {
	fleetFlags
	Sessions int           `env:"-" default:"1000" placeholder:"N" help:"Clients (default: ${default})."`
	Contacts int           `env:"-" default:"10" placeholder:"N" help:"Mutual contacts of each; those that are not there are made (default: ${default})."`
	Rate     float64       `env:"-" default:"500" placeholder:"N" help:"Changes of presence per second in all (default: ${default})."`
	Duration time.Duration `env:"-" default:"10s" placeholder:"TIME" help:"Counted (default: ${default})."`
}

// Run measures.
func (c *benchPresenceCmd) Run() error {
	if c.Contacts < 1 || c.Contacts >= c.Sessions || c.Rate <= 0 {
		return usageError("--contacts must be at least 1 and below --sessions, --rate above 0")
	}
	if err := c.jidOK(); err != nil {
		return err
	}
	ctx, stop := interrupted()
	defer stop()
	f, err := c.start(ctx, c.Sessions, c.Sessions)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Login(ctx, c.Sessions); err != nil {
		return err
	}
	r, err := f.Presence(ctx, bench.PresenceConfig{Contacts: c.Contacts, Rate: c.Rate, Duration: c.Duration, ServerPID: c.ServerPID})
	if err != nil {
		return err
	}
	rows := append([][2]string{
		{"clients", fmt.Sprintf("%s, with %d contacts each", humanize.Comma(int64(r.Sessions)), r.Contacts)},
		{"changes of presence", humanize.Comma(r.Changes)},
		{"delivered to contacts", humanize.Comma(r.Delivered)},
		{"", number(r.PerSecond, "per second")},
		{"server, CPU per delivered one", number(r.CPUPerPresence, "us")},
	}, latencyRows(r.Latency)...)
	if err := c.report(os.Stdout, r, "Presence", rows); err != nil {
		return err
	}
	if r.Delivered == 0 {
		return errors.New("no presence arrived")
	}
	return nil
}

// benchReconnectCmd is clients that all come back at once.
type benchReconnectCmd struct {
	fleetFlags
	Sessions int `env:"-" default:"5000" placeholder:"N" help:"Clients (default: ${default})."`
}

// Run measures.
func (c *benchReconnectCmd) Run() error {
	if c.Sessions < 1 {
		return usageError("--sessions must be at least 1")
	}
	if err := c.jidOK(); err != nil {
		return err
	}
	ctx, stop := interrupted()
	defer stop()
	f, err := c.start(ctx, c.Sessions, c.Sessions)
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := f.Reconnect(ctx, bench.ReconnectConfig{Sessions: c.Sessions, ServerPID: c.ServerPID})
	if err != nil {
		return err
	}
	rows := append([][2]string{
		{"clients dropped at once", humanize.Comma(int64(r.Sessions))},
		{"all back after", fmt.Sprintf("%.1f s (%d failed)", r.Seconds, r.Failed)},
		{"logins", number(r.PerSecond, "per second")},
		{"server, CPU per login", number(r.CPUPerLogin, "us")},
		{"server, memory at its peak", memorySize(r.PeakRSS)},
	}, latencyRows(r.Latency)...)
	if err := c.report(os.Stdout, r, "Reconnection", rows); err != nil {
		return err
	}
	return failures(r.Failed, r.Errors)
}
