//go:build linux

package poller

import (
	"encoding/binary"
	"encoding/json"
	"log/slog"
	"net/netip"
	"os"
	"testing"
	"unsafe"
)

// outside returns the n-th of many IPv4 addresses.
func outside(n uint32) network {
	var addr [4]byte
	binary.BigEndian.PutUint32(addr[:], 0x0b000000+n)
	of, _ := networkOf(netip.AddrFrom4(addr))
	return of
}

// TestAttempts: an address that connects too often must wait for the next minute; others
// are not affected.
func TestAttempts(t *testing.T) {
	var a attempts
	a.prepare(3)
	for i := range 3 {
		if !a.allow(outside(1), 100+uint32(i)) {
			t.Fatalf("attempt %d of 3 was rejected", i+1)
		}
	}
	for range 100 {
		if a.allow(outside(1), 159) {
			t.Fatal("the fourth attempt of a minute is allowed")
		}
	}
	if !a.allow(outside(2), 159) {
		t.Error("another address's attempt was rejected")
	}
	if !a.allow(outside(1), 160) {
		t.Error("the first attempt of the next minute was rejected")
	}
	var off attempts
	off.prepare(0)
	for range 1000 {
		if !off.allow(outside(1), 1) {
			t.Fatal("rejected without a limit")
		}
	}
	if off.rows != nil {
		t.Error("memory without a limit")
	}
}

// TestAttemptsOfMany: the memory of the counters does not grow with the number of peers,
// and a flood from very many peers does not lock out peers that connect once.
func TestAttemptsOfMany(t *testing.T) {
	if n := unsafe.Sizeof(attemptRows{}); n != 128<<10 {
		t.Errorf("the counters take %d bytes", n)
	}
	var a attempts
	a.prepare(100)
	for n := range uint32(200) { // the worst case: each makes as many attempts as allowed
		for range 100 {
			a.allow(outside(n), 1)
		}
	}
	refused := 0
	for n := range uint32(10000) {
		if !a.allow(outside(1<<20+n), 1) {
			refused++
		}
	}
	// One in (16,384/200)² shares both counters with one of the 200.
	if refused > 50 {
		t.Errorf("%d of 10,000 were rejected because of others", refused)
	}
	if n := testing.AllocsPerRun(100, func() { a.allow(outside(7), 1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestLimits: rejected connections are closed and counted, and the end of a connection
// frees its place. Peers are simulated: the sockets are pairs.
func TestLimits(t *testing.T) {
	s := serve(t, Config{Loops: 1, MaxPerAddress: 2, MaxAttempts: 4}, nil, nil)
	l := s.listeners[0]
	served := func(f *os.File) bool {
		_, _ = f.WriteString("?")
		n, _ := f.Read(make([]byte, 1))
		return n == 1
	}
	connect := func() *os.File { return outsider(t, l, host(1)) }
	a, b := connect(), connect()
	if !served(a) || !served(b) {
		t.Fatal("connections within the limits were rejected")
	}
	if served(connect()) {
		t.Error("a third connection at once")
	}
	_, _ = a.Close(), b.Close()
	eventually(t, "the places are free", func() bool { return s.Stats().Conns == 0 })
	if c := connect(); !served(c) {
		t.Error("the fourth attempt was rejected")
	} else {
		_ = c.Close()
	}
	eventually(t, "the place is free", func() bool { return s.Stats().Conns == 0 })
	if served(connect()) {
		t.Error("a fifth attempt in a minute")
	}
	if st := s.Stats(); st.Refused != 2 || st.RefusedBy[RefusedAttempts] != 1 || st.RefusedBy[RefusedConnections] != 1 {
		t.Errorf("%d refusals are counted, want 2: %v", st.Refused, st.RefusedBy)
	}
	for range 10 {
		if !served(outsider(t, l, netip.MustParseAddrPort("127.0.0.1:1"))) {
			t.Fatal("loopback is limited")
		}
	}
}

// TestNetworks: which addresses are counted as one.
func TestNetworks(t *testing.T) {
	same := func(a, b string, want bool) {
		t.Helper()
		x, ok := networkOf(netip.MustParseAddr(a))
		y, ok2 := networkOf(netip.MustParseAddr(b))
		if !ok || !ok2 {
			t.Errorf("%s and %s: not limited", a, b)
		}
		if (x == y) != want {
			t.Errorf("%s and %s: counted as one: %v, want %v", a, b, x == y, want)
		}
	}
	same("192.0.2.7", "192.0.2.7", true)
	same("192.0.2.7", "192.0.2.8", false)
	same("192.0.2.7", "::ffff:192.0.2.7", true)
	same("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::", true)
	same("2001:db8:1:2::1", "2001:db8:1:3::1", false)
	same("fe80::1%eth0", "fe80::2%eth1", true)

	exempt := func(addr netip.Addr) {
		t.Helper()
		if _, limited := networkOf(addr); limited {
			t.Errorf("%v is limited", addr)
		}
	}
	for _, addr := range []string{"127.0.0.1", "127.9.8.7", "::1", "::ffff:127.0.0.1"} {
		exempt(netip.MustParseAddr(addr))
	}
	exempt(netip.Addr{})
}

// TestAddressMemory: a client with its own address adds little to the memory of a
// connection, and nothing is kept after all have left.
func TestAddressMemory(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector's build has other sizes")
	}
	const n = 200_000
	a := addresses{limit: 1}
	before := heap()
	for i := range uint32(n) {
		if _, ok := a.acquire(outside(i)); !ok {
			t.Fatal("an address's first connection was rejected")
		}
	}
	after := heap()
	if size := float64(after.HeapAlloc-before.HeapAlloc) / n; size > 64 {
		t.Errorf("an address takes %.0f bytes", size)
	} else {
		t.Logf("%.0f bytes for an address", size)
	}
	for i := range uint32(n) {
		a.release(a.index[outside(i)])
	}
	if a.index != nil || a.places != nil || a.free != nil {
		t.Error("memory is kept for addresses without connections")
	}
}

// TestLimitIsLogged: the line about a network at its limit names the listener and the
// network, not a single address, also with --log-format json.
func TestLimitIsLogged(t *testing.T) {
	var log syncBuffer
	s := serve(t, Config{Loops: 1, MaxPerAddress: 1, Logger: slog.New(slog.NewJSONHandler(&log, nil))}, nil, nil)
	s.onLoop(func(*loop) {
		for range 3 {
			s.listeners[0].admit(netip.MustParseAddr("2001:db8:1:2:3:4:5:6"))
		}
	})
	var line struct{ Listener, Network, Limit string }
	if err := json.Unmarshal([]byte(log.String()), &line); err != nil {
		t.Fatalf("%v: %s", err, log.String())
	}
	if line.Listener != s.addr || line.Network != "2001:db8:1:2::/64" || line.Limit != "connections" {
		t.Errorf("%+v", line)
	}
}
