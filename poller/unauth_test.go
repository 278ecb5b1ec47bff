//go:build linux

package poller

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// from connects from an address and returns both ends.
func (s *testServer) from(t testing.TB, addr string) (*echo, *net.TCPConn) {
	t.Helper()
	c := dialFrom(t, addr, s.addr)
	return <-s.conns, c
}

// ended reports how many of these connections have ended because of memory.
func ended(t testing.TB, all []*echo) (n int) {
	t.Helper()
	for _, e := range all {
		select {
		case err := <-e.closed:
			if !errors.Is(err, ErrMemory) || !errors.Is(err, unix.ENOMEM) {
				t.Errorf("ended with %v, want ErrMemory", err)
			}
			n++
		default:
		}
	}
	return n
}

// TestUnauthShares: the memory of one connection, of one network and of all together is
// limited. A network may use a share of what is free; if many networks use most of it,
// the oldest connections are cut off. Authenticated connections do not count.
func TestUnauthShares(t *testing.T) {
	const limit, each = 1 << 20, 32 << 10
	s := serve(t, Config{Loops: 2, UnauthMemory: limit}, nil, nil)
	// fill makes a network use as much as allowed, and returns the amount.
	fill := func(addr string) (all []*echo, held int) {
		t.Helper()
		for held <= limit {
			e, _ := s.from(t, addr)
			all = append(all, e)
			if !e.c.Hold(each) {
				return all, held
			}
			held += each
		}
		t.Fatal("a network may use more than the limit")
		return nil, 0
	}
	first, held := fill("127.0.0.2")
	if held != limit/2 {
		t.Errorf("one network uses %d bytes of %d, want half", held, limit)
	}
	if first[0].c.Hold(maxUnauth + 1) {
		t.Errorf("one connection may use %d bytes", maxUnauth+1)
	}
	if n := s.Stats().Unauth; n != limit/2 {
		t.Errorf("%d bytes are used, want %d: refused memory does not count", n, limit/2)
	}
	second, held := fill("127.0.0.3")
	if held != limit/4 {
		t.Errorf("another network uses %d bytes of the other half, want half of it", held)
	}
	if n := s.Stats().Evicted; n != 0 {
		t.Errorf("%d connections of two networks ended", n)
	}
	third, _ := s.from(t, "127.0.0.4")
	if !third.c.Hold(each) {
		t.Error("a third network may use no memory")
	}
	if err := reason(t, first[0]); !errors.Is(err, ErrMemory) {
		t.Errorf("the oldest ended with %v, want ErrMemory", err)
	}
	eventually(t, "its memory is back", func() bool { return s.Stats().Unauth == 3*limit/4 })
	if n := ended(t, append(first[1:], append(second, third)...)); n != 0 {
		t.Errorf("%d others ended", n)
	}

	for _, e := range first[1:] {
		e.c.Authenticated()
		if !e.c.Hold(10 * limit) {
			t.Error("an authenticated connection is counted")
		}
	}
	if n := s.Stats().Unauth; n != limit/4+each {
		t.Errorf("%d bytes are used, want %d, by unauthenticated connections", n, limit/4+each)
	}
	for _, e := range append(append(first, second...), third) {
		e.c.Close(0)
		e.c.Authenticated() // at any time
	}
	eventually(t, "all have left", func() bool { return s.Stats().Conns == 0 })
	u := &s.unauth
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.total != 0 || u.leaving != 0 || u.conns != nil || u.networks != nil || u.waiting != (unauthList{}) || u.others != (unauthList{}) {
		t.Errorf("left after all connections have ended: %+v", u)
	}
}

// TestUnauthPlug: what is counted for a peer that has not authenticated is still counted when
// its socket is taken from its connection, and when another one gets it, which may have to end
// because the memory was needed meanwhile.
func TestUnauthPlug(t *testing.T) {
	s := serve(t, Config{Loops: 1, UnauthMemory: 1 << 20}, nil, nil)
	a, peerOfA := s.from(t, "127.0.0.2")
	b, _ := s.from(t, "127.0.0.3")
	u := &s.unauth
	wantHeld := func(when string, want int64) {
		t.Helper()
		if n := s.Stats().Unauth; n != want {
			t.Errorf("%s: %d bytes are counted, want %d", when, n, want)
		}
	}
	a.c.Hold(1000)
	if err := a.c.Queue(make([]byte, 500)); err != nil {
		t.Fatal(err)
	}
	wantHeld("before", 1500)
	var x interface{ Close(time.Duration) }
	s.onLoop(func(*loop) { x = a.c.Unplug(); b.c.Unplug().Close(0) })
	a.c.Hold(0) // it no longer has the socket
	wantHeld("without a connection", 1500)
	s.onLoop(func(*loop) {
		c, err := b.c.Plug(x, b)
		if err != nil {
			t.Error(err)
			return
		}
		b.c = c.(*Conn)
	})
	if _, err := io.ReadFull(peerOfA, make([]byte, 500)); err != nil {
		t.Fatal(err)
	}
	wantHeld("with another one", 1000)
	if b.c.Hold(2000); !b.c.unauth() {
		t.Error("the other one is not counted")
	}
	wantHeld("with another one", 2000)

	u.mu.Lock()
	limit := u.limit
	u.mu.Unlock()
	s.onLoop(func(*loop) {
		x = b.c.Unplug()
		u.setLimit(1) // it has to end
		c, err := a.c.Plug(x, a)
		if err != nil {
			t.Error(err)
			return
		}
		a.c = c.(*Conn)
		u.setLimit(int(limit))
	})
	_ = peerOfA.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := peerOfA.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("it does not end: %v", err)
	}
	eventually(t, "nothing is counted", func() bool {
		u.mu.Lock()
		defer u.mu.Unlock()
		return u.total == 0 && u.leaving == 0 && u.conns == nil && u.networks == nil
	})
}

// TestUnauthOutbox: before authentication an outbox is limited to 64 KiB, even for one
// large write; afterwards its limit is as configured.
func TestUnauthOutbox(t *testing.T) {
	s := serve(t, Config{Loops: 1, UnauthMemory: 1 << 20}, nil, nil)
	e, c := s.from(t, "127.0.0.2")
	if err := e.c.Queue(make([]byte, unauthOutbox+1)); err != ErrFull {
		t.Errorf("one write of more than 64 KiB: %v, want ErrFull", err)
	}
	if err := e.c.Queue(make([]byte, unauthOutbox)); err != nil {
		t.Errorf("64 KiB: %v", err)
	}
	if err := e.c.Queue([]byte("x")); err != ErrFull {
		t.Errorf("one more byte: %v, want ErrFull", err)
	}
	if n := s.Stats().Unauth; n != unauthOutbox {
		t.Errorf("%d bytes are counted", n)
	}
	e.c.Flush()
	if _, err := io.ReadFull(c, make([]byte, unauthOutbox)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nothing is counted", func() bool { return s.Stats().Unauth == 0 })
	e.c.Authenticated()
	if err := e.c.Queue(make([]byte, 2<<20)); err != nil {
		t.Errorf("after authentication: %v", err)
	}
}

// hostile are ways to make a server use memory without authenticating.
var hostile = []struct {
	name string
	tls  bool
	do   func(t *testing.T, s *testServer, c net.Conn)
}{
	{"input for a busy handler", false, func(_ *testing.T, _ *testServer, c net.Conn) {
		_, _ = c.Write(append([]byte("pause"), make([]byte, 128<<10)...))
	}},
	{"output that is not read", false, func(_ *testing.T, _ *testServer, c net.Conn) {
		for range 200 {
			if _, err := c.Write([]byte("large")); err != nil {
				return
			}
		}
	}},
	{"half a large ClientHello", true, func(_ *testing.T, _ *testServer, c net.Conn) {
		_, _ = c.Write(append([]byte{22, 3, 1, 0x3f, 0xff, 1, 0, 0x3f, 0xfb}, make([]byte, 16000)...))
	}},
	{"silence in the handshake", true, func(t *testing.T, _ *testServer, c net.Conn) {
		_, _ = c.Write(clientHello(t))
	}},
	{"half a record", true, func(_ *testing.T, _ *testServer, c net.Conn) {
		raw := &tap{Conn: c}
		k := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, DynamicRecordSizingDisabled: true})
		if k.Handshake() != nil {
			return
		}
		raw.half = true
		_, _ = k.Write(make([]byte, 16000))
	}},
}

// tap is a connection that can withhold the end of each write.
type tap struct {
	net.Conn
	half bool
}

func (c *tap) Write(p []byte) (int, error) {
	if c.half {
		_, err := c.Conn.Write(p[:len(p)-1])
		return len(p), err
	}
	return c.Conn.Write(p)
}

// TestUnauthBytes: whatever many peers of many networks do, the counted memory is what is
// used, and is within the limit; others are served meanwhile, and all of it is released.
func TestUnauthBytes(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector's build has other sizes")
	}
	const n, limit = 400, 4 << 20
	for _, h := range hostile {
		var cfg *tls.Config
		if h.tls {
			cfg = testTLS(t)
		}
		large := make([]byte, 40<<10)
		s := serve(t, Config{Loops: 1, UnauthMemory: limit, Outbox: 4 << 20}, cfg, func(e *echo, p []byte) int {
			switch {
			case bytes.HasPrefix(p, []byte("pause")):
				e.c.Pause()
				return 5
			case bytes.HasPrefix(p, []byte("large")):
				_ = e.c.Queue(large) // the client does not read
			default:
				_ = e.c.Queue(p)
			}
			e.c.Flush()
			return len(p)
		})
		var clients []net.Conn
		var all []*echo
		for i := range n {
			e, c := s.from(t, "127.0.1."+string(rune('1'+i%8)))
			_ = c.SetReadBuffer(4096)
			clients, all = append(clients, c), append(all, e)
		}
		before, goroutines := heap(), runtime.NumGoroutine()
		for i, c := range clients {
			h.do(t, s, c)
			if held := s.Stats().Unauth; held > limit {
				t.Fatalf("%s: %d bytes are used by %d peers, the limit is %d", h.name, held, i+1, limit)
			}
		}
		eventually(t, "goroutines that have no handshake any more have ended", func() bool {
			return runtime.NumGoroutine() <= goroutines+s.underWay()
		})
		held, after := s.Stats().Unauth, heap()
		grown := int64(after.HeapAlloc+after.StackInuse) - int64(before.HeapAlloc+before.StackInuse)
		t.Logf("%s: %d bytes counted, %d grown (stacks %d), %d under way, %d peers left, %d of them cut off", h.name, held, grown, int64(after.StackInuse)-int64(before.StackInuse), s.underWay(), ended(t, all), s.Stats().Evicted)
		// The test's own clients and the rounding of the allocator are included.
		if grown > limit+n*4096 {
			t.Errorf("%s: memory has grown by %d bytes, the limit is %d", h.name, grown, limit)
		}
		e, c := s.from(t, "127.0.0.9")
		if h.tls {
			servedOverTLS(t, c)
		} else {
			_, _ = c.Write([]byte("x"))
			expect(t, c, "x")
		}
		e.c.Close(0)
		for _, e := range all {
			e.c.Close(0)
		}
		eventually(t, "all is given back", func() bool { st := s.Stats(); return st.Unauth == 0 && st.Conns == 0 })
		_ = s.Close()
	}
}
