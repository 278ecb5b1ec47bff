package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"roost/admin/api"
)

// drainCmd makes all clients leave.
type drainCmd struct {
	Over   time.Duration `field:"over_seconds" env:"ROOST_DRAIN_OVER" default:"0s" placeholder:"TIME" help:"Spread the disconnections evenly over this time (default: as long as it takes at 1,000 clients a second)."`
	To     string        `field:"to" env:"ROOST_DRAIN_TO" placeholder:"HOST:PORT" help:"Send clients that use TLS to this host or address of the same service (see-other-host); the port may be left out (default: they are told that the server shuts down)."`
	Say    string        `field:"text" env:"ROOST_DRAIN_SAY" placeholder:"TEXT" help:"What clients are told, at most 200 characters."`
	At     string        `field:"begin" env:"-" placeholder:"WHEN" help:"Begin at this time, such as 2026-03-01T22:00:00Z or, today or tomorrow in local time, 22:00 (default: now)."`
	In     time.Duration `field:"begin" env:"-" default:"0s" placeholder:"TIME" help:"Begin after this time (default: now)."`
	Back   time.Duration `field:"end" name:"back-after" env:"-" default:"0s" placeholder:"TIME" help:"Tell clients in the outage document that the service is expected to be back this long after the beginning (default: they are not told)."`
	Exit   bool          `field:"exit" env:"-" help:"Stop the server when all clients have left. Otherwise it stays, and serves again after --abort."`
	Wait   bool          `env:"-" help:"Wait until all clients have left. On a terminal the command always waits, and shows progress; Ctrl-C ends only the command."`
	Status bool          `env:"-" help:"Show the scheduled or current drain, or the last one."`
	Abort  bool          `env:"-" help:"Abort the drain, even one that is done: the server accepts clients again."`
	adminFlags
}

// Help is shown by kong.
func (c *drainCmd) Help() string {
	return "The server accepts no new connections, and /readyz says so to load balancers. Clients leave one after another, those that are active first, those that have been idle for longest last. " + timesHelp
}

// Validate is called by kong.
func (c *drainCmd) Validate() error {
	starts := c.Over != 0 || c.To != "" || c.Say != "" || c.At != "" || c.In != 0 || c.Back != 0 || c.Exit
	switch {
	case c.Status && c.Abort, (c.Status || c.Abort) && starts:
		return errors.New("--status and --abort take no other flags")
	case c.Over < 0:
		return errors.New("--over must be above 0")
	case c.At != "" && c.In != 0:
		return errors.New("--at and --in cannot be used together")
	case c.In < 0:
		return errors.New("--in must be above 0")
	case c.Back < 0:
		return errors.New("--back-after must be above 0")
	}
	_, err := c.begin(time.Now())
	return err
}

// begin returns when the drain is to begin, nil for now.
func (c *drainCmd) begin(now time.Time) (*time.Time, error) {
	switch {
	case c.In > 0:
		at := now.Add(c.In)
		return &at, nil
	case c.At == "":
		return nil, nil
	}
	if at, err := time.Parse(time.RFC3339, c.At); err == nil {
		return &at, nil
	}
	clock, err := time.Parse("15:04", c.At)
	if err != nil {
		return nil, fmt.Errorf("--at: %q is not a time such as 2026-03-01T22:00:00Z or 22:00", c.At)
	}
	at := time.Date(now.Year(), now.Month(), now.Day(), clock.Hour(), clock.Minute(), 0, 0, now.Location())
	if at.Before(now) {
		at = time.Date(now.Year(), now.Month(), now.Day()+1, clock.Hour(), clock.Minute(), 0, 0, now.Location())
	}
	return &at, nil
}

// request is what the server is asked for.
func (c *drainCmd) request(now time.Time) (q api.DrainRequest, err error) {
	q = api.DrainRequest{OverSeconds: c.Over.Seconds(), To: c.To, Text: c.Say, Exit: c.Exit}
	if q.Begin, err = c.begin(now); err != nil {
		return q, err
	}
	if c.Back > 0 {
		end := now.Add(c.Back)
		if q.Begin != nil {
			end = q.Begin.Add(c.Back)
		}
		q.End = &end
	}
	return q, nil
}

// Run starts, shows or aborts a drain.
func (c *drainCmd) Run() error {
	return c.ask(func(ctx context.Context, client *api.Client) error {
		d := action[api.Drain]{
			client: client, path: api.PathDrain, line: drainLine,
			running: func(d *api.Drain) bool { return d.State == api.DrainScheduled || d.State == api.DrainRunning },
		}
		var err error
		switch {
		case c.Status:
			err = d.show(ctx)
		case c.Abort:
			err = d.abort(ctx)
		default:
			var q api.DrainRequest
			if q, err = c.request(time.Now()); err == nil {
				err = d.start(ctx, q)
			}
		}
		if terminal := terminalOut(); err == nil && !c.Abort && (c.Wait || terminal != nil && !c.JSON) {
			err = c.wait(ctx, terminal, &d)
		}
		if err != nil {
			return err
		}
		return c.print(os.Stdout, d.status, func(w io.Writer) { fmt.Fprintln(w, drainLine(&d.status)) })
	})
}

// wait waits until the drain has ended.
func (c *drainCmd) wait(ctx context.Context, terminal io.Writer, a *action[api.Drain]) error {
	if c.JSON {
		terminal = nil
	}
	err := a.wait(ctx, terminal)
	d := &a.status
	switch {
	case ctx.Err() != nil:
		return errDrainGoesOn
	case err != nil && d.Exit && errors.As(c.explain(c.Data, err), new(errNoServer)):
		d.State, d.Ended, d.Remaining = api.DrainDone, d.Clients, 0 // the server has stopped before it was asked again
		return nil
	case err == nil && d.State == api.DrainAborted:
		return errors.New("the drain was aborted")
	}
	return err
}

// errDrainGoesOn is told after Ctrl-C.
var errDrainGoesOn = errors.New("interrupted; the drain goes on: roost drain --status shows it, and roost drain --abort ends it")

// drainLine is a line about a drain.
func drainLine(d *api.Drain) string {
	switch d.State {
	case api.DrainScheduled:
		return fmt.Sprintf("scheduled: clients begin to leave at %s", d.Begin.Local().Format(time.DateTime))
	case api.DrainAborted:
		return fmt.Sprintf("aborted: the server accepts clients; %s have left", comma(d.Ended))
	}
	line := fmt.Sprintf("%s: %s of %s clients have left, %s remain", d.State, comma(d.Ended), comma(d.Clients), comma(d.Remaining))
	if d.State == api.DrainRunning {
		end := d.Begin.Add(time.Duration(d.OverSeconds * float64(time.Second)))
		line += fmt.Sprintf(" (until %s)", end.Local().Format(time.TimeOnly))
	}
	return line
}
