package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"roost/bench"
)

// scenario is what differs between the commands that put load on a server; R is
// what it measures.
type scenario[R any] interface {
	defaults()                     // of flags, made of others
	check() error                  // of the flags
	need() (clients, accounts int) // at once
	divide(i, n int)               // leaves the i-th of n parts
	run(context.Context, *bench.Fleet) (R, error)
	rows(R) (title string, rows [][2]string)
	verdict(R) error // of a run that came to its end
}

// defaultInFlight is how many logins are under way at once where there are enough
// clients.
const defaultInFlight = 100

// benchIdleCmd is many clients that do nothing.
type benchIdleCmd struct {
	fleetFlags
	Sessions int           `env:"-" default:"15000" placeholder:"N" help:"Clients in all (default: ${default})."`
	Base     int           `env:"-" default:"-1" placeholder:"N" help:"Memory per client is the growth from this number of them on (default: 2000, or a tenth of --sessions where that is less)."`
	Rate     float64       `env:"-" default:"0" placeholder:"N" help:"Logins per second; 0: as fast as it goes (default: ${default})."`
	Settle   time.Duration `env:"-" default:"2m" placeholder:"TIME" help:"Rest before memory is read (default: ${default})."`
	Hold     time.Duration `env:"-" default:"0s" placeholder:"TIME" help:"How long the clients then idle while the server's CPU is counted (default: ${default})."`
	Ping     time.Duration `env:"-" default:"1m" placeholder:"TIME" help:"Each sends a white-space ping so often meanwhile; 0s: never (default: ${default})."`
}

// Run measures.
func (c *benchIdleCmd) Run() error { return measure[bench.IdleResult](&c.fleetFlags, c) }

func (c *benchIdleCmd) defaults() {
	byDefault(&c.Base, min(2000, c.Sessions/10))
	byDefault(&c.InFlight, max(1, min(defaultInFlight, c.Sessions)))
}

func (c *benchIdleCmd) check() error {
	if c.Base < 0 || c.Base >= c.Sessions || c.Rate < 0 {
		return usageError(fmt.Sprintf("--base %d must be below --sessions %d, --rate at least 0", c.Base, c.Sessions))
	}
	return nil
}

func (c *benchIdleCmd) need() (clients, accounts int) { return c.Sessions, c.Sessions }

func (c *benchIdleCmd) divide(i, n int) {
	c.First += before(c.Sessions, i, n)
	c.Sessions, c.Base, c.Rate = part(c.Sessions, i, n), part(c.Base, i, n), c.Rate/float64(n)
}

func (c *benchIdleCmd) run(ctx context.Context, f *bench.Fleet) (bench.IdleResult, error) {
	return f.Idle(ctx, bench.IdleConfig{
		Sessions: c.Sessions, Base: c.Base, Rate: c.Rate, Settle: c.Settle, Hold: c.Hold, Ping: c.Ping, ServerPID: c.ServerPID,
	})
}

func (c *benchIdleCmd) rows(r bench.IdleResult) (title string, rows [][2]string) {
	return "Idle clients", [][2]string{
		{"clients", fmt.Sprintf("%s (%d failed, %d were disconnected)", humanize.Comma(int64(r.Sessions)), r.Failed, r.Lost)},
		{"logins", number(r.LoginsPerSecond, "per second")},
		{"server, CPU per login", number(r.CPUPerLogin, "us")},
		{"server, memory per client", number(r.BytesPerSession, fmt.Sprintf("B (growth from %s clients on)", humanize.Comma(int64(r.Base))))},
		{"server, memory in all", memorySize(r.RSS)},
		{"server, CPU while idle", number(r.IdleCPU, "% of one CPU")},
	}
}

func (c *benchIdleCmd) verdict(r bench.IdleResult) error { return failures(r.Failed+r.Lost, r.Errors) }

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
func (c *benchMessageCmd) Run() error { return measure[bench.MessageResult](&c.fleetFlags, c) }

func (c *benchMessageCmd) defaults() {
	byDefault(&c.InFlight, max(1, min(defaultInFlight, 2*c.Pairs+c.Idle)))
}

func (c *benchMessageCmd) check() error {
	if c.Pairs < c.Processes || c.Idle < 0 || c.Rate < 0 {
		return usageError("--pairs must be at least 1 for each process, --idle and --rate at least 0")
	}
	return nil
}

func (c *benchMessageCmd) need() (clients, accounts int) {
	n := 2*c.Pairs + c.Idle
	return n, n
}

func (c *benchMessageCmd) divide(i, n int) {
	c.First += 2*before(c.Pairs, i, n) + before(c.Idle, i, n)
	c.Pairs, c.Idle, c.Rate = part(c.Pairs, i, n), part(c.Idle, i, n), c.Rate/float64(n)
}

func (c *benchMessageCmd) run(ctx context.Context, f *bench.Fleet) (r bench.MessageResult, err error) {
	if err := f.Login(ctx, 2*c.Pairs+c.Idle); err != nil {
		return r, err
	}
	return f.Message(ctx, bench.MessageConfig{Pairs: c.Pairs, Rate: c.Rate, Warmup: c.Warmup, Duration: c.Duration, ServerPID: c.ServerPID})
}

func (c *benchMessageCmd) rows(r bench.MessageResult) (title string, rows [][2]string) {
	return "Messages", append([][2]string{
		{"clients", fmt.Sprintf("%s, %s pairs of them talk", humanize.Comma(int64(r.Sessions)), humanize.Comma(int64(r.Pairs)))},
		{"messages delivered", humanize.Comma(r.Messages)},
		{"", number(r.PerSecond, "per second")},
		{"server, CPU per message", number(r.CPUPerMessage, "us")},
	}, latencyRows(r.Latency)...)
}

func (c *benchMessageCmd) verdict(r bench.MessageResult) error {
	if r.Messages == 0 {
		return errors.New("no message arrived")
	}
	return nil
}

// benchLoginCmd is clients that come and go.
type benchLoginCmd struct {
	fleetFlags
	Count    int `env:"-" default:"5000" placeholder:"N" help:"Logins in all (default: ${default})."`
	Accounts int `env:"-" default:"-1" placeholder:"N" help:"Accounts that they share (default: 1000, or --count where that is less)."`
}

// Run measures.
func (c *benchLoginCmd) Run() error { return measure[bench.LoginResult](&c.fleetFlags, c) }

func (c *benchLoginCmd) defaults() {
	byDefault(&c.Accounts, min(1000, c.Count))
	byDefault(&c.InFlight, max(1, min(defaultInFlight, c.Accounts)))
}

func (c *benchLoginCmd) check() error {
	if c.Count < c.Processes || c.Accounts < c.Processes {
		return usageError("--count and --accounts must be at least 1 for each process")
	}
	if c.Accounts < c.InFlight {
		return usageError(fmt.Sprintf("--accounts %d must be at least --in-flight %d: an account logs in once at a time", c.Accounts, c.InFlight))
	}
	return nil
}

func (c *benchLoginCmd) need() (clients, accounts int) { return c.InFlight, c.Accounts }

func (c *benchLoginCmd) divide(i, n int) {
	c.First += before(c.Accounts, i, n)
	c.Count, c.Accounts = part(c.Count, i, n), part(c.Accounts, i, n)
}

func (c *benchLoginCmd) run(ctx context.Context, f *bench.Fleet) (bench.LoginResult, error) {
	return f.LoginStorm(ctx, bench.LoginConfig{Count: c.Count, ServerPID: c.ServerPID})
}

func (c *benchLoginCmd) rows(r bench.LoginResult) (title string, rows [][2]string) {
	return "Logins", append([][2]string{
		{"logins", fmt.Sprintf("%s (%d failed)", humanize.Comma(int64(r.Logins)), r.Failed)},
		{"", number(r.PerSecond, "per second")},
		{"server, CPU per login", number(r.CPUPerLogin, "us")},
	}, latencyRows(r.Latency)...)
}

func (c *benchLoginCmd) verdict(r bench.LoginResult) error { return failures(r.Failed, r.Errors) }

// benchPresenceCmd is clients that see each other change their presence.
type benchPresenceCmd struct {
	fleetFlags
	Sessions int           `env:"-" default:"1000" placeholder:"N" help:"Clients (default: ${default})."`
	Contacts int           `env:"-" default:"-1" placeholder:"N" help:"Mutual contacts of each; those that are not there are made (default: 10, or all others of a process where there are fewer)."`
	Rate     float64       `env:"-" default:"500" placeholder:"N" help:"Changes of presence per second in all (default: ${default})."`
	Duration time.Duration `env:"-" default:"10s" placeholder:"TIME" help:"Counted (default: ${default})."`
}

// Run measures.
func (c *benchPresenceCmd) Run() error { return measure[bench.PresenceResult](&c.fleetFlags, c) }

func (c *benchPresenceCmd) defaults() {
	byDefault(&c.Contacts, min(10, c.Sessions/c.Processes-1))
	byDefault(&c.InFlight, max(1, min(defaultInFlight, c.Sessions)))
}

func (c *benchPresenceCmd) check() error {
	if c.Sessions < 2*c.Processes {
		return usageError("--sessions must be at least 2 for each process")
	}
	if c.Contacts < 1 || c.Contacts >= c.Sessions/c.Processes || c.Rate <= 0 {
		return usageError("--contacts must be at least 1 and below the --sessions of each process, --rate above 0")
	}
	return nil
}

func (c *benchPresenceCmd) need() (clients, accounts int) { return c.Sessions, c.Sessions }

func (c *benchPresenceCmd) divide(i, n int) {
	c.First += before(c.Sessions, i, n)
	c.Sessions, c.Rate = part(c.Sessions, i, n), c.Rate/float64(n)
}

func (c *benchPresenceCmd) run(ctx context.Context, f *bench.Fleet) (r bench.PresenceResult, err error) {
	if err := f.Login(ctx, c.Sessions); err != nil {
		return r, err
	}
	return f.Presence(ctx, bench.PresenceConfig{Contacts: c.Contacts, Rate: c.Rate, Duration: c.Duration, ServerPID: c.ServerPID})
}

func (c *benchPresenceCmd) rows(r bench.PresenceResult) (title string, rows [][2]string) {
	return "Presence", append([][2]string{
		{"clients", fmt.Sprintf("%s, with %d contacts each", humanize.Comma(int64(r.Sessions)), r.Contacts)},
		{"changes of presence", humanize.Comma(r.Changes)},
		{"delivered to contacts", humanize.Comma(r.Delivered)},
		{"", number(r.PerSecond, "per second")},
		{"server, CPU per delivered one", number(r.CPUPerPresence, "us")},
	}, latencyRows(r.Latency)...)
}

func (c *benchPresenceCmd) verdict(r bench.PresenceResult) error {
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
func (c *benchReconnectCmd) Run() error { return measure[bench.ReconnectResult](&c.fleetFlags, c) }

func (c *benchReconnectCmd) defaults() {
	byDefault(&c.InFlight, max(1, min(defaultInFlight, c.Sessions)))
}

func (c *benchReconnectCmd) check() error {
	if c.Sessions < c.Processes {
		return usageError("--sessions must be at least 1 for each process")
	}
	return nil
}

func (c *benchReconnectCmd) need() (clients, accounts int) { return c.Sessions, c.Sessions }

func (c *benchReconnectCmd) divide(i, n int) {
	c.First += before(c.Sessions, i, n)
	c.Sessions = part(c.Sessions, i, n)
}

func (c *benchReconnectCmd) run(ctx context.Context, f *bench.Fleet) (bench.ReconnectResult, error) {
	return f.Reconnect(ctx, bench.ReconnectConfig{Sessions: c.Sessions, ServerPID: c.ServerPID})
}

func (c *benchReconnectCmd) rows(r bench.ReconnectResult) (title string, rows [][2]string) {
	return "Reconnection", append([][2]string{
		{"clients dropped at once", humanize.Comma(int64(r.Sessions))},
		{"all back after", fmt.Sprintf("%.1f s (%d failed)", r.Seconds, r.Failed)},
		{"logins", number(r.PerSecond, "per second")},
		{"server, CPU per login", number(r.CPUPerLogin, "us")},
		{"server, memory at its peak", memorySize(r.PeakRSS)},
	}, latencyRows(r.Latency)...)
}

func (c *benchReconnectCmd) verdict(r bench.ReconnectResult) error {
	return failures(r.Failed, r.Errors)
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

// part is the i-th of n nearly equal parts of all, before the sum of those before it.
func part(all, i, n int) int { return before(all, i+1, n) - before(all, i, n) }

func before(all, i, n int) int { return all * i / n }
