package main

import (
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"roost/internal/cli"
	"roost/internal/loglevel"
	"roost/internal/logqueue"
	"roost/internal/logring"
)

// output is the server's output: its log on stderr and its greeting on stdout. If a
// reader stalls or exits, the server neither blocks nor ends.
type output struct {
	log            *slog.Logger
	level          loglevel.Level
	recent         *logring.Ring // the last lines of the log
	stderr, stdout *logqueue.Queue
}

// recentLines is how many lines of the log are kept in memory.
const recentLines = 200

// openOutput takes over stdout and stderr. Until close, nothing else may write to them.
func openOutput(level slog.Level, json bool) *output {
	// Otherwise, the next write would end the server after a reader has exited.
	signal.Ignore(syscall.SIGPIPE)
	o := &output{stdout: logqueue.New(os.Stdout, 0, nil), recent: logring.New(recentLines)}
	o.stderr = logqueue.New(os.Stderr, 0, func(dropped int) {
		o.log.Warn("log lines dropped: the reader of the log is too slow or has stalled", "lines", dropped)
	})
	o.level.Set(level)
	opts := &slog.HandlerOptions{Level: &o.level}
	var h slog.Handler = slog.NewTextHandler(o.stderr, opts)
	if json {
		h = slog.NewJSONHandler(o.stderr, opts)
	}
	o.log = slog.New(o.recent.Handler(h))
	// Output of dependencies through package log has the same format and cannot block
	// either.
	slog.SetDefault(o.log)
	return o
}

func (o *output) close() {
	o.stderr.Close(cli.FlushTimeout)
	o.stdout.Close(cli.FlushTimeout)
}
