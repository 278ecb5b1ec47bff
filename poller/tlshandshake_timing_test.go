//go:build linux

package poller

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// fixedTicket is a client's cache that keeps the first ticket it gets: every later
// connection resumes that session.
type fixedTicket struct {
	mu sync.Mutex
	st *tls.ClientSessionState
}

func (f *fixedTicket) Get(string) (*tls.ClientSessionState, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.st, f.st != nil
}

func (f *fixedTicket) Put(_ string, st *tls.ClientSessionState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.st == nil {
		f.st = st
	}
}

// handshakeClient is the client of the measured handshakes; with a cache, they resume.
func handshakeClient(resumed bool) *tls.Config {
	c := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"}
	if resumed {
		c.ClientSessionCache = new(fixedTicket)
	}
	return c
}

// echoOnce connects, with TLS unless cfg is nil, has one byte echoed and disconnects.
func echoOnce(addr string, cfg *tls.Config) error {
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer raw.Close()
	c := raw
	if cfg != nil {
		c = tls.Client(raw, cfg)
	}
	if _, err := c.Write([]byte("x")); err != nil {
		return err
	}
	_, err = io.ReadFull(c, make([]byte, 1))
	return err
}

// The client of BenchmarkHandshake is a separate process, so that the CPU time of this
// one is only the server's. It connects as often as a line requests.
const shakeVariable = "ROOST_TEST_SHAKE"

func TestHandshakeChild(t *testing.T) {
	if os.Getenv(shakeVariable) == "" {
		return
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var addr, kind string
		var n, at int
		if _, err := fmt.Sscan(in.Text(), &addr, &kind, &n, &at); err != nil {
			t.Fatal(err)
		}
		var cfg *tls.Config
		if kind != "plain" {
			cfg = handshakeClient(kind == "resumed")
			if err := echoOnce(addr, cfg); err != nil { // gets the ticket
				t.Fatal(err)
			}
		}
		fmt.Println("ready")
		in.Scan()
		var wg sync.WaitGroup
		for range at {
			wg.Go(func() {
				for range n / at {
					if err := echoOnce(addr, cfg); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		fmt.Println("done")
	}
}

// startHandshakeChild starts the client. The returned function measures the CPU time that
// this process uses while the client connects n times, with many connections at once.
func startHandshakeChild(b *testing.B, n, at int) (measure func(addr, kind string) time.Duration) {
	cmd := self("-test.run=^TestHandshakeChild$")
	cmd.Env = append(os.Environ(), shakeVariable+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	out := bufio.NewScanner(pipe)
	say := func(line, want string) {
		if _, err := fmt.Fprintln(in, line); err != nil || !out.Scan() || out.Text() != want {
			b.Fatalf("the client prints %q, want %q: %v", out.Text(), want, err)
		}
	}
	return func(addr, kind string) time.Duration {
		say(fmt.Sprint(addr, " ", kind, " ", n, " ", at), "ready")
		start := cpu()
		say("", "done")
		return cpu() - start
	}
}

// pipeEnd is one end of a connection in memory, for two goroutines.
type pipeEnd struct {
	net.Conn // nil: crypto/tls does not call the rest
	in, out  chan []byte
	rest     []byte
}

func (p *pipeEnd) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		p.rest = <-p.in
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func (p *pipeEnd) Write(b []byte) (int, error) {
	p.out <- bytes.Clone(b)
	return len(b), nil
}

// threadCPU returns the time that the calling thread has used.
func threadCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(1, &u) // RUSAGE_THREAD
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// handshakeInMemory measures the minimum cost of a handshake for a server: the time of
// its thread, with both sides connected through memory.
func handshakeInMemory(b *testing.B, server, client *tls.Config, n int) (used time.Duration) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for range n {
		up, down := make(chan []byte, 8), make(chan []byte, 8)
		done := make(chan error, 1)
		go func() {
			c := tls.Client(&pipeEnd{in: down, out: up}, client)
			_, err := c.Read(make([]byte, 1)) // reads the ticket
			done <- err
		}()
		s := tls.Server(&pipeEnd{in: up, out: down}, server)
		start := threadCPU()
		err := s.Handshake()
		used += threadCPU() - start
		_, werr := s.Write([]byte("x"))
		if err := errors.Join(err, werr, <-done); err != nil {
			b.Fatal(err)
		}
	}
	return used
}

// BenchmarkHandshake: the server's CPU cost of a login's handshake, including the echo of
// a byte and the end: over loopback with both record layers, without TLS, and in memory
// without sockets. They alternate in one process; the result is the median.
func BenchmarkHandshake(b *testing.B) {
	const turn, at = 64, 16
	for _, kind := range []string{"full", "resumed"} {
		b.Run(kind, func(b *testing.B) {
			cfg, client := testTLS(b), handshakeClient(kind == "resumed")
			measure := startHandshakeChild(b, turn, at)
			over := func(s *testServer, kind string) func() time.Duration {
				return func() time.Duration { return measure(s.addr, kind) }
			}
			handshakeInMemory(b, cfg, client, 1)
			ways := []func() time.Duration{
				func() time.Duration { return handshakeInMemory(b, cfg, client, turn) },
				over(serve(b, Config{Loops: 1}, nil, nil), "plain"),
				over(serve(b, Config{Loops: 1, StdTLS: true}, cfg, nil), kind),
				over(serve(b, Config{Loops: 1}, cfg, nil), kind),
			}
			took := make([][]float64, len(ways))
			for b.Loop() {
				for _, i := range rand.Perm(len(ways)) {
					took[i] = append(took[i], float64(ways[i]())/turn/1000)
				}
			}
			for i, unit := range []string{"memory-µs", "plain-µs", "std-µs", "lean-µs"} {
				slices.Sort(took[i])
				b.ReportMetric(took[i][len(took[i])/2], unit)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkStalled: the cost of a connection with a stalled handshake, in heap and stack,
// both sides together; the client only has a socket.
func BenchmarkStalled(b *testing.B) {
	hello := clientHello(b)
	for _, c := range []struct {
		name       string
		hello      []byte
		handshakes int
		under      int64
	}{
		{"silent", nil, 1, 0}, {"half", hello[:len(hello)/2], 1, 0}, {"waiting", hello, 1, 1}, {"shaking", hello, 1 << 20, 1},
	} {
		b.Run("at="+c.name, func(b *testing.B) {
			const n = 500
			cfg := testTLS(b)
			for b.Loop() {
				s := serve(b, Config{Loops: 1, Handshakes: c.handshakes}, cfg, nil)
				before := heap()
				for range n {
					_, _ = dial(b, s.addr).Write(c.hello)
				}
				eventually(b, "all have come so far", func() bool {
					m := s.Stats()
					return m.Conns == n && m.Handshake == c.under*n && (c.handshakes == 1 || m.Writes == n)
				})
				after := heap()
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "heap-B/conn")
				b.ReportMetric((float64(after.StackInuse)-float64(before.StackInuse))/n, "stack-B/conn")
				_ = s.Close()
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}
