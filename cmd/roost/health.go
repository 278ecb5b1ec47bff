package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"roost/admin/api"
)

// healthCmd is for programs that watch the server and cannot send HTTP requests to a Unix
// socket, such as a container without a shell.
type healthCmd struct {
	Ready bool `env:"-" xor:"which" help:"Check only whether the server accepts clients, as /readyz does: not while it drains or stops."`
	Live  bool `env:"-" xor:"which" help:"Check only whether the event loops run. A restart helps if they do not, but not if the store is out of reach."`
	adminFlags
}

// Help is shown by kong.
func (healthCmd) Help() string {
	return "The server is asked by /healthz whether each event loop has run, the store responds and the log can be written. The exit status is 0 if so, and 1 if not or if no server runs."
}

// Run asks the server.
func (c *healthCmd) Run() error {
	return c.ask(func(ctx context.Context, client *api.Client) error {
		path := api.PathHealth
		if c.Ready {
			path = api.PathReady
		}
		var h api.Health
		if err := client.Get(ctx, path, nil, &h); err != nil {
			return err
		}
		if c.Live {
			onlyLoops(&h)
		}
		if err := c.print(os.Stdout, h, func(w io.Writer) { writeHealth(w, &h) }); err != nil {
			return err
		}
		return unhealthy(&h)
	})
}

// onlyLoops removes the other checks.
func onlyLoops(h *api.Health) {
	h.Checks = slices.DeleteFunc(h.Checks, func(c api.Check) bool { return c.Name != "loops" })
	h.OK = !slices.ContainsFunc(h.Checks, func(c api.Check) bool { return !c.OK })
}

// writeHealth writes the checks for people.
func writeHealth(w io.Writer, h *api.Health) {
	for _, check := range h.Checks {
		result := "ok"
		if !check.OK {
			result = check.Error
		}
		fmt.Fprintf(w, "%-10s %s\n", check.Name, printable(result))
	}
}

// unhealthy returns an error with what has failed, nil if nothing has.
func unhealthy(h *api.Health) error {
	if h.OK {
		return nil
	}
	var failed []string
	for _, check := range h.Checks {
		if !check.OK {
			failed = append(failed, check.Name)
		}
	}
	return errors.New("the server does not work as it should: " + printable(strings.Join(failed, ", ")))
}
