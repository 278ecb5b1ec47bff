package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/dustin/go-humanize"

	"roost/bench"
	"roost/bench/chart"
	"roost/internal/cli"
	"roost/store/stores"
)

// jsonFlag is the value of --json, --json=- or --json=FILE.
type jsonFlag struct {
	on   bool
	file string // "": standard output
}

// Decode implements kong's MapperValue.
func (j *jsonFlag) Decode(ctx *kong.DecodeContext) error {
	j.on, j.file = true, ""
	if ctx.Scan.Peek().Type != kong.FlagValueToken {
		return nil
	}
	if err := ctx.Scan.PopValueInto("file", &j.file); err != nil {
		return err
	}
	switch j.file {
	case "":
		return errors.New("--json= needs a file, or - for standard output")
	case "-":
		j.file = ""
	}
	return nil
}

// IsBool tells kong that the flag needs no value.
func (*jsonFlag) IsBool() bool { return true }

// report writes a result as JSON, as a table and as a chart.
func (f *fleetFlags) report(w io.Writer, result any, title string, rows []row) error {
	if f.JSON.on && f.JSON.file == "" {
		if err := json.NewEncoder(w).Encode(result); err != nil {
			return err
		}
	} else {
		table(w, title, rows)
	}
	var errs []error
	if f.JSON.file != "" {
		text, err := json.MarshalIndent(result, "", "\t")
		if err == nil {
			err = os.WriteFile(f.JSON.file, append(text, '\n'), 0o644)
		}
		errs = append(errs, err)
	}
	if f.Chart != "" {
		errs = append(errs, chartOf(result, title, measuredHere(os.Args[1:])).Write(f.Chart))
	}
	return errors.Join(errs...)
}

// chartOf returns the chart of a result.
func chartOf(result any, title, measured string) chart.Chart {
	latencies := func(events string, l bench.Latency) chart.Chart {
		line := chart.Line{Name: events}
		for _, q := range l.Curve {
			line.X = append(line.X, q.Percent)
			line.Y = append(line.Y, q.Micros/1000)
		}
		return chart.Latencies(title+": latency", measured, events, line)
	}
	switch r := result.(type) {
	case bench.IdleResult:
		return memoryChart(r, title+": memory of the server", measured)
	case bench.ReconnectResult:
		return latencies("logins", r.Latency)
	case bench.LoginResult:
		return latencies("logins", r.Latency)
	case bench.ResumeResult:
		return latencies("resumptions", r.Latency)
	case bench.MessageResult:
		return latencies("messages", r.Latency)
	case bench.PresenceResult:
		return latencies("presences", r.Latency)
	}
	panic("roost-bench: BUG: a result without a chart")
}

func memoryChart(r bench.IdleResult, title, measured string) chart.Chart {
	mib := func(n int64) float64 { return float64(n) / (1 << 20) }
	l := chart.Line{Name: "server", Figures: []string{
		humanize.Comma(int64(r.Sessions)), fixed(mib(r.RSS), 1) + " MiB", fixed(r.BytesPerSession, 0) + " B"}}
	for _, s := range r.Growth {
		l.X = append(l.X, float64(s.Sessions))
		l.Y = append(l.Y, mib(s.RSS))
	}
	return chart.Chart{
		Title: title, Measured: measured, X: "clients online", Y: "memory of the server, MiB",
		Columns: []string{"clients", "memory at rest", "per client"}, Lines: []chart.Line{l},
	}
}

// measuredHere returns the date, the machine and the command of a measurement.
func measuredHere(args []string) string {
	return fmt.Sprintf("Measured %s on %s, by %s", time.Now().UTC().Format("2006-01-02"), chart.Machine(), withoutSecrets(args))
}

// withoutSecrets returns the command line with passwords removed.
func withoutSecrets(args []string) string {
	shown := []string{"roost-bench"}
	for i := 0; i < len(args); i++ {
		name, value, joined := strings.Cut(args[i], "=")
		if !joined && i+1 < len(args) {
			value = args[i+1]
		}
		switch name {
		case "--password":
			value = "..."
		case "--store":
			value = stores.Redact(value)
		default:
			shown = append(shown, args[i])
			continue
		}
		if shown = append(shown, name, value); !joined {
			i++
		}
	}
	return cli.Quote(shown...)
}
