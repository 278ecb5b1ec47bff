package main

import (
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"roost/internal/cli"
	"roost/internal/logqueue"
)

// output is the server's output: its log on stderr and its greeting on stdout. If a
// reader stalls or exits, the server neither blocks nor ends.
type output struct {
	log            *slog.Logger
	stderr, stdout *logqueue.Queue
}

// openOutput takes over stdout and stderr. Until close, nothing else may write to them.
func openOutput(level slog.Level, json bool) *output {
	// Otherwise, the next write would end the server after a reader has exited.
	signal.Ignore(syscall.SIGPIPE)
	o := &output{stdout: logqueue.New(os.Stdout, 0, nil)}
	o.stderr = logqueue.New(os.Stderr, 0, func(dropped int) {
		o.log.Warn("log lines dropped: the reader of the log is too slow or has stalled", "lines", dropped)
	})
	opts := &slog.HandlerOptions{Level: level}
	if json {
		o.log = slog.New(slog.NewJSONHandler(o.stderr, opts))
	} else {
		o.log = slog.New(slog.NewTextHandler(o.stderr, opts))
	}
	// Output of dependencies through package log has the same format and cannot block
	// either.
	slog.SetDefault(o.log)
	return o
}

func (o *output) close() {
	o.stderr.Close(cli.FlushTimeout)
	o.stdout.Close(cli.FlushTimeout)
}
