//go:build linux

package poller

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestConnSize limits the size of an idle connection.
func TestConnSize(t *testing.T) {
	if got := unsafe.Sizeof(Conn{}); got > 192 {
		t.Errorf("a Conn takes %d bytes with its operator, the budget is 192", got)
	}
}

func TestEcho(t *testing.T) {
	s := serve(t, Config{Loops: 2}, nil, nil)
	for i := range 20 {
		c := dial(t, s.addr)
		text := strings.Repeat(fmt.Sprint("message ", i, " "), 1000)
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		expect(t, c, text)
	}
	if got := s.Stats().Conns; got != 20 {
		t.Errorf("%d connections, want 20", got)
	}
}

// TestEnds: the ways in which a connection ends are distinguished, and a response to a
// peer that has closed its side still arrives.
func TestEnds(t *testing.T) {
	s := serve(t, Config{Loops: 1}, nil, nil)

	c := dial(t, s.addr)
	_, _ = c.Write([]byte("last words"))
	_ = c.CloseWrite()
	expect(t, c, "last words")
	if err := reason(t, <-s.conns); err != io.EOF {
		t.Errorf("half-close: %v, want EOF", err)
	}

	c = dial(t, s.addr)
	_, _ = c.Write([]byte("x"))
	expect(t, c, "x")
	_ = c.SetLinger(0)
	_ = c.Close()
	if err := reason(t, <-s.conns); !errors.Is(err, unix.ECONNRESET) && err != io.EOF {
		t.Errorf("reset: %v, want ECONNRESET", err)
	}

	c = dial(t, s.addr)
	e := <-s.conns
	_ = e.c.Queue([]byte("bye"))
	e.c.Close(10 * time.Second)
	expect(t, c, "bye")
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("after Close: %d bytes, %v; want EOF", n, err)
	}
	_ = c.Close()
	if err := reason(t, e); err != nil {
		t.Errorf("our own close: %v, want nil", err)
	}
	if err := e.c.Queue([]byte("x")); err != ErrClosed {
		t.Errorf("Queue after the end: %v, want ErrClosed", err)
	}

	c = dial(t, s.addr)
	e = <-s.conns
	e.c.Close(time.Second) // the peer does not close its side
	s.later(3 * time.Second)
	if err := reason(t, e); err != nil {
		t.Errorf("lingering: %v, want nil", err)
	}
	_ = c
}

// TestPause: while a connection is paused nothing is delivered and no loop spins;
// afterwards all input comes in order.
func TestPause(t *testing.T) {
	var got bytes.Buffer
	var mu sync.Mutex
	s := serve(t, Config{Loops: 1}, nil, func(e *echo, p []byte) int {
		mu.Lock()
		defer mu.Unlock()
		got.WriteByte(p[0]) // one byte at a time, then a pause
		e.c.Pause()
		go e.c.Resume()
		return 1
	})
	c := dial(t, s.addr)
	want := strings.Repeat("0123456789", 100)
	for i := 0; i < len(want); i += 100 {
		_, _ = c.Write([]byte(want[i : i+100]))
	}
	eventually(t, "all bytes", func() bool { mu.Lock(); defer mu.Unlock(); return got.Len() == len(want) })
	if got.String() != want {
		t.Error("wrong order")
	}
}

func TestPausedDoesNotSpin(t *testing.T) {
	paused := make(chan *echo, 1)
	s := serve(t, Config{Loops: 1}, nil, func(e *echo, p []byte) int {
		e.c.Pause()
		paused <- e
		return len(p)
	})
	c := dial(t, s.addr)
	_, _ = c.Write([]byte("a"))
	e := <-paused
	_, _ = c.Write([]byte("b"))
	_ = c.CloseWrite()
	s.wantQuiet(t, "paused")
	e.c.Resume()
	<-paused
	e.c.Resume()
	if err := reason(t, e); err != io.EOF {
		t.Errorf("%v, want EOF", err)
	}
}

// TestReserve: once the outbox is reserved, Queue queues nothing more, whatever other
// goroutines do at that moment; QueueReserved does.
func TestReserve(t *testing.T) {
	s := serve(t, Config{Loops: 1, Outbox: 256 << 20}, nil, nil)
	c := dial(t, s.addr)
	e := <-s.conns
	var senders sync.WaitGroup
	var sent atomic.Int64
	begun := make(chan struct{}, 1)
	for range 4 {
		senders.Go(func() {
			for {
				err := e.c.Queue([]byte("a"))
				if err != nil {
					if err != ErrReserved {
						t.Error(err)
					}
					return
				}
				if sent.Add(1) == 1 {
					begun <- struct{}{}
				}
				e.c.Flush()
			}
		})
	}
	<-begun
	e.c.Reserve()
	if err := e.c.QueueReserved([]byte("bc")); err != nil {
		t.Fatal(err)
	}
	e.c.Flush()
	senders.Wait()
	got := make([]byte, sent.Load()+2)
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	if want := strings.Repeat("a", len(got)-2) + "bc"; string(got) != want {
		t.Errorf("received %q after %d bytes that were queued before", got[len(got)-2:], len(got)-2)
	}
}

// TestSlowReader: output for a peer that does not read does not exceed the limit, others
// are served meanwhile, and when the peer reads again it gets everything in order.
func TestSlowReader(t *testing.T) {
	const bound = 64 << 10
	s := serve(t, Config{Loops: 1, Outbox: bound}, nil, nil)
	slow := dial(t, s.addr)
	e := <-s.conns
	chunk := bytes.Repeat([]byte("slow reader "), 100)
	sent := 0
	var drained int64 // before the outbox was full: the socket may have accepted everything for a moment
	for {
		drained = e.drained.Load()
		if err := e.c.Queue(chunk); err != nil {
			if err != ErrFull {
				t.Fatal(err)
			}
			break
		}
		sent += len(chunk)
		e.c.Flush()
		if q := e.c.Queued(); q > bound {
			t.Fatalf("%d bytes queued, the limit is %d", q, bound)
		}
	}
	fast := dial(t, s.addr)
	_, _ = fast.Write([]byte("hello"))
	expect(t, fast, "hello")

	all := make([]byte, sent)
	if _, err := io.ReadFull(slow, all); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(all, bytes.Repeat(chunk, sent/len(chunk))) {
		t.Error("the received bytes differ from the queued ones")
	}
	eventually(t, "Drained", func() bool { return e.drained.Load() > drained })
	if q := e.c.Queued(); q != 0 {
		t.Errorf("%d bytes are left", q)
	}
}

// TestCoalescing: many writes and one flush are one system call.
func TestCoalescing(t *testing.T) {
	s := serve(t, Config{Loops: 1}, nil, nil)
	c := dial(t, s.addr)
	e := <-s.conns
	before := s.Stats().Writes
	for range 100 {
		_ = e.c.Queue([]byte("0123456789"))
	}
	e.c.Flush()
	expect(t, c, strings.Repeat("0123456789", 100))
	if n := s.Stats().Writes - before; n != 1 {
		t.Errorf("%d system calls, want 1", n)
	}
}

// TestDeadlines: idle connections and those past their deadline are closed.
func TestDeadlines(t *testing.T) {
	s := serve(t, Config{Loops: 1, IdleTimeout: time.Second}, nil, nil)
	dial(t, s.addr)
	e := <-s.conns
	s.later(3 * time.Second)
	if err := reason(t, e); err != ErrIdle {
		t.Errorf("%v, want ErrIdle", err)
	}
	s = serve(t, Config{Loops: 1}, nil, nil)
	dial(t, s.addr)
	e = <-s.conns
	e.c.SetDeadline(time.Second)
	s.later(3 * time.Second)
	if err := reason(t, e); err != ErrDeadline {
		t.Errorf("%v, want ErrDeadline", err)
	}
	c := dial(t, s.addr)
	e = <-s.conns
	e.c.SetDeadline(time.Second)
	e.c.SetDeadline(0)
	s.later(3 * time.Second) // past the deadline that was removed
	_, _ = c.Write([]byte("x"))
	expect(t, c, "x")
}

// TestAddressLimit counts by address, IPv6 by /64, and removes counters at zero.
func TestAddressLimit(t *testing.T) {
	a := addresses{limit: 2}
	acquire := func(addr netip.Addr) (peerIndex, bool) {
		t.Helper()
		of, limited := networkOf(addr)
		if !limited {
			t.Fatalf("%v is not limited", addr)
		}
		return a.acquire(of)
	}
	e4 := netip.MustParseAddr("192.0.2.1")
	x, ok := acquire(e4)
	y, ok2 := acquire(e4)
	if _, ok3 := acquire(e4); !ok || !ok2 || ok3 {
		t.Error("the third connection of an IPv4 address was not rejected")
	}
	a.release(x)
	a.release(y)
	if len(a.index) != 0 {
		t.Error("an entry without connections remains")
	}
	for i := byte(1); i <= 3; i++ {
		six := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: i})
		if _, ok := acquire(six); ok != (i <= 2) {
			t.Errorf("IPv6 address %d of one /64: %v", i, ok)
		}
	}
	if _, limited := networkOf(netip.MustParseAddr("127.0.0.9")); limited {
		t.Error("loopback is limited")
	}
}

func openFiles(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// TestDroppedTogether: after a thousand connections break at once, no descriptor,
// goroutine or entry remains.
func TestDroppedTogether(t *testing.T) {
	s := serve(t, Config{Loops: 2}, nil, nil)
	files, goroutines := openFiles(t), runtime.NumGoroutine()
	clients := make([]net.Conn, 1000)
	for i := range clients {
		clients[i] = dial(t, s.addr)
	}
	eventually(t, "all accepted", func() bool { return s.Stats().Conns == 1000 })
	for _, c := range clients {
		_ = c.Close()
	}
	eventually(t, "all closed", func() bool { return s.Stats().Conns == 0 })
	for range clients {
		_ = reason(t, <-s.conns)
	}
	eventually(t, "descriptors are back", func() bool { return openFiles(t) <= files })
	eventually(t, "goroutines are back", func() bool { return runtime.NumGoroutine() <= goroutines })
	for _, l := range s.loops {
		timed := make(chan int)
		l.post(nil, func(int) { timed <- len(l.timed) })
		if <-timed != 0 {
			t.Error("the list of deadlines is not empty")
		}
	}
}

// TestConcurrently uses one connection from many goroutines, for the race detector.
func TestConcurrently(t *testing.T) {
	for _, secure := range []bool{false, true} {
		var cfg *tls.Config
		if secure {
			cfg = testTLS(t)
		}
		s := serve(t, Config{Loops: 2}, cfg, nil)
		var c net.Conn = dial(t, s.addr)
		if secure {
			c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
		}
		_, _ = c.Write([]byte("x"))
		expect(t, c, "x")
		e := <-s.conns
		go func() { _, _ = io.Copy(io.Discard, c) }()
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 500 {
					_ = e.c.Queue([]byte("some text that is queued by many"))
					e.c.Flush()
					_ = e.c.Queued()
				}
			})
		}
		wg.Go(func() {
			for range 500 {
				e.c.Post(func(int) { e.c.Pause() })
				e.c.Resume()
				_ = e.c.RemoteAddr()
			}
		})
		wg.Wait()
		e.c.Close(time.Second)
		_ = reason(t, e)
	}
}
