package main

import (
	"bytes"
	"strings"
	"testing"

	"roost/bench"
)

// TestTable: decimal points and units are aligned; values that were not measured are
// omitted.
func TestTable(t *testing.T) {
	var b bytes.Buffer
	table(&b, "Messages", append([]row{
		count("messages delivered", 1180873, "", ""),
		measured("", 118264.6, "per second", ""),
		measured("server, CPU per message", 7.486, "µs", ""),
		measured("server, memory per client", 0, "B", "growth"),
		memoryRow("server, total memory", 37851136),
		count("clients", 3200, "", "100 pairs exchange messages"),
	}, latencyRows(bench.Latency{P50: 160, P90: 245.1, P99: 43100, P999: 1234567, Max: 98.6})...))
	want := `
Messages
  messages delivered       1,180,873
                             118,265      per second
  server, CPU per message          7.5    µs
  server, total memory            36.1    MiB
  clients                      3,200                  100 pairs exchange messages
  latency, median                  0.160  ms
  latency, 90 %                    0.245  ms
  latency, 99 %                   43.100  ms
  latency, 99.9 %              1,234.567  ms
  latency, maximum                 0.099  ms
`
	if b.String() != want {
		t.Errorf("%s\nwant%s", b.String(), want)
	}
}

// TestCommandOfChart: a chart names the command that created it, without secrets.
func TestCommandOfChart(t *testing.T) {
	f := func(args, want string) {
		t.Helper()
		if got := withoutSecrets(strings.Fields(args)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	f("idle --sessions 5", "roost-bench idle --sessions 5")
	f("idle --password=open-sesame --sessions 5", "roost-bench idle --password ... --sessions 5")
	f("idle --password open-sesame --sessions=5", "roost-bench idle --password ... --sessions=5")
	f("idle --store postgres://romeo:open-sesame@localhost/roost", "roost-bench idle --store postgres://romeo:xxxxx@localhost/roost")
	f("idle --password", "roost-bench idle --password ...")
}

// TestCharts: each result has a chart with its points, and each latency result one of its
// own events.
func TestCharts(t *testing.T) {
	l := bench.Latency{Curve: []bench.Quantile{{Percent: 50, Micros: 2000}}}
	for _, c := range []struct {
		result any
		x      string
		y      float64
	}{
		{bench.IdleResult{Growth: []bench.Sample{{Sessions: 5, RSS: 3 << 20}}}, "clients online", 3},
		{bench.LoginResult{Latency: l}, "share of logins", 2},
		{bench.ReconnectResult{Latency: l}, "share of logins", 2},
		{bench.ResumeResult{Latency: l}, "share of resumptions", 2},
		{bench.MessageResult{Latency: l}, "share of messages", 2},
		{bench.PresenceResult{Latency: l}, "share of presences", 2},
	} {
		got := chartOf(c.result, "title", "measured")
		if len(got.Lines) != 1 || len(got.Lines[0].Y) != 1 || got.Lines[0].Y[0] != c.y || !strings.HasPrefix(got.X, c.x) || got.Measured != "measured" {
			t.Errorf("%T: %+v", c.result, got)
		}
	}
}
