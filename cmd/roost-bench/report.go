package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"

	"github.com/alecthomas/kong"

	"roost/bench"
	"roost/bench/chart"
)

// jsonFlag is --json, --json=- or --json=FILE.
type jsonFlag struct {
	on   bool
	file string // "": standard output
}

// Decode is called by kong.
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

// IsBool says to kong that the flag needs no value.
func (*jsonFlag) IsBool() bool { return true }

// report writes a result as JSON, as a table and as pictures.
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
	if f.Picture != "" {
		errs = append(errs, graph(result, title).Write(f.Picture))
	}
	return errors.Join(errs...)
}

// graph is the picture of a result.
func graph(result any, title string) chart.Graph {
	switch r := result.(type) {
	case bench.IdleResult:
		return memoryGraph(r.Growth, title)
	case bench.ReconnectResult:
		return latencyGraph(r.Latency, title+", logins")
	case bench.LoginResult:
		return latencyGraph(r.Latency, title)
	case bench.MessageResult:
		return latencyGraph(r.Latency, title)
	case bench.PresenceResult:
		return latencyGraph(r.Latency, title)
	}
	panic("roost-bench: BUG: a result without a picture")
}

func memoryGraph(growth []bench.Sample, title string) chart.Graph {
	var l chart.Line
	for _, s := range growth {
		l.X = append(l.X, float64(s.Sessions))
		l.Y = append(l.Y, float64(s.RSS)/(1<<20))
	}
	return chart.Graph{Title: title, X: "clients online", Y: "memory of the server, MiB", Lines: []chart.Line{l}}
}

func latencyGraph(l bench.Latency, title string) chart.Graph {
	var line chart.Line
	for _, q := range l.Curve {
		line.X = append(line.X, q.Percent)
		line.Y = append(line.Y, q.Micros/1000)
	}
	return chart.Latencies(title, line)
}
