package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"roost/bench"
	"roost/internal/cli"
)

// scenario contains what differs between the commands that generate load; R is the type
// of their result.
type scenario[R any] interface {
	defaults()                     // sets flags that depend on others
	check() error                  // checks the flags
	need() (clients, accounts int) // concurrent clients and accounts required
	divide(i, n int)               // keeps the i-th of n parts
	run(context.Context, *bench.Clients) (R, error)
	rows(R) (title string, rows []row)
	verdict(R) error // checks the result of a completed run
}

// defaultInFlight is the number of concurrent logins if there are enough clients.
const defaultInFlight = 100

// idleCmd measures many idle clients.
type idleCmd struct {
	Sessions int           `default:"15000" placeholder:"N" help:"Number of clients (default: ${default})."`
	Base     int           `default:"-1" placeholder:"N" help:"Measure memory per client from this number of clients up (default: 2000, or a tenth of --sessions if that is less)."`
	Rate     float64       `default:"0" placeholder:"N" help:"Logins per second; 0: as fast as possible (default: ${default})."`
	Settle   time.Duration `default:"2m" placeholder:"TIME" help:"Wait before memory is read (default: ${default})."`
	Hold     time.Duration `default:"0s" placeholder:"TIME" help:"How long to measure the server's CPU while the clients are idle (default: ${default})."`
	Ping     time.Duration `default:"1m" placeholder:"TIME" help:"Interval of the white-space pings of each client during --hold; 0s: none (default: ${default})."`
	Detach   bool          `help:"Let the clients lose their connections before memory is read: it is that of sessions that wait to be resumed. --sm is implied."`
	fleetFlags
}

// Run measures.
func (c *idleCmd) Run() error { return measure[bench.IdleResult](&c.fleetFlags, c) }

func (c *idleCmd) defaults() {
	c.SM = c.SM || c.Detach
	byDefault(&c.Base, min(2000, c.Sessions/10))
	byDefault(&c.InFlight, max(1, min(defaultInFlight, c.Sessions)))
}

func (c *idleCmd) check() error {
	if c.Base < 0 || c.Base >= c.Sessions {
		return cli.UsageError(fmt.Sprintf("--base %d must be below --sessions %d", c.Base, c.Sessions))
	}
	if c.Sessions < c.Processes {
		return cli.UsageError("--sessions must be at least 1 for each process")
	}
	if c.Settle < 0 || c.Hold < 0 || c.Ping < 0 {
		return cli.UsageError("--settle, --hold and --ping must be at least 0s")
	}
	if err := checkRate(c.Rate); err != nil {
		return err
	}
	if c.Detach && (c.Hold > 0 || c.Chart != "") {
		return cli.UsageError("--detach: no client is connected when memory is read: leave out --hold and --chart")
	}
	if c.Chart != "" && len(c.ServerPID) == 0 {
		return cli.UsageError("--chart shows the server's memory: --server-pid says which process that is")
	}
	return nil
}

func (c *idleCmd) need() (clients, accounts int) { return c.Sessions, c.Sessions }

func (c *idleCmd) divide(i, n int) {
	c.First += before(c.Sessions, i, n)
	c.Sessions, c.Base, c.Rate = part(c.Sessions, i, n), part(c.Base, i, n), c.Rate/float64(n)
}

func (c *idleCmd) run(ctx context.Context, f *bench.Clients) (bench.IdleResult, error) {
	return f.Idle(ctx, bench.IdleConfig{
		Sessions: c.Sessions, Base: c.Base, Rate: c.Rate, Settle: c.Settle, Hold: c.Hold, Ping: c.Ping, Detach: c.Detach, Servers: c.ServerPID,
	})
}

func (c *idleCmd) rows(r bench.IdleResult) (title string, rows []row) {
	title = "Idle clients"
	if c.Detach {
		title = "Detached sessions"
	}
	return title, []row{
		count("clients", int64(r.Sessions), "", fmt.Sprintf("%d failed, %d were disconnected", r.Failed, r.Lost)),
		measured("logins", r.LoginsPerSecond, "per second", ""),
		measured("server, CPU per login", r.CPUPerLogin, "µs", ""),
		measured("server, memory per client", r.BytesPerSession, "B", fmt.Sprintf("growth beyond %s clients", humanize.Comma(int64(r.Base)))),
		memoryRow("server, total memory", r.RSS),
		measured("server, CPU while idle", r.IdleCPU, "% of one CPU", ""),
	}
}

func (c *idleCmd) verdict(r bench.IdleResult) error { return failures(r.Failed+r.Lost, r.Errors) }

// messageCmd measures pairs of clients that exchange messages.
type messageCmd struct {
	Pairs    int           `default:"100" placeholder:"N" help:"Pairs of clients that exchange messages (default: ${default})."`
	Idle     int           `default:"0" placeholder:"N" help:"Other clients, which are idle (default: ${default})."`
	Rate     float64       `default:"0" placeholder:"N" help:"Messages per second in total; 0: each client replies at once (default: ${default})."`
	Warmup   time.Duration `default:"2s" placeholder:"TIME" help:"Time before the measurement begins (default: ${default})."`
	Duration time.Duration `default:"10s" placeholder:"TIME" help:"Length of the measurement (default: ${default})."`
	fleetFlags
}

// Run measures.
func (c *messageCmd) Run() error { return measure[bench.MessageResult](&c.fleetFlags, c) }

func (c *messageCmd) defaults() {
	byDefault(&c.InFlight, max(1, min(defaultInFlight, 2*c.Pairs+c.Idle)))
}

func (c *messageCmd) check() error {
	if c.Pairs < c.Processes || c.Idle < 0 {
		return cli.UsageError("--pairs must be at least 1 for each process, --idle at least 0")
	}
	if c.Warmup < 0 || c.Duration <= 0 {
		return cli.UsageError("--warmup must be at least 0s, --duration above 0s")
	}
	return checkRate(c.Rate)
}

func (c *messageCmd) need() (clients, accounts int) {
	n := 2*c.Pairs + c.Idle
	return n, n
}

func (c *messageCmd) divide(i, n int) {
	c.First += 2*before(c.Pairs, i, n) + before(c.Idle, i, n)
	c.Pairs, c.Idle, c.Rate = part(c.Pairs, i, n), part(c.Idle, i, n), c.Rate/float64(n)
}

func (c *messageCmd) run(ctx context.Context, f *bench.Clients) (r bench.MessageResult, err error) {
	if err := f.Login(ctx, 2*c.Pairs+c.Idle); err != nil {
		return r, err
	}
	return f.Message(ctx, bench.MessageConfig{Pairs: c.Pairs, Rate: c.Rate, Warmup: c.Warmup, Duration: c.Duration, Servers: c.ServerPID})
}

func (c *messageCmd) rows(r bench.MessageResult) (title string, rows []row) {
	return "Messages", append([]row{
		count("clients", int64(r.Sessions), "", withLost(humanize.Comma(int64(r.Pairs))+" pairs exchange messages", r.Lost)),
		count("messages delivered", r.Messages, "", ""),
		measured("", r.PerSecond, "per second", ""),
		measured("server, CPU per message", r.CPUPerMessage, "µs", ""),
	}, latencyRows(r.Latency)...)
}

func (c *messageCmd) verdict(r bench.MessageResult) error {
	return cmp.Or(failures(r.Lost, r.Errors), arrived(r.Messages, "message"))
}

// loginCmd measures clients that log in and disconnect.
type loginCmd struct {
	Count    int     `default:"5000" placeholder:"N" help:"Number of logins (default: ${default})."`
	Rate     float64 `default:"0" placeholder:"N" help:"Logins per second; 0: as fast as possible (default: ${default})."`
	Accounts int     `default:"-1" placeholder:"N" help:"Number of accounts to log in to (default: 1000, or --count if that is less)."`
	fleetFlags
}

// Run measures.
func (c *loginCmd) Run() error { return measure[bench.LoginResult](&c.fleetFlags, c) }

func (c *loginCmd) defaults() {
	byDefault(&c.Accounts, min(1000, c.Count))
	byDefault(&c.InFlight, max(1, min(defaultInFlight, c.Accounts)))
}

func (c *loginCmd) check() error {
	if c.Count < c.Processes || c.Accounts < c.Processes {
		return cli.UsageError("--count and --accounts must be at least 1 for each process")
	}
	if c.Accounts < c.InFlight {
		return cli.UsageError(fmt.Sprintf("--accounts %d must be at least --in-flight %d: an account logs in once at a time", c.Accounts, c.InFlight))
	}
	return checkRate(c.Rate)
}

func (c *loginCmd) need() (clients, accounts int) { return c.InFlight, c.Accounts }

func (c *loginCmd) divide(i, n int) {
	c.First += before(c.Accounts, i, n)
	c.Count, c.Accounts, c.Rate = part(c.Count, i, n), part(c.Accounts, i, n), c.Rate/float64(n)
}

func (c *loginCmd) run(ctx context.Context, f *bench.Clients) (bench.LoginResult, error) {
	return f.LoginStorm(ctx, bench.LoginConfig{Count: c.Count, Rate: c.Rate, Servers: c.ServerPID})
}

func (c *loginCmd) rows(r bench.LoginResult) (title string, rows []row) {
	return "Logins", append([]row{
		count("logins", int64(r.Logins), "", fmt.Sprintf("%d failed", r.Failed)),
		measured("", r.PerSecond, "per second", ""),
		measured("server, CPU per login", r.CPUPerLogin, "µs", ""),
	}, latencyRows(r.Latency)...)
}

func (c *loginCmd) verdict(r bench.LoginResult) error { return failures(r.Failed, r.Errors) }

// presenceCmd measures clients that see each other's presence change.
type presenceCmd struct {
	Sessions int           `default:"1000" placeholder:"N" help:"Clients (default: ${default})."`
	Contacts int           `default:"-1" placeholder:"N" help:"Mutual contacts of each client, half of them on either side: an odd number is raised by one if there are enough clients. Missing ones are created (default: 10, or all other clients of a process if there are fewer)."`
	Rate     float64       `default:"500" placeholder:"N" help:"Presence changes per second in total (default: ${default})."`
	Duration time.Duration `default:"10s" placeholder:"TIME" help:"Length of the measurement (default: ${default})."`
	fleetFlags
}

// Run measures.
func (c *presenceCmd) Run() error { return measure[bench.PresenceResult](&c.fleetFlags, c) }

func (c *presenceCmd) defaults() {
	byDefault(&c.Contacts, min(10, c.Sessions/c.Processes-1))
	byDefault(&c.InFlight, max(1, min(defaultInFlight, c.Sessions)))
}

func (c *presenceCmd) check() error {
	if c.Sessions < 2*c.Processes {
		return cli.UsageError("--sessions must be at least 2 for each process")
	}
	if c.Contacts < 1 || c.Contacts >= c.Sessions/c.Processes {
		return cli.UsageError("--contacts must be at least 1 and below the --sessions of each process")
	}
	if c.Rate == 0 || c.Duration <= 0 {
		return cli.UsageError("--rate must be above 0, --duration above 0s")
	}
	if c.CSI {
		return cli.UsageError("--csi: a client that is inactive receives no presence: leave it out")
	}
	return checkRate(c.Rate)
}

func (c *presenceCmd) need() (clients, accounts int) { return c.Sessions, c.Sessions }

func (c *presenceCmd) divide(i, n int) {
	c.First += before(c.Sessions, i, n)
	c.Sessions, c.Rate = part(c.Sessions, i, n), c.Rate/float64(n)
}

func (c *presenceCmd) run(ctx context.Context, f *bench.Clients) (r bench.PresenceResult, err error) {
	if err := f.Login(ctx, c.Sessions); err != nil {
		return r, err
	}
	return f.Presence(ctx, bench.PresenceConfig{Contacts: c.Contacts, Rate: c.Rate, Duration: c.Duration, Servers: c.ServerPID})
}

func (c *presenceCmd) rows(r bench.PresenceResult) (title string, rows []row) {
	return "Presence", append([]row{
		count("clients", int64(r.Sessions), "", withLost(fmt.Sprintf("with %d contacts each", r.Contacts), r.Lost)),
		count("changes of presence", r.Changes, "", ""),
		count("delivered to contacts", r.Delivered, "", ""),
		measured("", r.PerSecond, "per second", ""),
		measured("server, CPU per delivery", r.CPUPerPresence, "µs", ""),
	}, latencyRows(r.Latency)...)
}

func (c *presenceCmd) verdict(r bench.PresenceResult) error {
	return cmp.Or(failures(r.Lost, r.Errors), arrived(r.Delivered, "presence"))
}

// reconnectCmd measures clients that all reconnect at once.
type reconnectCmd struct {
	Sessions int `default:"5000" placeholder:"N" help:"Clients (default: ${default})."`
	fleetFlags
}

// Run measures.
func (c *reconnectCmd) Run() error { return measure[bench.ReconnectResult](&c.fleetFlags, c) }

func (c *reconnectCmd) defaults() {
	byDefault(&c.InFlight, max(1, min(defaultInFlight, c.Sessions)))
}

func (c *reconnectCmd) check() error {
	if c.Sessions < c.Processes {
		return cli.UsageError("--sessions must be at least 1 for each process")
	}
	return nil
}

func (c *reconnectCmd) need() (clients, accounts int) { return c.Sessions, c.Sessions }

func (c *reconnectCmd) divide(i, n int) {
	c.First += before(c.Sessions, i, n)
	c.Sessions = part(c.Sessions, i, n)
}

func (c *reconnectCmd) run(ctx context.Context, f *bench.Clients) (bench.ReconnectResult, error) {
	return f.Reconnect(ctx, bench.ReconnectConfig{Sessions: c.Sessions, Servers: c.ServerPID})
}

func (c *reconnectCmd) rows(r bench.ReconnectResult) (title string, rows []row) {
	return "Reconnection", append([]row{
		count("clients dropped at once", int64(r.Sessions), "", ""),
		{"time until all are back", fixed(r.Seconds, 1), "s", fmt.Sprintf("%d failed", r.Failed)},
		measured("logins", r.PerSecond, "per second", ""),
		measured("server, CPU per login", r.CPUPerLogin, "µs", ""),
		memoryRow("server, memory at its peak", r.PeakRSS),
	}, latencyRows(r.Latency)...)
}

func (c *reconnectCmd) verdict(r bench.ReconnectResult) error {
	return failures(r.Failed, r.Errors)
}

// maxRate is the maximum of --rate.
const maxRate = 1_000_000

// checkRate rejects rates that are no rates, such as "inf".
func checkRate(rate float64) error {
	if !(rate >= 0 && rate <= maxRate) {
		return cli.UsageError("--rate must be from 0 to " + humanize.Comma(maxRate))
	}
	return nil
}

// withLost adds to the note about the clients how many were disconnected, if any.
func withLost(note string, n int) string {
	if n == 0 {
		return note
	}
	return fmt.Sprintf("%s, %d were disconnected", note, n)
}

// arrived returns an error if nothing was delivered.
func arrived(n int64, what string) error {
	if n == 0 {
		return errors.New("no " + what + " arrived")
	}
	return nil
}

// failures returns an error if clients failed.
func failures(n int, errs []string) error {
	clients := "clients"
	switch n {
	case 0:
		return nil
	case 1:
		clients = "client"
	}
	if len(errs) == 0 {
		return fmt.Errorf("%d %s failed", n, clients)
	}
	first, _, _ := strings.Cut(errs[0], "\n")
	return fmt.Errorf("%d %s failed, the first: %s", n, clients, first)
}

// part returns the size of the i-th of n nearly equal parts of all.
func part(all, i, n int) int { return before(all, i+1, n) - before(all, i, n) }

func before(all, i, n int) int { return all * i / n }
