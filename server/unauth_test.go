package server

import (
	"io"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"roost/capacity"
	"roost/internal/xmpptest"
)

// dialFrom connects from an address of loopback.
func dialFrom(t testing.TB, s *Server, from string) *peer {
	t.Helper()
	conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp", s.Addrs()[0].Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &peer{t: t, conn: conn}
}

// TestUnauthMemory: what clients of one network hold that do not log in, elements
// that do not end and input after an <auth/> that waits, is counted in bytes and is
// half of the limit at most; a client that goes beyond is told so. Meanwhile clients
// of the same and of another network log in, and then nothing of them is counted.
func TestUnauthMemory(t *testing.T) {
	const limit = MinUnauthMemory
	s := startServer(t, func(c *Config) { c.UnauthMemory = limit })
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	cut := "<auth>" + strings.Repeat("<a/>", 2000)
	n, each := 0, int64(0)
	for held := int64(0); held+each <= limit/2; n++ {
		p := dialFrom(t, s, "127.0.0.2")
		p.ask(testHeader, "</stream:features>")
		_, _ = io.WriteString(p.conn, cut)
		xmpptest.Eventually(t, "what a client holds is counted", func() bool { return s.poller.Stats().Unauth > held })
		each = s.poller.Stats().Unauth - held
		held += each
	}
	for range 3 {
		p := dialFrom(t, s, "127.0.0.2")
		p.ask(testHeader, "</stream:features>")
		p.ask(cut, "<resource-constraint ")
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > limit/2+1<<20 || n < 10 {
		t.Errorf("memory has grown by %d bytes for %d clients", grown, n)
	}
	dialFrom(t, s, "127.0.0.2").login("nurse", "")
	dialFrom(t, s, "127.0.0.3").login("romeo", "garden")
	held := s.poller.Stats().Unauth
	for range 20 {
		dialFrom(t, s, "127.0.0.3").login("juliet", "")
		if n := s.poller.Stats().Unauth; n > held {
			t.Errorf("%d bytes are held for one that has logged in", n-held)
		}
	}
}

// TestReloadWithoutFiles: when clients have all descriptors that they may have, the
// certificates are read again and a client's login reaches the database.
func TestReloadWithoutFiles(t *testing.T) {
	s := startServer(t, nil)
	romeo := connect(t, s)
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	limit := was
	limit.Cur = 2*capacity.ServerFiles + 88 // both ends of each connection are in this process
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was) }()
	for err := error(nil); err == nil; { // until one is turned away
		p := dialFrom(t, s, "127.0.0.2")
		_, _ = io.WriteString(p.conn, testHeader)
		_, err = p.conn.Read(make([]byte, 1))
	}
	if err := s.Reload(); err != nil {
		t.Errorf("certificates were not read again: %v", err)
	}
	romeo.login("romeo", "r")
}
