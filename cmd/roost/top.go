package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"roost/admin/api"
)

// topCmd shows what the server is doing, again and again.
type topCmd struct {
	Every time.Duration `env:"ROOST_TOP_EVERY" default:"2s" placeholder:"TIME" help:"Show new figures at this interval, at least 100ms (default: ${default})."`
	Once  bool          `env:"ROOST_TOP_ONCE" help:"Show the figures once, after one interval, and exit; this is the default if stdout is not a terminal."`
	adminFlags
}

// Help is shown by kong.
func (c *topCmd) Help() string {
	return "Rates are those of the last interval, and times (p50: half of them are shorter; p99: 99 % of them are) those of the last minute. " +
		"Lines that need attention are red, unless NO_COLOR is set. Press q or Ctrl-C to leave. " +
		"With --json, the server's figures are one JSON object on a line per interval: numbers since the start, of which the differences of two lines are rates. " + timesHelp
}

// Validate is called by kong.
func (c *topCmd) Validate() error {
	if c.Every < 100*time.Millisecond || c.Every > time.Hour {
		return errors.New("--every must be at least 100ms and at most 1h")
	}
	return nil
}

// Run shows figures until it is interrupted.
func (c *topCmd) Run() error {
	return c.ask(func(ctx context.Context, client *api.Client) error {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		readings := c.read(ctx, client)
		first := <-readings
		switch {
		case ctx.Err() != nil:
			return nil
		case first.err != nil:
			return first.err
		case c.JSON:
			return c.lines(ctx, first, readings)
		case c.Once || !term.IsTerminal(int(os.Stdout.Fd())):
			return c.once(ctx, first, readings)
		}
		s, err := openScreen(ctx, os.Stdin, os.Stdout)
		if err != nil {
			return err
		}
		return errors.Join(c.live(ctx, s, first, readings), s.close())
	})
}

// reading is the figures of the server at a moment, or why there are none.
type reading struct {
	stats *api.Stats
	err   error
}

// readTimeout is how long the server may take for its figures.
const readTimeout = 5 * time.Second

// read asks for the figures at each interval until ctx ends.
func (c *topCmd) read(ctx context.Context, client *api.Client) <-chan reading {
	out := make(chan reading)
	go func() {
		tick := time.NewTicker(c.Every)
		defer tick.Stop()
		for {
			r := reading{stats: new(api.Stats)}
			one, cancel := context.WithTimeout(ctx, readTimeout)
			r.err = client.Get(one, api.PathStats, nil, r.stats)
			cancel()
			select {
			case out <- r:
			case <-ctx.Done():
				close(out)
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				close(out)
				return
			}
		}
	}()
	return out
}

// lines writes each reading as JSON.
func (c *topCmd) lines(ctx context.Context, r reading, readings <-chan reading) error {
	for ; ctx.Err() == nil; r = <-readings {
		if r.err != nil {
			return r.err
		}
		if err := jsonLines(os.Stdout).Encode(r.stats); err != nil || c.Once {
			return err
		}
	}
	return nil
}

// once shows what has happened between two readings.
func (c *topCmd) once(ctx context.Context, first reading, readings <-chan reading) error {
	var v topView
	v.add(first.stats)
	second := <-readings
	if ctx.Err() != nil || second.err != nil {
		return second.err
	}
	v.add(second.stats)
	for _, l := range v.lines() {
		if _, err := fmt.Println(l.text); err != nil {
			return err
		}
	}
	return nil
}

// live shows the figures until ctx ends or somebody wants to leave. While the server does
// not respond, it shows the last ones, and why there are no new ones.
func (c *topCmd) live(ctx context.Context, s *display, r reading, readings <-chan reading) error {
	var v topView
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	defer signal.Stop(resized)
	v.add(r.stats)
	for {
		if err := s.draw(v.lines()); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case key := <-s.keys:
			if key == 'q' || key == 'Q' {
				return nil
			}
		case <-resized:
		case r := <-readings:
			switch {
			case ctx.Err() != nil:
				return nil
			case r.err != nil:
				v.problem = "no new figures, trying again: " + inCommands(nil, c.explain(c.Data, r.err)).Error()
			default:
				v.add(r.stats)
			}
		}
	}
}
