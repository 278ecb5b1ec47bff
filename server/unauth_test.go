package server

import (
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"roost/capacity"
	"roost/internal/xmpptest"
	"roost/session"
)

// dialFrom connects from a loopback address.
func dialFrom(t testing.TB, s *Server, from string) *peer {
	t.Helper()
	conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp", s.Addrs()[0].Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &peer{t: t, conn: conn}
}

// TestUnauthMemory: memory of unauthenticated clients of one network (partial elements,
// and input after an <auth/> that waits) is counted in bytes and limited to half of the
// total. A client that exceeds the limit gets an error. Meanwhile clients of the same and
// of another network log in, after which their memory no longer counts.
func TestUnauthMemory(t *testing.T) {
	const limit = MinUnauthMemory
	s := startServer(t, func(c *Config) { c.Poller.UnauthMemory = limit })
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
		dialFrom(t, s, "127.0.0.3").login("juliet", "r")
		if n := s.poller.Stats().Unauth; n > held {
			t.Errorf("%d bytes are counted for an authenticated client", n-held)
		}
	}
}

// TestUnboundMemory: clients that have authenticated but bound no resource, of which
// --max-resources allows any number, are limited like those that have not authenticated.
// Meanwhile clients of the same and of another network log in and send.
func TestUnboundMemory(t *testing.T) {
	const limit = MinUnauthMemory
	s := startServer(t, func(c *Config) { c.Poller.UnauthMemory = limit })
	cut := "<message>" + strings.Repeat("x<a/>", 1000)
	n, each := 0, int64(0)
	for held := int64(0); held+each <= limit/2; n++ {
		p := dialFrom(t, s, "127.0.0.2").authenticate("romeo")
		logged := s.poller.Stats().Unauth
		_, _ = io.WriteString(p.conn, cut)
		xmpptest.Eventually(t, "what a client holds is counted", func() bool { return s.poller.Stats().Unauth >= logged+int64(len(cut)) })
		each = s.poller.Stats().Unauth - held
		held += each
	}
	if n < 10 {
		t.Errorf("only %d clients hold as much as a network may", n)
	}
	for range 100 {
		dialFrom(t, s, "127.0.0.2").authenticate("romeo").ask(cut, "<resource-constraint ")
	}
	if held := s.poller.Stats().Unauth; held > limit/2 {
		t.Errorf("they hold %d bytes", held)
	}
	for _, from := range []string{"127.0.0.2", "127.0.0.3"} {
		p := dialFrom(t, s, from).login("nurse", "")
		body := strings.Repeat("x", 20000)
		p.ask("<iq type='get' id='"+body+"' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", body)
	}
}

// TestInputAfterAuth: while an <auth/> waits for the store, the client's further input
// counts as memory of an unauthenticated client, and a limited amount of it is read.
func TestInputAfterAuth(t *testing.T) {
	s := startServer(t, func(c *Config) { c.Poller.Loops, c.Session.Workers = 1, 1 })
	stopped, gate := make(chan struct{}), make(chan struct{})
	goOn := sync.OnceFunc(func() { close(gate) })
	defer goOn()
	s.sessions.Go(session.Read, func(*session.Turn) { close(stopped); <-gate })
	<-stopped // the only goroutine that reads from the store is blocked

	p, other := connect(t, s), connect(t, s)
	p.ask(testHeader, "</stream:features>")
	tail := strings.Repeat("<a/>", 100)
	_, _ = io.WriteString(p.conn, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>biwsbj1yb21lbyxyPWZ5a28=</auth>"+tail)
	xmpptest.Eventually(t, "what follows the <auth/> is counted", func() bool { return s.poller.Stats().Unauth >= int64(len(tail)) })
	held, reads := s.poller.Stats().Unauth, s.poller.Stats().Reads
	if held > 16<<10 {
		t.Errorf("%d bytes are counted for a client that has sent %d after its <auth/>", held, len(tail))
	}
	more := fill(t, p.conn, 64<<20)
	if more < 64<<10 {
		t.Errorf("the kernel accepted only %d bytes: the test is ineffective", more)
	}
	// The same loop serves another client, after it had the opportunity to read more from
	// the first.
	for range 10 {
		other.ask(testHeader, "</stream:features>")
		other = connect(t, s)
	}
	now := s.poller.Stats()
	// The other clients are unauthenticated, too: output queued for one counts.
	if now.Unauth > held+int64(more)/16 {
		t.Errorf("%d bytes are counted after %d more were sent, before that it was %d", now.Unauth, more, held)
	}
	if got := now.Reads - reads; got > 40 {
		t.Errorf("the sockets were read %d times", got)
	}
	goOn()
	p.ask("", "<challenge ")
}

// fill writes to a connection until the kernel accepts no more, at most limit bytes, and
// returns the number of bytes.
func fill(t *testing.T, conn net.Conn, limit int) (n int) {
	t.Helper()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	chunk := []byte(strings.Repeat("<a/>", 4<<10))
	err = raw.Write(func(fd uintptr) bool {
		for n < limit {
			k, err := syscall.Write(int(fd), chunk)
			if err != nil {
				break
			}
			n += k
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestReloadWithoutFiles: when clients use all descriptors available to them,
// certificates can still be reloaded and a client's login still reaches the database.
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
	for err := error(nil); err == nil; { // until one is rejected
		p := dialFrom(t, s, "127.0.0.2")
		_, _ = io.WriteString(p.conn, testHeader)
		_, err = p.conn.Read(make([]byte, 1))
	}
	if err := s.certs.Reload(); err != nil {
		t.Errorf("certificates were not reloaded: %v", err)
	}
	romeo.login("romeo", "r")
}
