package main

import (
	"encoding/json"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"roost/bench"
	"roost/internal/cmdtest"
)

// TestBench: every scenario creates its accounts, works, and writes its result as JSON
// with these fields, as a table, and as a chart.
func TestBench(t *testing.T) {
	target, data, pid := startServer(t)
	for _, c := range []struct {
		args   string
		fields string
		table  string
	}{
		{"idle --sessions 20 --base 5 --settle 600ms --rate 50 --hold 300ms --ping 100ms", "base growth logins_per_second sessions server_rss server_rss_at_base", "total memory"},
		{"message --pairs 5 --idle 2 --warmup 100ms --duration 500ms", "bytes_per_message latency messages pairs per_second sessions", "latency, 99 %"},
		{"message --pairs 5 --rate 300 --warmup 100ms --duration 500ms", "bytes_per_message latency messages pairs per_second sessions", "messages delivered"},
		{"login --count 40 --accounts 10 --in-flight 5", "latency logins per_second", "logins"},
		{"presence --sessions 10 --contacts 2 --rate 200 --duration 500ms", "changes contacts delivered latency per_second sessions", "delivered to contacts"},
		{"reconnect --sessions 10", "latency per_second seconds sessions", "time until all are back"},
		{"idle --processes 3 --sessions 20 --base 5 --settle 600ms --hold 300ms --ping 100ms", "base growth logins_per_second sessions server_rss server_rss_at_base", "total memory"},
		{"message --processes 2 --pairs 5 --idle 2 --warmup 100ms --duration 500ms", "bytes_per_message latency messages pairs per_second sessions", "latency, 99 %"},
		{"login --count 40 --rate 500 --accounts 10 --in-flight 5", "latency logins per_second", "logins"},
		{"login --processes 3 --count 40 --accounts 10 --in-flight 5", "latency logins per_second", "logins"},
		{"login --sasl2 --sm --carbons --count 40 --accounts 10 --in-flight 5", "latency logins per_second", "logins"},
		{"message --sasl2 --sm --processes 2 --pairs 5 --warmup 100ms --duration 500ms", "bytes_per_message latency messages pairs per_second sessions", "latency, 99 %"},
		{"resume --pairs 5 --count 50 --gap 2", "failed latency lost messages pairs per_second resumptions twice", "0 lost, 0 twice, 0 out of order"},
		{"resume --roam --pairs 5 --count 50", "failed latency lost per_second resumptions twice", "0 lost, 0 twice, 0 out of order"},
		{"resume --sasl2 --processes 2 --pairs 5 --count 50", "latency lost per_second resumptions", "resumptions"},
		{"login --fast --sm --count 40 --accounts 10 --in-flight 5", "latency logins per_second", "logins"},
		{"resume --fast --processes 2 --pairs 5 --count 50", "latency lost per_second resumptions", "resumptions"},
		{"presence --processes 2 --sessions 10 --contacts 2 --rate 200 --duration 500ms", "changes contacts delivered latency per_second sessions", "delivered to contacts"},
		{"reconnect --processes 2 --sessions 10", "latency per_second seconds sessions", "time until all are back"},
	} {
		name := filepath.Join(t.TempDir(), "result")
		args := strings.Fields(c.args)
		if args[0] == "message" || slices.Contains(args, "--roam") { // several servers, which are the same
			args = append(args, "--target", target)
		}
		args = append(args, "--target", target, "--create", data, "--server-pid", pid, "--json="+name, "--chart", name+".svg")
		code, stdout, stderr := cmdtest.Result(t, nil, args...)
		if code != 0 || !strings.Contains(stdout, c.table) {
			t.Errorf("%s: exit code %d\n%s\n%s", c.args, code, stdout, stderr)
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		for _, f := range strings.Fields(c.fields) {
			if _, ok := got[f]; !ok {
				t.Errorf("%s: no %s in %v", c.args, f, slices.Sorted(maps.Keys(got)))
			}
		}
		if all := accountsIn(t, data); len(all) > 0 {
			t.Errorf("%s: remaining accounts: %q", c.args, all)
		}
		if svg, err := os.ReadFile(name + ".svg"); err != nil || !strings.Contains(string(svg), "by roost-bench "+strings.Fields(c.args)[0]) {
			t.Errorf("%s: no chart with the command: %v", c.args, err)
		}
	}
}

// TestBenchProcesses: several processes produce one result for all clients, without gaps
// or duplicates, and with the latencies of all of them.
func TestBenchProcesses(t *testing.T) {
	target, data, pid := startServer(t)
	f := func(args string) (got struct {
		Sessions, Base, Failed, Pairs, Logins int
		Growth                                []struct{ Sessions int }
		Latency                               struct {
			P50   float64 `json:"p50_us"`
			Curve []struct{ Percent, US float64 }
		}
		CPU float64 `json:"server_cpu_s"`
	}) {
		t.Helper()
		code, stdout, stderr := cmdtest.Result(t, nil, append([]string{}, strings.Fields(args+" --processes 3 --json --target "+target+" --create "+data+" --server-pid "+pid)...)...)
		if err := json.Unmarshal([]byte(stdout), &got); code != 0 || err != nil {
			t.Fatalf("%s: exit code %d, %v\n%s%s", args, code, err, stdout, stderr)
		}
		return got
	}
	if r := f("idle --sessions 31 --base 7 --settle 1200ms"); r.Sessions != 31 || r.Base != 7 || r.Failed != 0 || len(r.Growth) == 0 || r.Growth[len(r.Growth)-1].Sessions != 31 {
		t.Errorf("idle: %+v", r)
	}
	if r := f("message --pairs 7 --idle 4 --warmup 100ms --duration 300ms"); r.Sessions != 18 || r.Pairs != 7 || r.Latency.P50 <= 0 || len(r.Latency.Curve) == 0 {
		t.Errorf("message: %+v", r)
	}
	if r := f("login --count 100 --accounts 10 --in-flight 10"); r.Logins != 100 || r.Latency.P50 <= 0 || r.CPU <= 0 {
		t.Errorf("login: %+v", r)
	}
}

// TestResumeVerdict: a message that is lost, or arrives twice or out of order, fails the run.
func TestResumeVerdict(t *testing.T) {
	for _, test := range []struct {
		r    bench.ResumeResult
		want string
	}{
		{bench.ResumeResult{Messages: 9}, ""},
		{bench.ResumeResult{Messages: 9, Lost: 1}, "of 9 messages, 1 were lost"},
		{bench.ResumeResult{Messages: 9, Twice: 1}, "1 arrived twice"},
		{bench.ResumeResult{Messages: 9, Disordered: 1}, "1 out of order"},
		{bench.ResumeResult{Failed: 2, Errors: []string{"the reason"}}, "2 clients failed, the first: the reason"},
	} {
		err := new(resumeCmd).verdict(test.r)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%+v: %v, want %q", test.r, err, test.want)
		}
	}
}

// TestBenchJSON: with --json alone, standard output contains only the result.
func TestBenchJSON(t *testing.T) {
	target, data, _ := startServer(t)
	for _, flag := range []string{"--json", "--json=-"} {
		code, stdout, stderr := cmdtest.Result(t, nil, "login", "--count", "5", "--accounts", "5", "--in-flight", "5",
			"--target", target, "--create", data, flag)
		var got struct{ Logins int }
		if err := json.Unmarshal([]byte(stdout), &got); code != 0 || err != nil || got.Logins != 5 {
			t.Errorf("%d, %v: %s%s", code, err, stdout, stderr)
		}
	}
}

// TestBenchFailures: errors of the server or the network have exit code 1 and a reason;
// mistakes on the command line have exit code 2.
func TestBenchFailures(t *testing.T) {
	target, data, _ := startServer(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	_ = l.Close()
	f := func(code int, want, args string) {
		t.Helper()
		got, _, stderr := cmdtest.Result(t, nil, strings.Fields(args)...)
		if got != code || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit code %d, %q; want %d and %q", args, got, stderr, code, want)
		}
	}
	f(1, "not-authorized", "login --count 3 --password wrong --target "+target)
	f(1, "refused", "message --pairs 1 --target "+nobody)
	f(2, "--in-flight 100", "login --accounts 99 --in-flight 100")
	f(1, "no such process", "login --count 1 --accounts 1 --in-flight 1 --server-pid 999999999 --create "+data+" --target "+target)
	f(2, "%d", "idle --user nobody")
	f(2, "--base", "idle --sessions 5 --base 5")
	f(2, "--sessions must be at least 1", "idle --sessions 5 --processes 6")
	f(2, "--settle", "idle --settle=-1s")
	f(2, "--ping", "idle --ping=-1s")
	f(2, "--duration", "message --duration 0s")
	f(2, "--warmup", "message --warmup=-1s")
	f(2, "--duration", "presence --duration 0s")
	f(2, "--rate must be above 0", "presence --rate 0")
	f(2, "--rate must be from 0 to 1,000,000", "presence --rate inf")
	f(2, "--rate must be from 0 to 1,000,000", "message --rate NaN")
	f(2, "--rate must be from 0 to 1,000,000", "idle --rate=-1")
	f(2, "--rate must be from 0 to 1,000,000", "login --rate 1000001")
	f(2, "--pairs", "message --pairs 0")
	f(2, "--processes 3", "reconnect --sessions 40000")
	f(2, "--processes", "login --processes 0")
	f(2, "each process", "login --processes 4 --count 3 --accounts 100")
	f(1, "not-authorized", "login --count 30 --accounts 30 --in-flight 30 --processes 3 --password wrong --target "+target)
	f(1, "refused", "reconnect --sessions 6 --processes 2 --target "+nobody)
	f(2, "--contacts", "presence --contacts 0")
	f(2, "--sessions must be at least 2", "presence --sessions 1")
	f(2, "--csi", "presence --csi")
	f(2, "--detach", "idle --detach --hold 1s")
	f(2, "--ws has no STARTTLS", "login --ws --tls starttls")
	f(2, "--count at least --pairs", "resume --pairs 5 --count 4")
	f(2, "--roam needs at least two --target", "resume --roam --target "+nobody)
	f(2, "--in-flight", "login --in-flight 0")
	f(2, "--domain example.org is not served", "login --domain example.org --create "+data)
	f(1, "there is no database in ", "login --create "+filepath.Join(data, "none"))
	f(2, "--json=", "login --json=")
	f(2, "--tls", "login --tls maybe")
	f(2, "ends in .svg or .png", "login --chart latency.gif")
	f(2, "there is no directory "+data+"/none", "login --chart "+data+"/none/latency.svg")
	f(2, "there is no directory "+data+"/none", "login --json="+data+"/none/result.json")
	f(1, "--server-pid: bench: no such process", "idle --sessions 5 --server-pid 999999999 --target "+nobody) // before anything else
	f(2, "--server-pid", "idle --chart memory.svg")
	f(2, "--mechanism", "login --mechanism X-FISH")
	f(2, "no address", "login --domain a@b")
}
