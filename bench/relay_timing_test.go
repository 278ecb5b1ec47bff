package bench

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startRelay starts the relay in its own process.
func startRelay(t testing.TB) (address string, pid int) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "roost-bench")
	if out, err := exec.Command("go", "build", "-o", program, "roost/cmd/roost-bench").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(program, "relay")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the relay: %v", err)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	address, ok := strings.CutPrefix(strings.TrimSpace(line), "relay on ")
	if err != nil || !ok {
		t.Fatalf("%q, %v", line, err)
	}
	return address, cmd.Process.Pid
}

// relayClients returns n clients, paired by the relay in order.
func relayClients(t testing.TB, address string, n int) *Clients {
	t.Helper()
	f, err := NewClients(Config{Target: address, Raw: true, From: true, InFlight: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if err := f.Login(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestRelayClients: the clients exchange messages through the relay, and receive as many
// bytes as a server would deliver.
func TestRelayClients(t *testing.T) {
	address, _ := startRelay(t)
	through := relayClients(t, address, 20)
	server := newTestClients(t, Config{Target: startRoost(t, 20).starttls, From: true})
	if err := server.Login(t.Context(), 20); err != nil {
		t.Fatal(err)
	}
	var bytes [2]float64
	for i, f := range []*Clients{through, server} {
		r, err := f.Message(t.Context(), MessageConfig{Pairs: 10, Warmup: 50 * time.Millisecond, Duration: 300 * time.Millisecond})
		if err != nil || r.Messages < 20 {
			t.Fatalf("%+v, %v", r, err)
		}
		bytes[i] = r.Bytes
	}
	if ratio := bytes[1] / bytes[0]; ratio < 0.95 || ratio > 1.05 {
		t.Errorf("%.0f bytes per message through the relay, %.0f through the server", bytes[0], bytes[1])
	}
}

// BenchmarkRelay reports the cost of a message on a server, the cost of moving the same
// bytes between the same sockets by a relay, and the ratio. It alternates between both,
// so that other load on the machine affects both. ROOST_BENCH_CPU names a file for a
// profile of the server.
func BenchmarkRelay(b *testing.B) {
	for _, pairs := range []int{100, 1000} {
		b.Run(fmt.Sprintf("pairs=%d", pairs), func(b *testing.B) {
			r := startRoost(b, 2*pairs)
			server, err := NewClients(Config{Target: r.starttls, From: true})
			if err != nil {
				b.Fatal(err)
			}
			defer server.Close()
			if err := server.Login(b.Context(), 2*pairs); err != nil {
				b.Fatal(err)
			}
			address, pid := startRelay(b)
			through := relayClients(b, address, 2*pairs)
			if file := os.Getenv("ROOST_BENCH_CPU"); file != "" {
				go r.save(file, "profile?seconds=30")
			}
			var cost, rate [2]float64
			n := 0.0
			for b.Loop() {
				n++
				for i, of := range []struct {
					f   *Clients
					pid int
				}{{server, r.cmd.Process.Pid}, {through, pid}} {
					got, err := of.f.Message(b.Context(), MessageConfig{Pairs: pairs, Warmup: time.Second, Duration: 5 * time.Second, Servers: []int{of.pid}})
					if err != nil {
						b.Fatal(err)
					}
					of.f.quiet()
					cost[i] += got.CPUPerMessage
					rate[i] += got.PerSecond
					b.Logf("%d pairs: %s: %.2f us per message, %.0f messages/s, %.0f bytes, p99 %.0f us", pairs,
						[]string{"roost", "relay"}[i], got.CPUPerMessage, got.PerSecond, got.Bytes, got.Latency.P99)
				}
			}
			b.ReportMetric(cost[0]/n, "roost-us/message")
			b.ReportMetric(cost[1]/n, "relay-us/message")
			b.ReportMetric(cost[0]/cost[1], "ratio")
			b.ReportMetric(rate[0]/n, "roost-messages/s")
			b.ReportMetric(rate[1]/n, "relay-messages/s")
		})
	}
}

// quiet waits until messages in flight have arrived, so that they do not count in the
// next run.
func (cs *Clients) quiet() { time.Sleep(300 * time.Millisecond) }
