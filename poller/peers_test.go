//go:build linux

package poller

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestOptions: the kernel detects a peer that vanishes. A test cannot unplug a cable, so
// it reads the socket options. Bug: the user timeout was set on listeners only, and
// accepted sockets do not inherit it.
func TestOptions(t *testing.T) {
	s := serve(t, Config{Loops: 1, UserTimeout: 90 * time.Second, KeepAlive: 40 * time.Second}, nil, nil)
	dial(t, s.addr)
	e := <-s.conns
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	attached, err := s.Attach(nc, &echo{closed: make(chan error, 1)})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*Conn{"accepted": e.c, "attached": attached} {
		fd := descriptor(c)
		f := func(level, option, want int) {
			t.Helper()
			if got, err := unix.GetsockoptInt(fd, level, option); err != nil || got != want {
				t.Errorf("%s: option %d is %d, want %d (%v)", name, option, got, want, err)
			}
		}
		f(unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		f(unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 90000)
		f(unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
		f(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 40)
		f(unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 40)
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
			t.Errorf("%s: the socket may block (%v)", name, err)
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("%s: child processes inherit the socket (%v)", name, err)
		}
	}
}

// TestIPv6 serves one peer over IPv6 and gets its address.
func TestIPv6(t *testing.T) {
	s := serve(t, Config{Loops: 1}, nil, nil)
	l, err := s.Listen("[::1]:0", nil)
	if err != nil {
		t.Skip("this machine has no IPv6 loopback:", err)
	}
	c := dial(t, l.Addr().String())
	if !echoes(t, c) {
		t.Fatal("not served")
	}
	if got, want := (<-s.conns).c.RemoteAddr().String(), c.LocalAddr().String(); got != want {
		t.Errorf("the peer is %s, want %s", got, want)
	}
}

// TestListenFamilies: an IPv4 address listens on IPv4 only, the unspecified IPv6 address
// and an empty host on both.
func TestListenFamilies(t *testing.T) {
	s := serve(t, Config{Loops: 1}, nil, nil)
	if l, err := s.Listen("[::1]:0", nil); err != nil {
		t.Skip("this machine has no IPv6 loopback:", err)
	} else if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		addr string
		ipv6 bool
	}{{"0.0.0.0:0", false}, {"127.0.0.1:0", false}, {"[::]:0", true}, {":0", true}} {
		l, err := s.Listen(c.addr, nil)
		if err != nil {
			t.Fatal(err)
		}
		port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
		if !echoes(t, dial(t, "127.0.0.1:"+port)) {
			t.Errorf("%s does not serve IPv4", c.addr)
		}
		six, err := net.Dial("tcp6", "[::1]:"+port)
		if (err == nil) != c.ipv6 {
			t.Errorf("%s: dialing IPv6: %v, want a connection: %v", c.addr, err, c.ipv6)
		}
		if six != nil {
			_ = six.Close()
		}
	}
}

// TestResetWhileFull: a reset by a peer with much queued output ends its connection
// immediately and releases the output.
func TestResetWhileFull(t *testing.T) {
	s := serve(t, Config{Loops: 1, Outbox: 1 << 20}, nil, nil)
	c := dial(t, s.addr)
	e := <-s.conns
	small(t, e, c)
	if err := e.c.Queue(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	e.c.Flush()
	if e.c.Queued() == 0 {
		t.Fatal("the socket accepted everything")
	}
	_ = c.SetLinger(0)
	_ = c.Close()
	if err := reason(t, e); !errors.Is(err, unix.ECONNRESET) && !errors.Is(err, unix.EPIPE) {
		t.Errorf("%v, want ECONNRESET", err)
	}
	if n := e.c.Queued(); n != 0 {
		t.Errorf("%d bytes are queued for a disconnected peer", n)
	}
	if err := e.c.Queue([]byte("x")); err != ErrClosed {
		t.Errorf("Queue: %v, want ErrClosed", err)
	}
}

// TestUnconfirmed: what the socket has accepted and the peer's system has not received counts, in
// addition to the outbox, until the peer reads.
func TestUnconfirmed(t *testing.T) {
	s := serve(t, Config{Loops: 1, Outbox: 1 << 20}, nil, nil)
	c := dial(t, s.addr)
	e := <-s.conns
	small(t, e, c)
	text := make([]byte, 1<<20)
	if err := e.c.Queue(text); err != nil {
		t.Fatal(err)
	}
	if n := e.c.Unconfirmed(); n != len(text) {
		t.Errorf("%d bytes before the first write, want %d", n, len(text))
	}
	e.c.Flush()
	if n := e.c.Unconfirmed(); n <= e.c.Queued() || n >= len(text) {
		t.Errorf("%d bytes with a full socket, of which %d are queued", n, e.c.Queued())
	}
	if _, err := io.ReadFull(c, text); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all bytes are confirmed", func() bool { return e.c.Unconfirmed() == 0 })
	_ = c.Close()
	_ = reason(t, e)
	if n := e.c.Unconfirmed(); n != 0 {
		t.Errorf("%d bytes of a closed connection", n)
	}
}

// TestWriteToReset: a write to a connection that was reset ends the connection, and has
// no other effect on the writer.
func TestWriteToReset(t *testing.T) {
	s := serve(t, Config{Loops: 1}, nil, func(e *echo, p []byte) int {
		e.c.Pause() // so that the write, not a read, fails
		return len(p)
	})
	c := dial(t, s.addr)
	e := <-s.conns
	_, _ = c.Write([]byte("x"))
	_ = c.SetLinger(0)
	_ = c.Close()
	eventually(t, "the write has failed", func() bool {
		_ = e.c.Queue([]byte("text"))
		e.c.Flush()
		return len(e.closed) == 1
	})
	if err := reason(t, e); err == nil || err == io.EOF {
		t.Errorf("%v, want the error of the write", err)
	}
}

// TestHalfClosedReads: a peer that has closed its side and still reads gets all queued
// output, however often its socket is full.
func TestHalfClosedReads(t *testing.T) {
	s := serve(t, Config{Loops: 1, Outbox: 1 << 20}, nil, nil)
	c := dial(t, s.addr)
	e := <-s.conns
	small(t, e, c)
	text := bytes.Repeat([]byte("0123456789abcdef"), 1<<15)
	if err := e.c.Queue(text); err != nil {
		t.Fatal(err)
	}
	e.c.Flush()
	if e.c.Queued() == 0 {
		t.Fatal("the socket accepted everything")
	}
	_ = c.CloseWrite()
	eventually(t, "the end is seen", func() (ending bool) {
		s.onLoop(func(*loop) { ending = e.c.closing() })
		return ending
	})
	for range 2 { // a handler that ends the connection gets another end event
		e.c.Resume()
		s.onLoop(func(*loop) {})
	}
	s.quickly(t)
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, text) {
		t.Errorf("%d bytes of %d, %v", len(got), len(text), err)
	}
	if err := reason(t, e); err != io.EOF {
		t.Errorf("%v, want EOF", err)
	}
}

// TestHalfClosedDrains: a peer that has closed its side and continues reading gets all
// queued output. When another goroutine's Flush empties the outbox, the connection ends
// immediately, without the once-a-second check, and with the right error.
func TestHalfClosedDrains(t *testing.T) {
	text := bytes.Repeat([]byte("0123456789abcdef"), 1<<15)
	for _, tt := range []struct {
		desc string
		tls  *tls.Config
		want error
	}{{"plain", nil, io.EOF}, {"TLS without close_notify", testTLS(t), ErrTruncated}} {
		s := serve(t, Config{Loops: 1, Outbox: 1 << 20}, tt.tls, nil)
		s.ticker.Stop()
		raw := dial(t, s.addr)
		c := net.Conn(raw)
		if tt.tls != nil {
			c = tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
		}
		_, _ = c.Write([]byte("x"))
		expect(t, c, "x")
		e := <-s.conns
		small(t, e, raw)
		if err := e.c.Queue(text); err != nil {
			t.Fatal(err)
		}
		if !e.c.Flush() {
			t.Fatalf("%s: the socket has accepted everything", tt.desc)
		}
		_ = raw.CloseWrite()
		eventually(t, "the hang-up is handled", func() (half bool) {
			s.onLoop(func(*loop) { half = e.c.marks&markHungUp != 0 && e.c.state == stateHalfClosed })
			return half
		})
		got := make(chan []byte, 1)
		go func() {
			b, _ := io.ReadAll(c)
			got <- b
		}()
		eventually(t, "Flush empties the outbox", func() bool { return !e.c.Flush() && e.c.Queued() == 0 })
		var closed bool
		s.onLoop(func(*loop) { closed = e.c.closed() }) // after the functions that Flush has posted
		if !closed {
			t.Fatalf("%s: the connection is open after its outbox was sent", tt.desc)
		}
		if err := reason(t, e); err != tt.want {
			t.Errorf("%s: %v, want %v", tt.desc, err, tt.want)
		}
		if b := <-got; !bytes.Equal(b, text) {
			t.Errorf("%s: the peer got %d bytes of %d", tt.desc, len(b), len(text))
		}
	}
}

// TestHalfClosedAfterClose: a peer that closes its side after Close gets all queued output,
// too. Bug: what its socket had not accepted by then was dropped, such as what a client had
// requested before it sent </stream:stream> and closed its side.
func TestHalfClosedAfterClose(t *testing.T) {
	text := bytes.Repeat([]byte("0123456789abcdef"), 1<<15)
	for _, tt := range []struct {
		desc string
		tls  *tls.Config
	}{{"plain", nil}, {"TLS", testTLS(t)}} {
		s := serve(t, Config{Loops: 1, Outbox: 1 << 20}, tt.tls, nil)
		raw := dial(t, s.addr)
		c := net.Conn(raw)
		if tt.tls != nil {
			c = tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
		}
		_, _ = c.Write([]byte("x"))
		expect(t, c, "x")
		e := <-s.conns
		small(t, e, raw)
		if err := e.c.Queue(text); err != nil {
			t.Fatal(err)
		}
		e.c.Close(time.Minute)
		_ = raw.CloseWrite()
		eventually(t, "the end is seen", func() (seen bool) {
			s.onLoop(func(*loop) { seen = e.c.state == stateHalfClosed || e.c.closed() })
			return seen
		})
		s.quickly(t)
		if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%s: the peer got %d bytes of %d, %v", tt.desc, len(got), len(text), err)
		}
		if err := reason(t, e); err != nil {
			t.Errorf("%s: %v, want nil: we have closed", tt.desc, err)
		}
	}
}

// TestHalfClosedStalls: a peer that has closed its side and does not read is cut off in
// time.
func TestHalfClosedStalls(t *testing.T) {
	s := serve(t, Config{Loops: 1, Outbox: 1 << 20}, nil, nil)
	c := dial(t, s.addr)
	e := <-s.conns
	small(t, e, c)
	_ = e.c.Queue(make([]byte, 1<<20))
	e.c.Flush()
	_ = c.CloseWrite()
	eventually(t, "the end is seen", func() (ending bool) {
		s.onLoop(func(*loop) { ending = e.c.closing() })
		return ending
	})
	s.later(halfClosed + 2*time.Second)
	if err := reason(t, e); err != nil {
		t.Errorf("%v, want nil: we have closed", err)
	}
}

// TestCloseWithUnreadInput: the peer gets the last output even if it was sending. Closing
// a socket with unread input is a reset, which discards data in flight.
func TestCloseWithUnreadInput(t *testing.T) {
	s := serve(t, Config{Loops: 1}, nil, func(e *echo, _ []byte) int {
		e.c.Pause()
		return 0
	})
	c := dial(t, s.addr)
	flood := make(chan struct{})
	go func() {
		defer close(flood)
		_, _ = c.Write(make([]byte, 8<<20))
		_ = c.CloseWrite()
	}()
	e := <-s.conns
	eventually(t, "the flood is here", func() bool { return s.Stats().Reads > 0 })
	_ = e.c.Queue([]byte("</stream:stream>"))
	e.c.Close(10 * time.Second)
	got, err := io.ReadAll(c)
	if err != nil || string(got) != "</stream:stream>" {
		t.Errorf("%q, %v", got, err)
	}
	<-flood
	if err := reason(t, e); err != nil {
		t.Errorf("%v, want nil: we have closed", err)
	}
}

// TestCutOff: Close(0) waits for nothing, and releases unread input.
func TestCutOff(t *testing.T) {
	paused := make(chan struct{})
	s := serve(t, Config{Loops: 1}, nil, func(e *echo, p []byte) int {
		e.c.Pause()
		close(paused)
		return len(p) / 2
	})
	c := dial(t, s.addr)
	_, _ = c.Write([]byte("half of this is kept"))
	e := <-s.conns
	<-paused
	e.c.Close(0)
	if err := reason(t, e); err != nil {
		t.Errorf("%v, want nil", err)
	}
	s.onLoop(func(l *loop) {
		if len(l.unread) != 0 {
			t.Error("output is kept for a closed connection")
		}
	})
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// TestIdleSweep: connections that are silent for too long are closed within one sweep
// period; active ones are not.
func TestIdleSweep(t *testing.T) {
	const n, timeout = 200, time.Minute
	s := serve(t, Config{Loops: 1, IdleTimeout: timeout}, nil, nil)
	clients := make([]*net.TCPConn, n)
	for i := range clients {
		clients[i] = dial(t, s.addr)
		if !echoes(t, clients[i]) {
			t.Fatal("not served")
		}
	}
	s.later(timeout - 2*time.Second)
	if got := s.Stats().Conns; got != n {
		t.Fatalf("%d connections before the time, want %d", got, n)
	}
	for i := 0; i < n; i += 2 {
		if !echoes(t, clients[i]) {
			t.Fatal("a connection was closed too early")
		}
	}
	s.later(sweepPeriod(timeout) + 3*time.Second)
	for range n / 2 {
		e := <-s.conns
		select {
		case err := <-e.closed:
			t.Errorf("an active connection was closed: %v", err)
		default:
		}
		if err := reason(t, <-s.conns); err != ErrIdle {
			t.Errorf("%v, want ErrIdle", err)
		}
	}
	if got := s.Stats().Conns; got != n/2 {
		t.Errorf("%d connections are left, want %d", got, n/2)
	}
	// Many connections that fall silent together are closed one period later, including
	// those that were moved in the list meanwhile.
	s.later(timeout + 4*time.Second)
	if got := s.Stats().Conns; got != 0 {
		t.Errorf("%d idle connections remain after a sweep period", got)
	}
}

// TestManySlowReaders: hundreds of peers that do not read use no more memory than their
// limit each, others are served, and the memory is released with the connections.
func TestManySlowReaders(t *testing.T) {
	const n, bound = 300, 32 << 10
	s := serve(t, Config{Loops: 2, Outbox: bound}, nil, nil)
	fast := dial(t, s.addr)
	<-s.conns
	chunk := []byte(strings.Repeat("for a client that does not read ", 40))
	var slow []*echo
	var clients []*net.TCPConn
	for range n {
		c := dial(t, s.addr)
		e := <-s.conns
		small(t, e, c)
		err := e.c.Queue(chunk)
		for ; err == nil; err = e.c.Queue(chunk) {
			e.c.Flush()
		}
		if err != ErrFull { // of this call: the system may accept more before another one
			t.Fatalf("%v, want ErrFull", err)
		}
		slow, clients = append(slow, e), append(clients, c)
	}
	if !echoes(t, fast) {
		t.Error("a client that reads is not served")
	}
	eventually(t, "the systems' buffers are full", func() bool {
		queued := 0
		for _, e := range slow {
			for e.c.Queue(chunk) == nil {
				e.c.Flush()
			}
			queued += e.c.Queued()
		}
		return queued > n*bound/2
	})
	queued, owned := 0, 0
	for _, e := range slow {
		e.c.mu.Lock()
		queued += e.c.queued()
		if e.c.out != nil {
			owned += cap(e.c.out.B)
		}
		e.c.mu.Unlock()
	}
	if queued > n*bound || owned > 2*n*bound {
		t.Errorf("%d bytes are queued in %d, the limit is %d", queued, owned, n*bound)
	}
	for _, c := range clients {
		_ = c.SetLinger(0)
		_ = c.Close()
	}
	for _, e := range slow {
		_ = reason(t, e)
		e.c.mu.Lock()
		if e.c.out != nil {
			t.Error("a closed connection owns an outbox")
		}
		e.c.mu.Unlock()
	}
}

// TestOneLargeWrite: one write may exceed the limit of the outbox, whether the outbox is
// empty or not, and still leaves space for as much as the limit.
func TestOneLargeWrite(t *testing.T) {
	const limit = 4096
	s := serve(t, Config{Loops: 1, Outbox: limit}, nil, nil)
	for _, before := range []int{0, limit / 2, limit} {
		c := dial(t, s.addr)
		e := <-s.conns
		small(t, e, c)
		if err := e.c.Queue(make([]byte, before)); err != nil {
			t.Errorf("%d bytes: %v", before, err)
		}
		if err := e.c.Queue(make([]byte, limit*(largeWriteFactor+1)-before+1)); err != ErrFull {
			t.Errorf("too much after %d bytes: %v, want ErrFull", before, err)
		}
		if err := e.c.Queue(make([]byte, limit*largeWriteFactor)); err != nil {
			t.Errorf("a large roster after %d bytes: %v", before, err)
		}
		if err := e.c.Queue(make([]byte, limit-before)); err != nil {
			t.Errorf("%d bytes and a large roster, and %d more: %v", before, limit-before, err)
		}
		if err := e.c.Queue([]byte("x")); err != ErrFull {
			t.Errorf("one more byte: %v, want ErrFull", err)
		}
		e.c.Flush()
		if _, err := io.ReadFull(c, make([]byte, limit*(largeWriteFactor+1))); err != nil {
			t.Fatal(err)
		}
	}
}
