package main

import (
	"bytes"
	"testing"

	"roost/bench"
)

// TestTable: points are below each other, and so are units; what was not measured is
// not there.
func TestTable(t *testing.T) {
	var b bytes.Buffer
	table(&b, "Messages", append([]row{
		count("messages delivered", 1180873, "", ""),
		measured("", 118264.6, "per second", ""),
		measured("server, CPU per message", 7.486, "µs", ""),
		measured("server, memory per client", 0, "B", "growth"),
		memoryRow("server, memory in all", 37851136),
		count("clients", 3200, "", "100 pairs of them talk"),
	}, latencyRows(bench.Latency{P50: 160, P90: 245.1, P99: 43100, P999: 1234567, Max: 98.6})...))
	want := `
Messages
  messages delivered       1,180,873
                             118,265      per second
  server, CPU per message          7.5    µs
  server, memory in all           36.1    MiB
  clients                      3,200                  100 pairs of them talk
  latency, median                  0.160  ms
  latency, 90 %                    0.245  ms
  latency, 99 %                   43.100  ms
  latency, 99.9 %              1,234.567  ms
  latency, worst                   0.099  ms
`
	if b.String() != want {
		t.Errorf("%s\nwant%s", b.String(), want)
	}
}
