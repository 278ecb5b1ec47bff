package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/term"

	"roost/bench"
	"roost/internal/cli"
)

// measure runs a scenario in one or several processes and reports the result.
func measure[R any, P bench.Result[R]](f *fleetFlags, s scenario[R]) (result error) {
	s.defaults()
	if err := s.check(); err != nil {
		return err
	}
	if err := f.jidOK(); err != nil {
		return err
	}
	ctx, stop := cli.Interrupted()
	defer stop()
	if f.Worker >= 0 {
		return work[R, P](ctx, f, s)
	}
	if err := f.accountFlags.validate(); err != nil {
		return err
	}
	clients, accounts := s.need()
	if err := f.fits(clients); err != nil {
		return err
	}
	if _, err := bench.ReadUsage(f.ServerPID...); err != nil {
		return fmt.Errorf("--server-pid: %w", err)
	}
	if f.Create != "" {
		remove, err := f.create(ctx, accounts)
		defer func() { result = errors.Join(result, remove()) }()
		if err != nil {
			return err
		}
	}
	run := alone[R]
	if f.Processes > 1 {
		run = together[R, P]
	}
	r, err := run(ctx, f, s)
	if err != nil {
		return err
	}
	title, rows := s.rows(r)
	if err := f.report(os.Stdout, r, title, rows); err != nil {
		return err
	}
	return s.verdict(r)
}

// alone runs a scenario in this process.
func alone[R any](ctx context.Context, f *fleetFlags, s scenario[R]) (r R, err error) {
	_, accounts := s.need()
	fleet, err := f.fleet(accounts, nil)
	if err != nil {
		return r, err
	}
	defer fleet.Close()
	defer live(os.Stderr, fleet.Status)()
	return s.run(ctx, fleet)
}

// together runs a scenario in several processes: it starts this program again, with the
// same flags.
func together[R any, P bench.Result[R]](ctx context.Context, f *fleetFlags, _ scenario[R]) (r R, err error) {
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	crew, err := bench.StartWorkers(ctx, f.Processes, func(ctx context.Context, i int) *exec.Cmd {
		cmd := exec.CommandContext(ctx, self, append(os.Args[1:len(os.Args):len(os.Args)], "--worker="+strconv.Itoa(i))...)
		cmd.Stderr = aboveLive(os.Stderr)
		return cmd
	})
	if err != nil {
		return r, err
	}
	defer live(os.Stderr, crew.Status)()
	return bench.Merge[R, P](ctx, crew, f.ServerPID)
}

// work runs this process's part of a scenario that several processes share.
func work[R any, P bench.Result[R]](ctx context.Context, f *fleetFlags, s scenario[R]) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f.InFlight = max(1, part(f.InFlight, f.Worker, f.Processes))
	s.divide(f.Worker, f.Processes)
	w := bench.NewWorker(os.Stdin, os.Stdout, cancel)
	_, accounts := s.need()
	fleet, err := f.fleet(accounts, w.Sync)
	if err != nil {
		return err
	}
	defer fleet.Close()
	return bench.Work[R, P](ctx, w, fleet, func() (R, error) { return s.run(ctx, fleet) })
}

// Intervals of progress lines: a terminal updates one line, a log gets a new line each
// time.
const (
	liveTerminal = 400 * time.Millisecond
	liveLog      = 10 * time.Second
)

// live shows the progress until the returned function is called.
func live(w *os.File, status func() bench.Status) (stop func()) {
	terminal := term.IsTerminal(int(w.Fd()))
	interval, begin, end := liveLog, "", "\n"
	if terminal {
		interval, begin, end = liveTerminal, "\r\x1b[K", ""
	}
	start, last := time.Now(), bench.Status{}
	stopLine := bench.Every(interval, func() {
		s := status()
		fmt.Fprint(w, begin, statusLine(time.Since(start), interval, last, s), end)
		last = s
	})
	return func() {
		stopLine()
		fmt.Fprint(w, begin)
	}
}

// lineClearer writes complete lines in place of the progress line.
type lineClearer struct{ w io.Writer }

func (l lineClearer) Write(p []byte) (int, error) {
	_, err := l.w.Write(append([]byte("\r\x1b[K"), p...))
	return len(p), err
}

// aboveLive returns a writer whose lines appear above the progress line, for other
// processes.
func aboveLive(w *os.File) io.Writer {
	if term.IsTerminal(int(w.Fd())) {
		return lineClearer{w}
	}
	return w
}

// statusLine describes the progress, with rates since the previous line.
func statusLine(elapsed, interval time.Duration, last, s bench.Status) string {
	line := fmt.Sprintf("%6.1fs  %s: %s online", elapsed.Seconds(), s.Phase, humanize.Comma(int64(s.Online)))
	if s.Failed+s.Lost > 0 {
		line += fmt.Sprintf(", %s failed, %s lost", humanize.Comma(int64(s.Failed)), humanize.Comma(int64(s.Lost)))
	}
	if s.Done > 0 {
		rate := 0.0
		if s.Phase == last.Phase {
			rate = float64(s.Done-last.Done) / interval.Seconds()
		}
		line += fmt.Sprintf(", %s done, %s/s", humanize.Comma(s.Done), humanize.Comma(int64(rate)))
	}
	return line
}
