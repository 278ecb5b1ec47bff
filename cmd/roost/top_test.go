package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"roost/admin/api"
	"roost/internal/cli"
	"roost/internal/cmdtest"
)

// topReading is a reading at a time since the start, with counters that are n times what a
// second brings.
func topReading(seconds int, n int64) *api.Stats {
	start := time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)
	h := api.Histogram{Bounds: []float64{0.001, 0.01}, Counts: []int64{0, 100 * n, 0}}
	return &api.Stats{
		Time: start.Add(time.Duration(seconds) * time.Second), StartedAt: start, UptimeSeconds: float64(seconds), Version: "v1.2.3", State: api.Serving,
		Sessions: api.Sessions{Connected: 1200, Available: 1100, Accounts: 1000, Unbound: 7},
		Logins:   500 * n, LoginTime: h, LoginErrors: map[string]int64{"wrong-password": 3 * n, "refused": 20 * n, "aborted": 5}, Ended: map[string]int64{"lost": 12 * n, "closed": 4 * n},
		Messages: 2000 * n, MessagesStored: n, StanzasReceived: 3000 * n, StanzasSent: 4000 * n, BytesReceived: 2048 * n, BytesSent: 1 << 20 * n,
		CPUSeconds: 1.5 * float64(n), CPUs: 2, Memory: api.Memory{ResidentBytes: 1 << 30, PredictedBytes: 1 << 29, LimitBytes: 1 << 31},
		LoopTurns: h, StoreReads: h, StoreWrites: api.Histogram{Bounds: []float64{0.001}, Counts: []int64{0, 0}}, WritesWaiting: 3,
		Workers: []api.WorkerPool{{Work: "read", Busy: 1, Limit: 32}, {Work: "write", Busy: 2, Limit: 1024, Waiting: 5}},
		Refused: map[string]int64{"attempts": 0, "files": 0}, Unread: 4096, Remaining: map[string]int64{"memory": 800, "open files": 5000},
	}
}

func topText(v *topView) (text, alarms string) {
	for _, l := range v.lines() {
		text += l.text + "\n"
		if l.alarm {
			alarms += l.text + "\n"
		}
	}
	return text, alarms
}

// TestTopView: rates are those between the last two readings, quantiles those of the last
// minute; a server that was started again begins anew; problems are marked.
func TestTopView(t *testing.T) {
	var v topView
	for i := range 100 {
		v.add(topReading(100+2*i, int64(2*i)))
	}
	text, alarms := topText(&v)
	for _, want := range []string{
		"^roost v1.2.3, serving, up for 4 min +2026-11-28 \\d\\d:\\d\\d:\\d\\d\n\nonline       1,200        accounts 1,000, available 1,100, not logged in 7\n",
		"\nroom for     800          more, limited by memory; 60 % used\n",
		"\nmemory       1.0 GiB      expected 512 MiB, limit 2.0 GiB\n",
		"\nCPU          150 %        of 200 %\n",
		"\nlogins       500          failed: refused 20, wrong-password 3.0\n",
		"\nends         16           lost 12, closed 4.0\n",
		"\nmessages     2,000        stored for later 1.0\n",
		"\nstanzas      in 3,000     out 4,000\n",
		"\ntraffic      in 2.0 KiB   out 1.0 MiB; not read by clients yet: 4.0 KiB\n",
		"\nrefused      0\n",
		"\nlogins          5.5 ms   9.91 ms\n",
		"\nstore writes         -         -   3 waiting\n",
		"\nworkers busy read 1 of 32; write 2 of 1,024, waiting 5\n",
	} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if alarms != "" {
		t.Errorf("alarms: %s", alarms)
	}
	for _, l := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if len([]rune(l)) > 80 {
			t.Errorf("%d columns: %s", len(l), l)
		}
	}
	if n := strings.Count(text, "\n"); n > 24 {
		t.Errorf("%d lines", n)
	}
	if n := len(v.readings); n != int(topSpan/(2*time.Second))+1 {
		t.Errorf("%d readings are kept", n)
	}

	s := topReading(400, 1000)
	s.State, s.CPUSeconds, s.Refused, s.Remaining, s.Memory.ResidentBytes = api.Draining, 1e6, map[string]int64{"files": 500}, map[string]int64{"open files": 10}, 1<<31-1
	s.Workers[0].Waiting = 33
	v.add(s)
	v.problem = "no \x1b server"
	_, alarms = topText(&v)
	for _, want := range []string{"draining", "no ? server", "room for     10 ", "memory ", "CPU ", "refused      4.9          files 4.9", "read 1 of 32, waiting 33"} {
		if !strings.Contains(alarms, want) {
			t.Errorf("no %q in\n%s", want, alarms)
		}
	}
	if n := strings.Count(alarms, "\n"); n != 7 {
		t.Errorf("%d alarms:\n%s", n, alarms)
	}

	s = topReading(1, 1)
	s.StartedAt = s.Time
	v.add(s)
	if text, _ = topText(&v); !strings.Contains(text, "\nlogins       0\n") || !strings.Contains(text, "\nlogins               -         -\n") || strings.Contains(text, "no ? server") {
		t.Errorf("after a restart:\n%s", text)
	}
	s = topReading(2, 2)
	s.StartedAt, s.LoginTime = v.now().StartedAt, api.Histogram{Counts: []int64{1}, Bounds: []float64{1, 2}}
	v.add(s)
	topText(&v) // does not panic
}

func TestFigures(t *testing.T) {
	for rate, want := range map[float64]string{0: "0", 0.04: "0.0", 9.94: "9.9", 10: "10", 12345.6: "12,346"} {
		if got := rateText(rate); got != want {
			t.Errorf("%v: %s, want %s", rate, got, want)
		}
	}
	for seconds, want := range map[float64]string{0: "0 µs", 12.34e-6: "12.3 µs", 1.5e-3: "1.5 ms", 0.25: "250 ms", 2: "2 s"} {
		if got := secondsText(seconds); got != want {
			t.Errorf("%v: %s, want %s", seconds, got, want)
		}
	}
	if check, room, ok := scarcest(map[string]int64{"b": 5, "a": 5, "c": 9}); check != "a" || room != 5 || !ok {
		t.Errorf("%s %d %v", check, room, ok)
	}
	if _, _, ok := scarcest(nil); ok {
		t.Error("there is no check")
	}
}

// TestTopCommand: once on a pipe, as JSON line by line, and its mistakes.
func TestTopCommand(t *testing.T) {
	dir := t.TempDir()
	f := func(code int, want string, args ...string) string {
		t.Helper()
		got, stdout, stderr := cmdtest.Result(t, nil, append([]string{"top", "--data", dir}, args...)...)
		if got != code || !regexp.MustCompile(want).MatchString(stdout+stderr) {
			t.Errorf("%q: %d, %q, %q; want %d and %s", args, got, stdout, stderr, code, want)
		}
		return stdout
	}
	f(cli.ExitFailure, "no server runs")
	f(cli.ExitUsage, "--every must be at least 100ms", "--every", "99ms")
	f(cli.ExitUsage, "--every must be", "--every", "61m")
	serving(t, nil, "--c2s", "127.0.0.1:0", "--c2s-tls", "", "--data", dir)
	if out := f(0, `(?s)^roost \S+, serving, up for .*\nonline       0 .*\nroom for .*\nmemory .*\nCPU .*\nworkers busy read 0 of 32; .*\n$`, "--every", "100ms"); strings.Contains(out, "\x1b") {
		t.Errorf("%q", out)
	}
	if out := f(0, `^{`, "--json", "--once"); strings.Count(out, "\n") != 1 {
		t.Error(out)
	}
	lines := startLive(t, "top", "--data", dir, "--json", "--every", "100ms")
	for range 3 {
		var s api.Stats
		line := <-lines.lines
		if err := json.Unmarshal([]byte(line), &s); err != nil || s.CPUs == 0 || len(s.Workers) != 3 {
			t.Errorf("%s: %v", line, err)
		}
	}
	lines.end(0)
}

// TestTopOnTerminal: the figures are drawn again at each interval and when the size changes;
// while the server is away it says so; q and signals restore the terminal.
func TestTopOnTerminal(t *testing.T) {
	dir := t.TempDir()
	start := func() func() {
		cmd, _ := serving(t, nil, "--c2s", "127.0.0.1:0", "--c2s-tls", "", "--data", dir)
		return func() {
			_ = cmd.Process.Signal(syscall.SIGTERM)
			_ = cmd.Wait()
		}
	}
	stop := start()
	top := func(every string) *cmdtest.Terminal {
		p := cmdtest.OnTerminal(t, "top", "--data", dir, "--every", every)
		p.Until(enterScreen)
		p.Until("online")
		if p.Echo() {
			t.Error("keys are shown")
		}
		return p
	}

	p := top("100ms")
	for range 3 {
		p.Until("\x1b[H\x1b[Kroost")
	}
	stop()
	p.Until("trying again: no server runs")
	stop = start()
	for frame := "trying again"; strings.Contains(frame, "trying again"); {
		p.Until("\x1b[H")
		frame = p.Until("\x1b[J")
	}
	p.Types("xq")
	p.Until(leaveScreen)
	p.Ends(0)

	p = top("1h")
	p.Until("\x1b[J")
	p.Resize(3, 20)
	p.Until("\x1b[H")
	frame := p.Until("\x1b[J")
	lines := strings.Split(frame, "\n")
	if len(lines) != 3 || len(strings.TrimRight(lines[0], "\r")) != len("\x1b[K")+20 { // the terminal adds a \r
		t.Errorf("%q", lines)
	}
	p.Types("\x03") // Ctrl-C
	p.Until(leaveScreen)
	p.Ends(0)

	p = top("1h")
	p.Types("\x1a") // Ctrl-Z, which is a key like others
	if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.Until(leaveScreen)
	p.Ends(0)
	stop()

	p = cmdtest.OnTerminal(t, "top", "--data", dir)
	p.Until("no server runs")
	p.Ends(cli.ExitFailure)
}
