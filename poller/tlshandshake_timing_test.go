//go:build linux

package poller

import (
	"bytes"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// fixedTicket is a client's cache that keeps the first ticket it is given: every
// later connection resumes that session.
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

// pipeEnd is one end of a connection in memory, for two goroutines.
type pipeEnd struct {
	net.Conn // nil: what crypto/tls does not call
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

// handshakes in memory, the least that both sides can cost together.
func shakeInMemory(server, client *tls.Config, n int) error {
	for range n {
		a, b := make(chan []byte, 8), make(chan []byte, 8)
		done := make(chan error, 1)
		go func() { done <- tls.Client(&pipeEnd{in: b, out: a}, client).Handshake() }()
		if err := errors.Join(tls.Server(&pipeEnd{in: a, out: b}, server).Handshake(), <-done); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkStalled: what a connection costs that goes no further with its
// handshake, in heap and stack, both sides of it; the client has a socket alone.
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
				s := serve(b, Config{Loops: 1, Handshakes: c.handshakes, HandshakeTimeout: time.Hour}, cfg, nil)
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

// BenchmarkHandshake: a whole handshake, both sides of it, in memory and over
// loopback with both layers on the server's side; cpu-µs of all by turns in one
// process, the median of the turns.
func BenchmarkHandshake(b *testing.B) {
	const turn = 4
	for _, resumed := range []bool{false, true} {
		name := "full"
		if resumed {
			name = "resumed"
		}
		b.Run(name, func(b *testing.B) {
			cfg := testTLS(b)
			client := func() *tls.Config {
				c := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"}
				if resumed {
					c.ClientSessionCache = new(fixedTicket)
				}
				return c
			}
			over := func(s *testServer) func() {
				c := client()
				shake := func(learn bool) {
					raw, err := net.Dial("tcp", s.addr)
					if err != nil {
						b.Fatal(err)
					}
					conn := tls.Client(raw, c)
					if err := conn.Handshake(); err != nil {
						b.Fatal(err)
					}
					if learn { // the ticket is taken in by the next read
						_, _ = conn.Write([]byte("x"))
						expect(b, conn, "x")
					} else if conn.ConnectionState().DidResume != resumed {
						b.Fatal("resumed when it should not be, or the other way round")
					}
					_ = raw.Close()
				}
				shake(true)
				<-(<-s.conns).closed
				return func() {
					for range turn {
						shake(false)
					}
					for range turn {
						<-(<-s.conns).closed
					}
				}
			}
			// In memory with a ticket of a server with the same keys.
			cfg.SetSessionTicketKeys([][32]byte{{1, 2, 3}})
			inMemory := client()
			first := serve(b, Config{Loops: 1, StdTLS: true}, cfg, nil)
			raw := dial(b, first.addr)
			conn := tls.Client(raw, inMemory)
			_, _ = conn.Write([]byte("x"))
			expect(b, conn, "x")
			ways := []func(){
				func() {
					if err := shakeInMemory(cfg, inMemory, turn); err != nil {
						b.Fatal(err)
					}
				},
				over(serve(b, Config{Loops: 1, StdTLS: true}, cfg, nil)),
				over(serve(b, Config{Loops: 1}, cfg, nil)),
			}
			took := make([][]float64, len(ways))
			for b.Loop() {
				for _, i := range rand.Perm(len(ways)) {
					start := cpu()
					ways[i]()
					took[i] = append(took[i], float64(cpu()-start)/turn/1000)
				}
			}
			for i, unit := range []string{"memory-cpu-µs", "std-cpu-µs", "lean-cpu-µs"} {
				slices.Sort(took[i])
				b.ReportMetric(took[i][len(took[i])/2], unit)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}
