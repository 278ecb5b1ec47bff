//go:build linux

package poller

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// messageSize is the size of a short chat message, in bytes.
const messageSize = 150

// silent is a handler that echoes and records nothing, so that only the poller is
// measured.
type silent struct{ c *Conn }

func (h *silent) Data(_ int, p []byte) int {
	_ = h.c.Queue(p)
	h.c.Flush()
	return len(p)
}
func (h *silent) Secured(int, *tls.ConnectionState, *x509.Certificate) {}
func (h *silent) KeepAlive([]byte) bool                                { return false }
func (h *silent) Drained(int)                                          {}
func (h *silent) Expired(int, error)                                   {}
func (h *silent) Closed(int, error)                                    {}

// serveSilently is serve with silent handlers; it returns the port.
func serveSilently(t testing.TB, cfg Config) (*Poller, int) {
	t.Helper()
	cfg.Accept = func(c *Conn, _ *Listener) Handler { return &silent{c} }
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	l, err := p.Listen("127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	return p, int(netip.MustParseAddrPort(l.Addr().String()).Port())
}

// connect opens a blocking socket, a client that does not allocate, until the test ends.
func connect(t testing.TB, port int) int {
	t.Helper()
	fd := connectOnly(t, port)
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

func connectOnly(t testing.TB, port int) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	}
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// echoAll makes each connection send, and then each read its echo.
func echoAll(t testing.TB, fds []int, text, got []byte) {
	for _, fd := range fds {
		if n, err := unix.Write(fd, text); n != len(text) {
			t.Fatal(n, err)
		}
	}
	for _, fd := range fds {
		for n := 0; n < len(got); {
			m, err := unix.Read(fd, got[n:])
			if m <= 0 {
				t.Fatal(m, err)
			}
			n += m
		}
	}
}

// bareEcho is a minimal echo server: epoll_wait, read and write, in one goroutine with
// one buffer. It serves until its listener is closed.
func bareEcho(t testing.TB, conns int) (port int) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ln, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	check(err)
	check(unix.Bind(ln, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	check(unix.Listen(ln, 1024))
	sa, err := unix.Getsockname(ln)
	check(err)
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	check(err)
	go func() {
		defer unix.Close(ln)
		defer unix.Close(ep)
		for range conns {
			fd, _, err := unix.Accept4(ln, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
			if err != nil {
				return
			}
			_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
			_ = unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
		}
		events, buf := make([]unix.EpollEvent, 128), make([]byte, 64<<10)
		for open := conns; open > 0; {
			n, err := unix.EpollWait(ep, events, -1)
			if err != nil && err != unix.EINTR {
				return
			}
			for _, e := range events[:max(n, 0)] {
				n, _ := unix.Read(int(e.Fd), buf)
				if n <= 0 {
					_ = unix.Close(int(e.Fd))
					open--
					continue
				}
				_, _ = unix.Write(int(e.Fd), buf[:n])
			}
		}
	}()
	return sa.(*unix.SockaddrInet4).Port
}

// BenchmarkEcho: the round trip of a message, over one connection and over a thousand, by
// the poller and by the minimal server. cpu-ns/op is the time of both sides; the
// difference between the two is the cost of a message in addition to its system calls.
func BenchmarkEcho(b *testing.B) {
	for _, conns := range []int{1, 1000} {
		for _, impl := range []string{"bare", "poller"} {
			b.Run(fmt.Sprintf("conns=%d/impl=%s", conns, impl), func(b *testing.B) {
				var port int
				if impl == "bare" {
					port = bareEcho(b, conns)
				} else {
					_, port = serveSilently(b, Config{Loops: 1})
				}
				fds := make([]int, conns)
				for i := range fds {
					fds[i] = connect(b, port)
				}
				text, got := bytes.Repeat([]byte("x"), messageSize), make([]byte, messageSize)
				echoAll(b, fds, text, got)
				b.ReportAllocs()
				b.ResetTimer()
				start := cpu()
				for left := b.N; left > 0; left -= conns {
					echoAll(b, fds[:min(left, conns)], text, got)
				}
				b.ReportMetric(float64(cpu()-start)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}

// TestEchoAllocates checks that reading, queueing and writing do not allocate, even after
// the pool has adapted to the usual sizes. Bug: the pool was told that all buffers were
// empty, and after 42,000 messages it kept none.
func TestEchoAllocates(t *testing.T) {
	if raceDetector {
		t.Skip("pools drop entries at random under the race detector")
	}
	_, port := serveSilently(t, Config{Loops: 1})
	fds := []int{connect(t, port)}
	text, got := bytes.Repeat([]byte("x"), messageSize), make([]byte, messageSize)
	for range 50_000 {
		echoAll(t, fds, text, got)
	}
	if n := testing.AllocsPerRun(2000, func() { echoAll(t, fds, text, got) }); n != 0 {
		t.Errorf("%v allocations for a message", n)
	}
}

// BenchmarkAccept: a connection that is opened, used once and closed.
func BenchmarkAccept(b *testing.B) {
	p, port := serveSilently(b, Config{Loops: 1})
	sa := &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}
	one := []byte("x")
	b.ReportAllocs()
	start := cpu()
	for b.Loop() {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Connect(fd, sa)
		}
		if err != nil {
			b.Fatal(err)
		}
		// A reset, so that no port stays in TIME_WAIT for a minute.
		_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		echoAll(b, []int{fd}, one, one)
		_ = unix.Close(fd)
	}
	b.ReportMetric(float64(cpu()-start)/float64(b.N), "cpu-ns/op")
	eventually(b, "all closed", func() bool { return p.Stats().Conns == 0 })
}

// BenchmarkCoalesce: small writes to one connection that are sent together, with one
// system call for everything queued in a batch.
func BenchmarkCoalesce(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("writes=%d", n), func(b *testing.B) {
			s := serve(b, Config{Loops: 1}, nil, nil)
			fd := connect(b, int(netip.MustParseAddrPort(s.addr).Port()))
			e := <-s.conns
			text, got := bytes.Repeat([]byte("x"), messageSize), make([]byte, messageSize*n)
			b.ReportAllocs()
			before, start := s.Stats().Writes, cpu()
			for b.Loop() {
				for range n {
					if err := e.c.Queue(text); err != nil {
						b.Fatal(err)
					}
				}
				e.c.Flush()
				echoAll(b, []int{fd}, nil, got)
			}
			messages := float64(b.N * n)
			b.ReportMetric(float64(s.Stats().Writes-before)/messages, "writes/message")
			b.ReportMetric(float64(cpu()-start)/messages, "cpu-ns/message")
		})
	}
}

// idleConns opens n connections that have exchanged one message, and returns the server's
// heap per connection: the clients are plain descriptors.
func idleConns(t testing.TB, n int) (size, objects float64) {
	t.Helper()
	p, port := serveSilently(t, Config{Loops: 1, IdleTimeout: time.Hour})
	return idleHeapOf(t, p, port, n, []byte("hello"), make([]byte, 5))
}

// idleHeapOf is idleConns for a server whose clients send text and receive len(got) bytes.
func idleHeapOf(t testing.TB, p *Poller, port, n int, text, got []byte) (size, objects float64) {
	t.Helper()
	fds := make([]int, 0, 2*n)
	defer func() {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
		eventually(t, "all closed", func() bool { return p.Stats().Conns == 0 }) // or they would disappear from a later measurement
	}()
	open := func() {
		for range n {
			fds = append(fds, connectOnly(t, port))
		}
		echoAll(t, fds[len(fds)-n:], text, got)
	}
	open() // allocate one-time memory before measuring
	before := heap()
	open()
	after := heap()
	if got := p.Stats().Conns; got != int64(2*n) {
		t.Fatalf("%d connections", got)
	}
	return float64(after.HeapAlloc-before.HeapAlloc) / float64(n), float64(after.HeapObjects-before.HeapObjects) / float64(n)
}

// BenchmarkIdleConn: the server's memory for a connection that is silent, including its
// handler of 8 bytes and its entry in the loop's list.
func BenchmarkIdleConn(b *testing.B) {
	for b.Loop() {
		size, objects := idleConns(b, 2000)
		b.ReportMetric(size, "B/conn")
		b.ReportMetric(objects, "objects/conn")
	}
}

// TestIdleConn checks the claims of docs/internals/poller.md about an idle connection.
func TestIdleConn(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector's build has other sizes")
	}
	size, objects := idleConns(t, 2000)
	if size > 330 || objects > 5 {
		t.Errorf("an idle connection owns %.0f bytes in %.1f objects", size, objects)
	}
}

// BenchmarkSecond: the cost of the once-a-second checks with many connections: the idle
// sweep, and the list of connections with a deadline. The connections are simulated.
func BenchmarkSecond(b *testing.B) {
	for _, timeout := range []time.Duration{0, time.Minute, 24 * time.Hour} {
		for _, urgent := range []int{0, 100_000} {
			b.Run(fmt.Sprintf("idle=%v/urgent=%d", timeout, urgent), func(b *testing.B) {
				const n = 1_000_000
				l := &loop{p: new(Poller), start: time.Now()}
				l.p.settings.Store(&Config{IdleTimeout: timeout})
				for i := range n {
					c := &Conn{loop: l, slot: int32(i)}
					c.lastRead.Store(1)
					l.conns = append(l.conns, c)
					if len(l.timed) < urgent {
						c.deadline = 1 << 30
						c.marks |= markTimed
						l.timed = append(l.timed, c)
					}
				}
				b.ReportAllocs()
				b.ResetTimer()
				for b.Loop() {
					l.tick(0)
				}
			})
		}
	}
}
