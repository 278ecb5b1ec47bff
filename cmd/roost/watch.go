package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"golang.org/x/term"

	"roost/admin/api"
)

// watchInterval is how often the server is asked for the progress of a long action.
const watchInterval = 500 * time.Millisecond

// action is a long action of the server, of which there is one at a time. At its path it is
// shown, started and aborted.
type action[T any] struct {
	client  *api.Client
	path    string
	running func(*T) bool   // whether it goes on
	line    func(*T) string // about it, for people
	status  T               // as it was last received
}

// show receives the status.
func (a *action[T]) show(ctx context.Context) error {
	var now T
	err := a.client.Get(ctx, a.path, nil, &now)
	if err == nil {
		a.status = now
	}
	return err
}

func (a *action[T]) start(ctx context.Context, body any) error {
	return a.client.Do(ctx, http.MethodPost, a.path, nil, body, &a.status)
}

func (a *action[T]) abort(ctx context.Context) error {
	return a.client.Do(ctx, http.MethodDelete, a.path, nil, nil, &a.status)
}

// terminalOut is where progress is shown: stdout if it is a terminal, else nothing.
func terminalOut() io.Writer {
	if term.IsTerminal(int(os.Stdout.Fd())) {
		return os.Stdout
	}
	return nil
}

// wait asks for the status of the action until it has ended, and shows it on the
// terminal, which may be nil. If ctx ends first, wait returns its error.
func (a *action[T]) wait(ctx context.Context, terminal io.Writer) error {
	defer a.draw(terminal, "")
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for a.draw(terminal, a.line(&a.status)); a.running(&a.status); a.draw(terminal, a.line(&a.status)) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := a.show(ctx); err != nil {
			return err
		}
	}
	return nil
}

// draw draws the line of the progress again.
func (a *action[T]) draw(terminal io.Writer, line string) {
	if terminal != nil {
		fmt.Fprint(terminal, "\r\x1b[K", line)
	}
}
