package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"go.uber.org/goleak"
)

// TestJoinedLatencies: latencies of several processes are combined event by event, not
// averaged.
func TestJoinedLatencies(t *testing.T) {
	sum := func(ds ...time.Duration) Latency {
		h := newHistogram()
		for _, d := range ds {
			record(h, d)
		}
		return summary([]*hdrhistogram.Histogram{h})
	}
	a := LoginResult{Logins: 3, ServerCPU: 2, PerSecond: 5, Latency: sum(time.Millisecond, time.Millisecond, time.Millisecond)}
	b := LoginResult{Logins: 2, Failed: 1, ServerCPU: 3, PerSecond: 7, Errors: []string{"one"}, Latency: sum(time.Second)}
	a.add(b)
	if a.Logins != 5 || a.Failed != 1 || a.PerSecond != 12 || a.CPUPerLogin != 3e6/4 || len(a.Errors) != 1 {
		t.Errorf("%+v", a)
	}
	if l := a.Latency; l.P50 > 1001 || l.P90 < 999e3 || len(l.Curve) != len(curve) {
		t.Errorf("%+v", l)
	}
}

func TestMain(m *testing.M) {
	if how := os.Getenv(crewWorker); how != "" {
		os.Exit(workerMain(how))
	}
	goleak.VerifyTestMain(m)
}

// crewWorker in the environment makes the test binary a worker; its value selects the
// failure.
const crewWorker = "ROOST_TEST_CREW_WORKER"

// workerMain is a worker without clients that waits for the others twice.
func workerMain(how string) int {
	ctx, cancel := context.WithCancel(context.Background())
	w := NewWorker(os.Stdin, os.Stdout, cancel)
	f, err := NewClients(Config{Sync: w.Sync})
	if err != nil {
		return 1
	}
	defer f.Close()
	err = Work(ctx, w, f, func() (LoginResult, error) {
		if err := f.sync(ctx); err != nil || how == "error" {
			return LoginResult{}, io.ErrUnexpectedEOF
		}
		if how == "exit" {
			os.Exit(3)
		}
		if how == "rubbish" {
			_, _ = os.Stdout.WriteString("what?\n")
			<-ctx.Done()
		}
		return LoginResult{Logins: 1, Latency: summary(nil)}, f.sync(ctx)
	})
	if err != nil {
		return 1
	}
	return 0
}

// TestWorkers: workers end together. If one fails, the others end too, and its error is
// returned.
func TestWorkers(t *testing.T) {
	for how, want := range map[string]string{"": "", "error": "unexpected EOF", "exit": "ended before the others", "rubbish": "invalid character"} {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		c, err := StartWorkers(ctx, 3, func(ctx context.Context, i int) *exec.Cmd {
			cmd := exec.CommandContext(ctx, os.Args[0])
			value := "well"
			if i == 1 && how != "" {
				value = how
			}
			cmd.Env = append(os.Environ(), crewWorker+"="+value)
			return cmd
		})
		if err != nil {
			t.Fatal(err)
		}
		r, err := Merge[LoginResult](ctx, c, nil)
		switch {
		case want == "" && (err != nil || r.Logins != 3):
			t.Errorf("%+v, %v", r, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", how, err, want)
		}
		if ctx.Err() != nil {
			t.Errorf("%s: the workers did not end early", how)
		}
		for _, w := range c.workers {
			if w.cmd.ProcessState == nil {
				t.Errorf("%s: a process still runs", how)
			}
		}
		cancel()
	}
}

// TestWorkerAlone: a worker ends when its parent has exited.
func TestWorkerAlone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	in, crew := io.Pipe()
	out, w := io.Pipe()
	worker := NewWorker(in, w, cancel)
	waits := make(chan error, 1)
	go func() { waits <- worker.Sync(ctx) }()
	line, err := bufio.NewReader(out).ReadBytes('\n')
	var r report
	if err != nil || json.Unmarshal(line, &r) != nil || !r.Wait {
		t.Fatalf("%s, %v", line, err)
	}
	_ = crew.Close()
	if err := <-waits; err != context.Canceled {
		t.Errorf("%v, want that it was cancelled", err)
	}
}
