//go:build linux

package poller

import (
	"encoding/binary"
	"net/netip"
	"os"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// outside is the n-th of many IPv4 addresses.
func outside(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 0x0b000000+n)
	return netip.AddrFrom4(b)
}

// TestAttempts: an address that connects too often waits for the next minute;
// another is not hurt.
func TestAttempts(t *testing.T) {
	var a attempts
	a.prepare(3)
	for i := range 3 {
		if !a.allow(outside(1), 100+uint32(i)) {
			t.Fatalf("attempt %d of 3 is refused", i+1)
		}
	}
	for range 100 {
		if a.allow(outside(1), 159) {
			t.Fatal("the fourth attempt of a minute is allowed")
		}
	}
	if !a.allow(outside(2), 159) {
		t.Error("another's attempt is refused")
	}
	if !a.allow(outside(1), 160) {
		t.Error("the first attempt of the next minute is refused")
	}
	var off attempts
	off.prepare(0)
	for range 1000 {
		if !off.allow(outside(1), 1) {
			t.Fatal("refused without a limit")
		}
	}
	if off.rows != nil {
		t.Error("memory without a limit")
	}
}

// TestAttemptsOfMany: what the count owns does not grow with the number of
// peers, and a flood from very many does not shut out those who come once.
func TestAttemptsOfMany(t *testing.T) {
	if n := unsafe.Sizeof(attemptRows{}); n != 128<<10 {
		t.Errorf("the counters take %d bytes", n)
	}
	var a attempts
	a.prepare(100)
	for n := range uint32(200) { // the worst: each takes all it may
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
		t.Errorf("%d of 10,000 are refused for what others did", refused)
	}
	if n := testing.AllocsPerRun(100, func() { a.allow(outside(7), 1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestLimits: what is refused is closed and counted, and a place is free again
// with its connection. The peers are made up: the sockets are pairs.
func TestLimits(t *testing.T) {
	s := serve(t, Config{Loops: 1, MaxPerAddress: 2, MaxAttempts: 4}, nil, nil)
	l := s.listeners[0]
	connect := func(peer unix.Sockaddr) *os.File {
		t.Helper()
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		s.loops[0].post(nil, func(int) { l.accepted(pair[0], peer) })
		f := os.NewFile(uintptr(pair[1]), "pair")
		t.Cleanup(func() { _ = f.Close() })
		_ = f.SetDeadline(time.Now().Add(20 * time.Second))
		return f
	}
	served := func(f *os.File) bool {
		_, _ = f.WriteString("?")
		n, _ := f.Read(make([]byte, 1))
		return n == 1
	}
	peer := &unix.SockaddrInet4{Addr: [4]byte{192, 0, 2, 1}}
	a, b := connect(peer), connect(peer)
	if !served(a) || !served(b) {
		t.Fatal("connections within the limits are refused")
	}
	if served(connect(peer)) {
		t.Error("a third connection at once")
	}
	_, _ = a.Close(), b.Close()
	eventually(t, "the places are free", func() bool { return s.Stats().Conns == 0 })
	if c := connect(peer); !served(c) {
		t.Error("the fourth attempt is refused")
	} else {
		_ = c.Close()
	}
	eventually(t, "the place is free", func() bool { return s.Stats().Conns == 0 })
	if served(connect(peer)) {
		t.Error("a fifth attempt in a minute")
	}
	if n := s.Stats().Refused; n != 2 {
		t.Errorf("%d refusals are counted, want 2", n)
	}
	for range 10 {
		if !served(connect(&unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})) {
			t.Fatal("loopback is limited")
		}
	}
}

// TestNetworks: who is counted as one.
func TestNetworks(t *testing.T) {
	f := func(addr, want string) {
		t.Helper()
		got, limited := network(netip.MustParseAddr(addr))
		if !limited {
			got = netip.Addr{}
		}
		if want == "" && limited || want != "" && got != netip.MustParseAddr(want) {
			t.Errorf("%s counts as %v, want %q", addr, got, want)
		}
	}
	f("192.0.2.7", "192.0.2.7")
	f("::ffff:192.0.2.7", "192.0.2.7")
	f("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::")
	f("2001:db8:1:2::", "2001:db8:1:2::")
	f("2001:db8:1:3::1", "2001:db8:1:3::")
	f("fe80::1%eth0", "fe80::")
	f("127.0.0.1", "")
	f("127.9.8.7", "")
	f("::1", "")
	f("::ffff:127.0.0.1", "")
	if _, limited := network(netip.Addr{}); limited {
		t.Error("a peer without an address is limited")
	}
}
