//go:build linux

package poller

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"roost/internal/peernet"
)

// dialFrom connects from a loopback address. Each of those is its own network when slots
// and memory are shared.
func dialFrom(t testing.TB, from, addr string) *net.TCPConn {
	t.Helper()
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(waitLimit))
	return c.(*net.TCPConn)
}

// servedOverTLS performs a handshake and has a word echoed.
func servedOverTLS(t testing.TB, raw net.Conn) {
	t.Helper()
	c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	_, _ = c.Write([]byte("x"))
	expect(t, c, "x")
}

// stalled are n peers of one network that stop in the middle of their handshakes.
func (s *testServer) stalled(t testing.TB, from string, n int) (all []*echo) {
	t.Helper()
	hello := clientHello(t)
	before := s.handshakesOf(from)
	for range n {
		_, _ = dialFrom(t, from, s.addr).Write(hello)
		all = append(all, <-s.conns)
	}
	eventually(t, "all want to begin", func() bool { return s.handshakesOf(from) == before+n })
	return all
}

// handshakesOf returns how many handshakes of a network are active or queued.
func (s *testServer) handshakesOf(from string) int {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	n := s.queue.networks[peernet.Distinct(netip.MustParseAddr(from))]
	if n == nil {
		return 0
	}
	return n.active + n.waiting.Len()
}

// noMaxSilence lets silent peers keep their slots forever.
func (s *testServer) noMaxSilence() {
	s.queue.mu.Lock()
	s.queue.maxSilence = 1000 * time.Hour
	s.queue.mu.Unlock()
}

// underWay returns how many handshakes have a slot.
func (s *testServer) underWay() int {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	return len(s.queue.active)
}

// silent reports whether all active handshakes wait for their peers.
func (s *testServer) silent() bool {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	for t := range s.queue.active {
		if t.silentSince.Load() == 0 {
			return false
		}
	}
	return true
}

// TestSilentNetwork: a network with more silent peers than there are slots does not
// affect another network, whose handshake completes while they keep theirs. Two such
// networks do not affect a third, and one of them is served when its own peers leave.
func TestSilentNetwork(t *testing.T) {
	const slots, many = 12, 40
	s := serve(t, Config{Loops: 2, Handshakes: slots}, testTLS(t), nil)
	s.noMaxSilence()
	first := s.stalled(t, "127.0.0.2", many)
	if n := s.underWay(); n != slots/2 {
		t.Errorf("one network has %d of %d slots, want half", n, slots)
	}
	servedOverTLS(t, dialFrom(t, "127.0.0.3", s.addr))
	<-s.conns
	s.stalled(t, "127.0.0.4", many)
	servedOverTLS(t, dialFrom(t, "127.0.0.5", s.addr))
	<-s.conns
	if x, y := s.handshakesOf("127.0.0.2"), s.handshakesOf("127.0.0.4"); x != many || y != many {
		t.Errorf("%d and %d silent peers are left, want %d of each network", x, y, many)
	}
	for _, e := range first {
		e.c.Close(0)
	}
	servedOverTLS(t, dialFrom(t, "127.0.0.2", s.addr))
	if n := s.Stats().GaveUp; n != 0 {
		t.Errorf("%d were cut off for their slots", n)
	}
}

// TestSilentGiveUp: a peer may be silent in its handshake for any time, until another of
// its network waits, or until all slots are taken; then the peers that have been silent
// for longest are cut off.
func TestSilentGiveUp(t *testing.T) {
	s := serve(t, Config{Loops: 1, Handshakes: 4}, testTLS(t), nil)
	s.noMaxSilence()
	second := func() {
		t.Helper()
		eventually(t, "all wait for their peers", s.silent)
		s.queue.tick(s.uptime() + 2000*time.Hour)
	}
	gone := func(e *echo) {
		t.Helper()
		if err := reason(t, e); !errors.Is(err, ErrHandshake) || !errors.Is(err, errSilent) {
			t.Errorf("ended with %v, want errSilent", err)
		}
	}
	one := s.stalled(t, "127.0.0.2", 1)
	eventually(t, "it waits for its peer", s.silent)
	one = append(one, s.stalled(t, "127.0.0.2", 1)...)
	eventually(t, "it waits for its peer", s.silent)
	other := s.stalled(t, "127.0.0.3", 1)
	second()
	if n := s.Stats().GaveUp; n != 0 {
		t.Fatalf("%d were cut off although no handshake waited", n)
	}
	// Another of the first network waits: the oldest of that network is cut off.
	third := s.stalled(t, "127.0.0.2", 1)
	second()
	gone(one[0])
	eventually(t, "its slot is free", func() bool { return s.handshakesOf("127.0.0.2") == 2 })
	// No slot is left: the oldest of all is cut off.
	fourth := s.stalled(t, "127.0.0.4", 1)
	eventually(t, "all slots are taken", func() bool { return s.underWay() == 4 })
	raw := dialFrom(t, "127.0.0.5", s.addr)
	done := make(chan error, 1)
	go func() { done <- tls.Client(raw, &tls.Config{InsecureSkipVerify: true}).Handshake() }()
	eventually(t, "it waits", func() bool { return s.handshakesOf("127.0.0.5") == 1 })
	second()
	gone(one[1])
	if err := <-done; err != nil {
		t.Error(err)
	}
	for _, e := range append(append(third, fourth...), other...) {
		select {
		case err := <-e.closed:
			t.Errorf("one that was not the oldest ended: %v", err)
		default:
		}
	}
}

// TestClosedBeforeHandshake: no handshake is started for a peer that has left before its
// turn, whether the server has read the end or not.
func TestClosedBeforeHandshake(t *testing.T) {
	var begun atomic.Int64
	cfg := testTLS(t)
	cfg.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		begun.Add(1)
		return nil, nil
	}
	s := serve(t, Config{Loops: 1, Handshakes: 1}, cfg, nil)
	s.noMaxSilence()
	first := s.stalled(t, "127.0.0.2", 1)[0]
	hello := clientHello(t)
	const n = 20
	var all []*echo
	for range n {
		c := dial(t, s.addr)
		_, _ = c.Write(hello)
		e := <-s.conns
		_ = c.CloseWrite()
		if err := reason(t, e); !errors.Is(err, ErrHandshake) {
			t.Errorf("ended with %v, want ErrHandshake", err)
		}
	}
	if n := s.Stats().Handshake; n != 1 {
		t.Errorf("%d handshakes are active or queued, want that of the silent peer", n)
	}
	for range n { // they have sent so much that the server has stopped reading and does not see the end
		c := dial(t, s.addr)
		_, _ = c.Write(append(hello, make([]byte, 64<<10)...))
		e := <-s.conns
		eventually(t, "reading has stopped", func() bool {
			return onLoop(e.c, func() bool { e.c.mu.Lock(); defer e.c.mu.Unlock(); return e.c.watch == watchNothing })
		})
		_ = c.CloseWrite()
		all = append(all, e)
	}
	first.c.Close(0)
	for _, e := range all {
		if err := reason(t, e); !errors.Is(err, ErrHandshake) {
			t.Errorf("ended with %v, want ErrHandshake", err)
		}
	}
	if n := begun.Load(); n != 1 {
		t.Errorf("%d handshakes were started, want that of the silent peer", n)
	}
	servedOverTLS(t, dial(t, s.addr))
}

// TestQueuedHandshakeMemory: a connection whose handshake is queued only stores the
// ClientHello and a little more, however much its peer sends.
func TestQueuedHandshakeMemory(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector's build has other sizes")
	}
	const n = 200
	s := serve(t, Config{Loops: 1, Handshakes: 1}, testTLS(t), nil)
	s.noMaxSilence()
	s.stalled(t, "127.0.0.2", 1)
	flood := append(clientHello(t), make([]byte, 256<<10)...)
	var clients []*net.TCPConn
	for range n {
		clients = append(clients, dial(t, s.addr))
	}
	before := heap()
	for _, c := range clients {
		_, _ = c.Write(flood)
		e := <-s.conns
		eventually(t, "reading has stopped", func() bool {
			return onLoop(e.c, func() bool { return e.c.paused })
		})
	}
	after := heap()
	if got := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / n; got > 14<<10 {
		t.Errorf("a connection with a queued handshake uses %d bytes", got)
	} else {
		t.Logf("a connection with a queued handshake uses %d bytes", got)
	}
}

// TestSlowPerson: a client that shows the certificate to its user in the middle of the
// handshake may take as long as the handler allows.
func TestSlowPerson(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s := serve(t, Config{Loops: 1}, testTLS(t), nil)
		raw := dial(t, s.addr)
		e := <-s.conns
		e.c.SetDeadline(time.Hour)
		asked, answer := make(chan struct{}), make(chan struct{})
		c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, MaxVersion: version, VerifyConnection: func(tls.ConnectionState) error {
			close(asked)
			<-answer
			return nil
		}})
		_ = raw.SetDeadline(time.Time{})
		done := make(chan error, 1)
		go func() { done <- c.Handshake() }()
		<-asked
		s.later(30 * time.Minute)
		s.queue.tick(s.uptime() + 30*time.Minute)
		close(answer)
		if err := <-done; err != nil {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		_, _ = c.Write([]byte("x"))
		expect(t, c, "x")
	}
}
