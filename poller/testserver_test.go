//go:build linux

package poller

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// echo is a handler that echoes its input and records events.
type echo struct {
	c       *Conn
	data    func(e *echo, p []byte) int
	secured atomic.Bool
	drained atomic.Int64
	closed  chan error
}

func (e *echo) Data(_ int, p []byte) int {
	if e.data != nil {
		return e.data(e, p)
	}
	if e.c.Queue(p) == nil {
		e.c.Flush()
	}
	return len(p)
}

// KeepAlive: in this test, an exclamation mark is a keep-alive.
func (e *echo) KeepAlive(p []byte) bool                              { return string(p) == "!" }
func (e *echo) Secured(int, *tls.ConnectionState, *x509.Certificate) { e.secured.Store(true) }
func (e *echo) Drained(int)                                          { e.drained.Add(1) }
func (e *echo) Expired(int, error)                                   {}
func (e *echo) Closed(_ int, err error)                              { e.closed <- err }

// testServer is a poller with one listener, and its handlers in order of accepting.
type testServer struct {
	*Poller
	addr  string
	conns chan *echo
}

// unlimited returns c with every unset limit turned off.
func (c Config) unlimited() Config {
	for _, limit := range []*int{&c.UnauthMemory, &c.MaxPerAddress, &c.MaxAttempts} {
		if *limit == 0 {
			*limit = -1
		}
	}
	for _, limit := range []*time.Duration{&c.IdleTimeout, &c.UserTimeout, &c.KeepaliveBatch} {
		if *limit == 0 {
			*limit = -1
		}
	}
	return c
}

func serve(t testing.TB, cfg Config, tlsConfig *tls.Config, data func(e *echo, p []byte) int) *testServer {
	t.Helper()
	s := &testServer{conns: make(chan *echo, 10000)}
	cfg = cfg.unlimited()
	cfg.Accept = func(c *Conn, _ *Listener) Handler {
		e := &echo{c: c, data: data, closed: make(chan error, 1)}
		s.conns <- e
		return e
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.Poller = p
	l, err := p.Listen("127.0.0.1:0", tlsConfig)
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func dial(t testing.TB, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(waitLimit))
	return c.(*net.TCPConn)
}

func expect(t testing.TB, r io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil {
		t.Fatalf("reading %q: %v; got %q", want, err, got)
	}
	if string(got) != want {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func reason(t testing.TB, e *echo) error {
	t.Helper()
	select {
	case err := <-e.closed:
		return err
	case <-time.After(waitLimit):
		t.Fatal("Closed was not called")
		return nil
	}
}

// waitLimit is the time after which waiting for an event fails the test.
const waitLimit = 2 * time.Minute

// eventually polls for a condition that causes no event.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(waitLimit); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("timeout: " + what)
		}
	}
}

// onLoop runs f on the first loop and waits for it.
func (s *testServer) onLoop(f func(l *loop)) {
	done := make(chan struct{})
	s.loops[0].post(nil, func(int) { f(s.loops[0]); close(done) })
	<-done
}

// later advances a loop's clock, and makes it check its connections as often as it would
// in that time.
func (s *testServer) later(d time.Duration) {
	for range d / time.Second {
		s.onLoop(func(l *loop) {
			l.start = l.start.Add(-time.Second)
			l.tick(0)
		})
	}
}

// quickly makes the loops perform their once-a-second checks every millisecond until the
// test ends.
func (s *testServer) quickly(t *testing.T) { quickly(t, s.Poller) }

func quickly(t *testing.T, p *Poller) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(stop); <-stopped })
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				for _, l := range p.loops {
					l.post(nil, l.tick)
				}
			}
		}
	}()
}

// descriptor returns a connection's descriptor.
func descriptor(c *Conn) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int(c.fd)
}

// small gives a connection small socket buffers, so that it is soon full.
func small(t *testing.T, e *echo, c *net.TCPConn) {
	t.Helper()
	if err := unix.SetsockoptInt(descriptor(e.c), unix.SOL_SOCKET, unix.SO_SNDBUF, 32<<10); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadBuffer(32 << 10); err != nil {
		t.Fatal(err)
	}
}
