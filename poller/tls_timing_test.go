//go:build linux

package poller

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// idleKinds are the kinds of idle connections.
var idleKinds = []string{"plain", "lean", "std"}

// idleHeap opens n connections, which exchange a message and then are idle, and returns
// the cost of one for both sides together: bytes and objects in the heap. The client
// keeps only its socket, for all kinds.
func idleHeap(t testing.TB, kind string, n int) (bytes, objects float64) {
	t.Helper()
	var cfg *tls.Config
	if kind != "plain" {
		cfg = testTLS(t)
	}
	s := serve(t, Config{Loops: 1, StdTLS: kind == "std"}, cfg, nil)
	clients := make([]net.Conn, 0, 2*n)
	open := func() {
		for range n {
			raw := dial(t, s.addr)
			var c net.Conn = raw
			if cfg != nil {
				c = tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
			}
			_, _ = c.Write([]byte("hello"))
			expect(t, c, "hello")
			clients = append(clients, raw)
		}
		for _, l := range s.loops {
			eventually(t, "no session is awake", func() bool {
				l.keys.mu.Lock()
				defer l.keys.mu.Unlock()
				return len(l.keys.all) == 0
			})
		}
	}
	open() // allocate one-time memory before measuring
	before := heap()
	open()
	after := heap()
	if kind == "lean" && s.Stats().LeanTLS != int64(2*n) {
		t.Error("not all sessions are lean")
	}
	for _, c := range clients {
		_ = c.Close()
	}
	return float64(after.HeapAlloc-before.HeapAlloc) / float64(n), float64(after.HeapObjects-before.HeapObjects) / float64(n)
}

func heap() (m runtime.MemStats) {
	for range 3 { // pools are emptied in two steps
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m
}

// TestLeanIdleHeap limits what TLS adds to an idle connection to 220 bytes. The leanTLS,
// which TestLeanSize limits, is 160 of them.
func TestLeanIdleHeap(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector's build has other sizes")
	}
	plain, _ := idleHeap(t, "plain", 400)
	lean, _ := idleHeap(t, "lean", 400)
	if lean-plain > 220 {
		t.Errorf("TLS adds %.0f bytes to the %.0f of an idle connection", lean-plain, plain)
	}
}

// BenchmarkIdle: the heap of an idle connection of each kind, both sides together.
func BenchmarkIdle(b *testing.B) {
	for _, kind := range idleKinds {
		b.Run("kind="+kind, func(b *testing.B) {
			for b.Loop() {
				bytes, objects := idleHeap(b, kind, 1000)
				b.ReportMetric(bytes, "B/conn")
				b.ReportMetric(objects, "objects/conn")
			}
		})
	}
}

// cpu returns the CPU time that the process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkTLSEcho: round trips of data over loopback, with both record layers on the
// server's side and the same client; cpu-ns/op includes both sides.
func BenchmarkTLSEcho(b *testing.B) {
	for _, size := range []int{150, 1400, 1 << 14} {
		for _, kind := range []string{"std", "lean"} {
			b.Run(fmt.Sprintf("impl=%s/size=%d", kind, size), func(b *testing.B) {
				s := serve(b, Config{Loops: 1, StdTLS: kind == "std"}, testTLS(b), nil)
				raw := dial(b, s.addr)
				_ = raw.SetDeadline(time.Time{})
				c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, DynamicRecordSizingDisabled: true})
				text, got := []byte(strings.Repeat("x", size)), make([]byte, size)
				b.SetBytes(int64(size))
				start := cpu()
				for b.Loop() {
					if _, err := c.Write(text); err != nil {
						b.Fatal(err)
					}
					if _, err := io.ReadFull(c, got); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(cpu()-start)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}
