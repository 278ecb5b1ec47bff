package metrics

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"roost/admin/api"
	"roost/internal/histogram"
	"roost/poller"
	"roost/router"
	"roost/session"
	"roost/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// batches is a store that commits in batches.
type batches struct{}

func (batches) BatchStats() store.BatchStats {
	h := histogram.New[int64](1, 2)
	h.Observe(2)
	return store.BatchStats{Commits: 1, Writes: h.Snapshot()}
}

// fullSource has something of everything that is only exported if it has occurred.
func fullSource() Source {
	return Source{
		Version: "v1.2.3", Commit: "abc",
		Poller: func() poller.Stats {
			return poller.Stats{
				Conns: 3, BytesIn: 5, WebSocketConns: 1, WebSockets: 4, WebSocketPages: 2, WebSocketRefused: 1,
				WebSocketFailures: [poller.FrameFailures]int64{poller.FrameBinary: 8},
			}
		},
		Sessions: func() session.Stats {
			return session.Stats{
				Counts:     session.Counts{Unbound: 1, Bound: 5, Available: 3},
				Restored:   session.RestoredCounts{Waiting: 13, Resumed: 14, Ended: 15},
				Acks:       session.Acks{Enabled: 21, Timeouts: 22, Waiting: 23, Detached: 24, Resumed: 25, Refused: 26, Left: 27, Arrived: 28, HandedOn: 29, Bytes: 30},
				Attempts:   []session.Attempts{{Mechanism: "PLAIN", Result: "success", Count: 7}},
				Ended:      []session.Ended{{Reason: "lost", Count: 2}, {Reason: "conflict", Count: 1}},
				ErrorsSent: []session.Condition{{Condition: "bad-request", Count: 4}},
				Workers:    []session.WorkerPool{{Work: "read", Busy: 1, Limit: 32, Waiting: 2}},
			}
		},
		Router: func() router.Stats {
			return router.Stats{Delivered: 9, Stored: 31, Refused: 32, Dropped: 33, Handled: 34, OfflineDelivered: 35, OfflineDeleted: 36, OfflineExpired: 37}
		},
		Store:        store.NewMeter(),
		Batches:      batches{},
		Ready:        func() bool { return true },
		LastBackup:   func() *api.Backup { return &api.Backup{Time: time.Unix(1900000000, 0)} },
		Certificates: func() map[string]time.Time { return map[string]time.Time{"example.org": time.Unix(2000000000, 0)} },
		Renewals: func() []api.Renewal {
			return []api.Renewal{{Domain: "example.org", Failures: 3, NextTry: time.Unix(1950000000, 0)}}
		},
		Capacity:   func() map[string]int64 { return map[string]int64{"open-files": 1000} },
		LogDropped: func() int64 { return 6 },
		Traces:     func() int { return 0 },
		Panics:     func() int64 { return 0 },
		Cluster: func() *api.Cluster {
			return &api.Cluster{Others: []string{"b", "c"}, Reachable: true, SentTotal: 11, UnhandledBytes: 12}
		},
	}
}

// gather returns all metrics, by name.
func gather(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	all, err := New(fullSource()).registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	byName := make(map[string]*dto.MetricFamily)
	for _, f := range all {
		byName[f.GetName()] = f
	}
	return byName
}

// TestNames: the names follow Prometheus' conventions: units, _total, what a lint checks.
func TestNames(t *testing.T) {
	var ours []*dto.MetricFamily
	for _, f := range gather(t) {
		ours = append(ours, f)
	}
	problems, err := promlint.NewWithMetricFamilies(ours).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if !strings.HasPrefix(p.Metric, "go_") { // those of the library
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	name := regexp.MustCompile(`^(roost|process)(_[a-z0-9]+)+$`)
	for _, f := range families() {
		if !name.MatchString(f.name) || !strings.HasSuffix(f.help, ".") || (f.kind == counter) != strings.HasSuffix(f.name, "_total") {
			t.Errorf("%s (%s): %s", f.name, f.kind, f.help)
		}
	}
}

// TestAllExported: each metric of the list is exported, with its type and labels.
func TestAllExported(t *testing.T) {
	exported := gather(t)
	for _, f := range families() {
		got := exported[f.name]
		if got == nil {
			if f.name != "process_open_fds" { // needs Linux 6.2
				t.Errorf("%s is not exported", f.name)
			}
			continue
		}
		if typ := strings.ToLower(got.GetType().String()); typ != string(f.kind) || got.GetHelp() != f.help {
			t.Errorf("%s is a %s: %s", f.name, typ, got.GetHelp())
		}
		for _, m := range got.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName())
			}
			if want := slices.Sorted(slices.Values(f.labels)); !slices.Equal(labels, want) {
				t.Errorf("%s has the labels %v, want %v", f.name, labels, want)
			}
		}
	}
	for _, name := range []string{"go_goroutines", "go_info", "go_memstats_heap_inuse_bytes", "process_cpu_seconds_total"} {
		if exported[name] == nil {
			t.Errorf("%s is not exported", name)
		}
	}
}

// TestText: values in the text format, and the types that Prometheus may ask for.
func TestText(t *testing.T) {
	e := New(fullSource())
	var b bytes.Buffer
	contentType, err := e.Write(&b, http.Header{})
	if err != nil || !strings.HasPrefix(contentType, "text/plain; version=0.0.4") {
		t.Errorf("%s %v", contentType, err)
	}
	for _, line := range []string{
		"# HELP roost_connections Open connections of clients.",
		"# TYPE roost_connections gauge",
		`roost_sessions_restored{state="waiting"} 13`,
		`roost_sessions_restored{state="resumed"} 14`,
		`roost_sessions_restored{state="ended"} 15`,
		"roost_acks_enabled_total 21", "roost_ack_timeouts_total 22",
		"roost_sessions_detached 23", "roost_sessions_detached_total 24", "roost_sessions_resumed_total 25", "roost_resumptions_failed_total 26",
		`roost_sessions_moved_total{direction="away"} 27`, `roost_sessions_moved_total{direction="here"} 28`,
		"roost_stanzas_handed_on_total 29", "roost_unacknowledged_bytes 30",
		`roost_messages_total{outcome="delivered"} 9`, `roost_messages_total{outcome="stored"} 31`, `roost_messages_total{outcome="refused"} 32`,
		`roost_messages_total{outcome="dropped"} 33`, `roost_messages_total{outcome="handled"} 34`,
		`roost_offline_messages_total{event="stored"} 31`, `roost_offline_messages_total{event="delivered"} 35`,
		`roost_offline_messages_total{event="deleted"} 36`, `roost_offline_messages_total{event="expired"} 37`,
		"roost_connections 3",
		"roost_websocket_connections 1",
		`roost_websocket_requests_total{outcome="upgraded"} 4`, `roost_websocket_requests_total{outcome="page"} 2`, `roost_websocket_requests_total{outcome="refused"} 1`,
		`roost_websocket_failures_total{reason="binary"} 8`, `roost_websocket_failures_total{reason="too-big"} 0`,
		`roost_sessions{state="unbound"} 1`, `roost_sessions{state="unavailable"} 2`, `roost_sessions{state="available"} 3`,
		`roost_logins_total{mechanism="PLAIN",result="success"} 7`,
		`roost_sessions_ended_total{reason="lost"} 2`, `roost_sessions_ended_total{reason="closed"} 0`,
		`roost_stream_errors_sent_total{condition="conflict"} 1`,
		`roost_workers_busy{work="read"} 1`,
		`roost_certificate_expiry_timestamp_seconds{domain="example.org"} 2e+09`,
		`roost_certificate_renewal_failures{domain="example.org"} 3`, `roost_certificate_next_renewal_timestamp_seconds{domain="example.org"} 1.95e+09`,
		`roost_store_commit_writes_bucket{le="1"} 0`, `roost_store_commit_writes_bucket{le="2"} 1`, `roost_store_commit_writes_bucket{le="+Inf"} 1`,
		"roost_store_commit_writes_sum 2",
		"roost_log_lines_dropped_total 6",
		"roost_ready 1",
		"roost_cluster_reachable 1", "roost_cluster_other_nodes 2", `roost_cluster_items_total{event="sent"} 11`, `roost_cluster_waiting_bytes{direction="in"} 12`,
	} {
		if !strings.Contains(b.String(), "\n"+line+"\n") && !strings.HasPrefix(b.String(), line+"\n") {
			t.Errorf("%q is missing", line)
		}
	}
	if strings.Contains(b.String(), `roost_stream_errors_sent_total{condition="lost"}`) {
		t.Error("a lost connection counts as a stream error")
	}
	for accept, want := range map[string]string{
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,text/plain;version=0.0.4;q=0.3": "application/vnd.google.protobuf",
		"text/html": "text/plain",
	} {
		b.Reset()
		if got, err := e.Write(&b, http.Header{"Accept": {accept}}); err != nil || !strings.HasPrefix(got, want) || b.Len() == 0 {
			t.Errorf("%s: %s %v", accept, got, err)
		}
	}
}

// TestHistogram: buckets are cumulative, and in seconds.
func TestHistogram(t *testing.T) {
	src := fullSource()
	h := histogram.New(time.Millisecond, time.Second)
	for _, d := range []time.Duration{time.Microsecond, 2 * time.Millisecond, 3 * time.Second} {
		h.Observe(int64(d))
	}
	src.Poller = func() poller.Stats { return poller.Stats{Batches: h.Snapshot()} }
	var b bytes.Buffer
	if _, err := New(src).Write(&b, http.Header{}); err != nil {
		t.Fatal(err)
	}
	const want = `roost_loop_turn_duration_seconds_bucket{le="0.001"} 1
roost_loop_turn_duration_seconds_bucket{le="1"} 2
roost_loop_turn_duration_seconds_bucket{le="+Inf"} 3
roost_loop_turn_duration_seconds_sum 3.002001
roost_loop_turn_duration_seconds_count 3
`
	if !strings.Contains(b.String(), want) {
		t.Errorf("want\n%s in\n%s", want, &b)
	}
}

// TestProcess: what the kernel says of this process.
func TestProcess(t *testing.T) {
	p := readProcess()
	if p.cpu <= 0 || p.resident < 1<<20 || p.virtual < p.resident || p.maxFiles < 10 {
		t.Errorf("%+v", p)
	}
	info, err := os.Stat("/proc/self")
	if err != nil {
		t.Fatal(err)
	}
	if d := p.started.Sub(info.ModTime()).Abs(); d > time.Hour {
		t.Errorf("started at %v, /proc says %v", p.started, info.ModTime())
	}
}

var update = flag.Bool("update", false, "rewrite the table in docs/metrics.md")

const (
	page       = "../../docs/metrics.md"
	tableBegin = "<!-- table: go test ./admin/metrics -update -->\n"
	tableEnd   = "<!-- end of table -->\n"
)

// table is the table of all metrics. Those of the Go runtime are one row: which there are,
// and how they are described, changes with the version of Go.
func table() string {
	var b strings.Builder
	b.WriteString("| metric | type | labels | |\n|---|---|---|---|\n")
	for _, f := range families() {
		labels := ""
		if len(f.labels) > 0 {
			labels = "`" + strings.Join(f.labels, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.name, f.kind, labels, strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(f.help))
	}
	b.WriteString("| `go_*` | | | The Go runtime, as the client library of Prometheus exports it: goroutines, threads, heap, garbage collection. Their names depend on the version of Go. |\n")
	return b.String()
}

// TestDocs: docs/metrics.md lists the metrics as they are.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := strings.Index(string(text), tableBegin), strings.Index(string(text), tableEnd)
	if begin < 0 || end < begin {
		t.Fatalf("%s has no table", page)
	}
	now := string(text[:begin]) + tableBegin + table() + string(text[end:])
	if now == string(text) {
		return
	}
	if !*update {
		t.Fatalf("%s does not list the metrics as they are: run go test ./admin/metrics -update", page)
	}
	if err := os.WriteFile(page, []byte(now), 0o644); err != nil {
		t.Fatal(err)
	}
}
