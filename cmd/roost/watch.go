package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"roost/admin/api"
)

// watchInterval is how often the server is asked for the progress of a long action.
const watchInterval = 500 * time.Millisecond

// watched is a long action of the server that a command waits for.
type watched[T any] struct {
	path    string
	status  T               // as it was when the action began
	running func(*T) bool   // whether it goes on
	line    func(*T) string // about it, for people
}

// terminalOut is where progress is shown: stdout if it is a terminal, else nothing.
func terminalOut() io.Writer {
	if term.IsTerminal(int(os.Stdout.Fd())) {
		return os.Stdout
	}
	return nil
}

// wait asks for the status of the action until it has ended, and shows it on the
// terminal, which may be nil. If ctx ends first, wait returns its error; status is the last
// one that was received.
func (w *watched[T]) wait(ctx context.Context, client *api.Client, terminal io.Writer) error {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for w.show(terminal); w.running(&w.status); w.show(terminal) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		var now T
		if err := client.Get(ctx, w.path, nil, &now); err != nil {
			return err
		}
		w.status = now
	}
	return nil
}

// show draws the line again.
func (w *watched[T]) show(terminal io.Writer) {
	if terminal != nil {
		fmt.Fprintf(terminal, "\r\x1b[K%s", w.line(&w.status))
	}
}

// clear erases the line.
func (w *watched[T]) clear(terminal io.Writer) {
	if terminal != nil {
		fmt.Fprint(terminal, "\r\x1b[K")
	}
}
