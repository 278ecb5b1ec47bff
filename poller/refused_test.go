//go:build linux

package poller

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// outsider connects to a listener from a simulated address: the socket is one of a pair.
func outsider(t *testing.T, l *Listener, peer netip.AddrPort) *os.File {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	l.loop.post(nil, func(int) { l.accepted(pair[0], peer) })
	f := os.NewFile(uintptr(pair[1]), "pair")
	t.Cleanup(func() { _ = f.Close() })
	_ = f.SetDeadline(time.Now().Add(waitLimit))
	return f
}

// host returns an address of a network reserved for documentation.
func host(n byte) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, n}), 0)
}

// TestStalledByOne: one address can have as many stalled handshakes as it may have
// connections; others are served meanwhile, and the places are free again after the
// handler's deadline.
func TestStalledByOne(t *testing.T) {
	const limit = 3
	s := serve(t, Config{Loops: 1, MaxPerAddress: limit}, testTLS(t), nil)
	l := s.listeners[0]
	hello := clientHello(t)
	for i := range 10 {
		f := outsider(t, l, host(1))
		_, _ = f.Write(hello[:len(hello)-i%2]) // with a goroutine and without
	}
	// Refusals are counted by the listener's loop, connections by their own.
	eventually(t, "as many as the limit are connected, the others refused", func() bool {
		st := s.Stats()
		return st.Conns == limit && st.Refused == 10-limit
	})
	secured := func(n byte) error {
		f := outsider(t, l, host(n))
		defer f.Close()
		return tls.Client(pairConn{File: f}, &tls.Config{InsecureSkipVerify: true}).Handshake()
	}
	if err := secured(2); err != nil {
		t.Errorf("another address: %v", err)
	}
	for range limit {
		e := <-s.conns
		e.c.SetDeadline(time.Second)
		s.later(3 * time.Second)
		if err := reason(t, e); err != ErrDeadline {
			t.Errorf("%v, want ErrDeadline", err)
		}
	}
	if err := secured(1); err != nil {
		t.Errorf("the same address, later: %v", err)
	}
}

// pairConn is a net.Conn for a file.
type pairConn struct {
	*os.File
	net.Conn // nil: crypto/tls does not call the rest
}

func (c pairConn) Read(p []byte) (int, error)  { return c.File.Read(p) }
func (c pairConn) Write(p []byte) (int, error) { return c.File.Write(p) }
func (c pairConn) Close() error                { return c.File.Close() }

func (c pairConn) SetDeadline(d time.Time) error      { return c.File.SetDeadline(d) }
func (c pairConn) SetReadDeadline(d time.Time) error  { return c.File.SetReadDeadline(d) }
func (c pairConn) SetWriteDeadline(d time.Time) error { return c.File.SetWriteDeadline(d) }

// TestRejectedByAccept: an accepted connection that gets no handler leaves no deadline,
// no descriptor and no place within the limits; functions that were posted for it before
// have no effect.
func TestRejectedByAccept(t *testing.T) {
	done := make(chan *Conn, 100)
	s := serve(t, Config{Loops: 1, MaxPerAddress: 2}, testTLS(t), nil)
	l := s.listeners[0]
	s.onLoop(func(*loop) {
		accept := func(c *Conn, _ *Listener) Handler {
			_ = c.Queue([]byte("no"))
			c.Close(0)
			c.Close(time.Second)
			c.SetDeadline(time.Second)
			c.Resume()
			c.Flush()
			c.Post(func(int) { c.destroy(ErrHandshake) })
			done <- c
			return nil
		}
		s.change(func(c *Config) { c.Accept = accept })
	})
	files := openFiles(t)
	for i := range 50 {
		b := outsider(t, l, host(byte(i%5)))
		if n, err := b.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("%d bytes, %v; want EOF", n, err)
		}
		_ = b.Close()
		c := <-done
		if err := c.Queue([]byte("x")); !errors.Is(err, ErrClosed) {
			t.Errorf("Queue: %v, want ErrClosed", err)
		}
	}
	if n := openFiles(t); n > files {
		t.Errorf("%d descriptors were left", n-files)
	}
	s.onLoop(func(l *loop) {
		if len(l.p.addrs.index) != 0 || len(l.conns) != 0 || len(l.timed) != 0 {
			t.Errorf("%d addresses, %d connections, %d deadlines were left", len(l.p.addrs.index), len(l.conns), len(l.timed))
		}
	})
	if n := s.Stats(); n.Conns != 0 {
		t.Errorf("%d connections are counted", n.Conns)
	}
}
