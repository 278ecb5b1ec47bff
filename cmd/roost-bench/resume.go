package main

import (
	"context"
	"fmt"

	"github.com/dustin/go-humanize"

	"roost/bench"
	"roost/internal/cli"
)

// resumeCmd measures clients that lose their connections and resume their sessions.
type resumeCmd struct {
	Pairs int  `default:"100" placeholder:"N" help:"Pairs of clients: one loses its connection and resumes its session again and again; the other sends it messages meanwhile (default: ${default})."`
	Count int  `default:"5000" placeholder:"N" help:"Number of resumptions in total (default: ${default})."`
	Gap   int  `default:"1" placeholder:"N" help:"Messages that are sent to a client while it is disconnected (default: ${default})."`
	Roam  bool `help:"Resume each session at the next --target, instead of the one where it is: clients that move between the nodes of a cluster."`
	fleetFlags
}

// Run measures.
func (c *resumeCmd) Run() error { return measure[bench.ResumeResult](&c.fleetFlags, c) }

func (c *resumeCmd) defaults() {
	c.SM = true
	byDefault(&c.InFlight, max(1, min(defaultInFlight, 2*c.Pairs)))
}

func (c *resumeCmd) check() error {
	if c.Pairs < c.Processes || c.Count < c.Pairs || c.Gap < 0 {
		return cli.UsageError("--pairs must be at least 1 for each process, --count at least --pairs, --gap at least 0")
	}
	if c.Roam && len(c.Target) < 2 {
		return cli.UsageError("--roam needs at least two --target")
	}
	return nil
}

func (c *resumeCmd) need() (clients, accounts int) { return 2 * c.Pairs, 2 * c.Pairs }

func (c *resumeCmd) divide(i, n int) {
	c.First += 2 * before(c.Pairs, i, n)
	c.Pairs, c.Count = part(c.Pairs, i, n), part(c.Count, i, n)
}

func (c *resumeCmd) run(ctx context.Context, f *bench.Clients) (r bench.ResumeResult, err error) {
	if err := f.Login(ctx, 2*c.Pairs); err != nil {
		return r, err
	}
	return f.Resume(ctx, bench.ResumeConfig{Pairs: c.Pairs, Count: c.Count, Gap: c.Gap, Roam: c.Roam, Servers: c.ServerPID})
}

func (c *resumeCmd) rows(r bench.ResumeResult) (title string, rows []row) {
	return "Resumption", append([]row{
		count("resumptions", r.Resumptions, "", fmt.Sprintf("by %s clients, %d failed", humanize.Comma(int64(r.Pairs)), r.Failed)),
		measured("", r.PerSecond, "per second", ""),
		count("messages meanwhile", r.Messages, "", fmt.Sprintf("%d lost, %d twice, %d out of order", r.Lost, r.Twice, r.Disordered)),
		measured("server, CPU per resumption", r.CPUPerResumption, "µs", "with its messages"),
	}, latencyRows(r.Latency)...)
}

func (c *resumeCmd) verdict(r bench.ResumeResult) error {
	if r.Lost+r.Twice+r.Disordered > 0 {
		return fmt.Errorf("of %d messages, %d were lost, %d arrived twice, and %d out of order", r.Messages, r.Lost, r.Twice, r.Disordered)
	}
	return failures(r.Failed, r.Errors)
}
