//go:build linux

package poller

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// childEnv makes the test binary a server with few descriptors.
const childEnv = "POLLER_TEST_CHILD"

// reserveEnv is the number of descriptors that it reserves from its clients.
const reserveEnv = "POLLER_TEST_RESERVE"

// TestExhaustedChild is the other process of TestExhausted: it echoes and accepts
// commands, one per line. "limit N" sets the limit of open files. "busy" asks how many
// iterations of an idle loop end with pending work or are extra. "conns" asks for the
// number of connections. "open N" opens that many files and reports how many succeeded.
func TestExhaustedChild(t *testing.T) {
	if os.Getenv(childEnv) == "" {
		return // does nothing unless TestExhausted starts it
	}
	reserve, _ := strconv.Atoi(os.Getenv(reserveEnv))
	s := serve(t, Config{Loops: 1, ReserveFiles: reserve}, nil, nil)
	fmt.Println("addr", s.addr)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		switch name, value, _ := strings.Cut(in.Text(), " "); name {
		case "limit":
			n, err := strconv.ParseUint(value, 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			var limit unix.Rlimit
			if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
				t.Fatal(err)
			}
			limit.Cur = n
			if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
				t.Fatal(err)
			}
			fmt.Println("limit", n)
		case "busy":
			busy, more := s.busyTurns()
			fmt.Println("busy", busy+more)
		case "open":
			n, _ := strconv.Atoi(value)
			for i := range n {
				f, err := os.Open(os.DevNull)
				if err != nil {
					n = i
					break
				}
				t.Cleanup(func() { _ = f.Close() })
			}
			fmt.Println("open", n)
		case "conns":
			fmt.Println("conns", s.Stats().Conns)
		case "refused":
			fmt.Println("refused", s.Stats().RefusedBy[RefusedFiles])
		}
	}
}

// child is a process that runs TestExhaustedChild.
type child struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Scanner
}

func startChild(t *testing.T, reserve int) *child {
	t.Helper()
	cmd := self("-test.run=^TestExhaustedChild$")
	cmd.Env = append(os.Environ(), childEnv+"=1", fmt.Sprint(reserveEnv, "=", reserve))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_, _ = io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil {
			t.Error("the other process:", err)
		}
	})
	return &child{t, in, bufio.NewScanner(out)}
}

// expect reads a line that begins with name and returns the rest.
func (c *child) expect(name string) string {
	c.t.Helper()
	if !c.out.Scan() {
		c.t.Fatalf("the other process ended before %q", name)
	}
	got, value, _ := strings.Cut(c.out.Text(), " ")
	if got != name {
		c.t.Fatalf("%q, want %q", c.out.Text(), name)
	}
	return value
}

func (c *child) ask(name string) int {
	c.t.Helper()
	_, _ = fmt.Fprintln(c.in, name)
	n, err := strconv.Atoi(c.expect(strings.Fields(name)[0]))
	if err != nil {
		c.t.Fatal(err)
	}
	return n
}

// echoes reports whether a connection is served rather than closed.
func echoes(t *testing.T, c net.Conn) bool {
	t.Helper()
	if _, err := c.Write([]byte("?")); err != nil {
		return false
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	if err, ok := err.(net.Error); ok && err.Timeout() {
		t.Fatal("neither served nor closed")
	}
	return err == nil
}

// TestExhausted: a server without free descriptors serves existing connections, rejects
// or delays new ones, does not spin, and accepts again when it can.
func TestExhausted(t *testing.T) {
	s := startChild(t, 0)
	addr := s.expect("addr")
	s.ask("limit 64")
	var clients []*net.TCPConn
	for len(clients) < 100 {
		c := dial(t, addr)
		if !echoes(t, c) {
			break
		}
		clients = append(clients, c)
	}
	if n := len(clients); n < 20 || n >= 64 {
		t.Fatalf("%d connections with 64 descriptors", n)
	}
	for range 20 { // rejected, using the reserved descriptor
		if echoes(t, dial(t, addr)) {
			t.Fatal("a connection without a descriptor")
		}
	}
	quiet := func(when string) {
		t.Helper()
		if n := s.ask("busy"); n > quietTurns/2 {
			t.Errorf("%s: %d busy iterations of %d without events", when, n, quietTurns)
		}
		for _, c := range clients {
			if !echoes(t, c) {
				t.Fatalf("%s: a client is not served", when)
			}
		}
	}
	if n := s.ask("refused"); n != 21 {
		t.Errorf("%d refusals are counted, want 21", n)
	}
	quiet("turned away")

	// The reserved descriptor is unavailable, too: new connections wait.
	s.ask("limit 3")
	waiting := make([]*net.TCPConn, 5)
	for i := range waiting {
		waiting[i] = dial(t, addr)
		_, _ = waiting[i].Write([]byte("waited"))
	}
	quiet("waiting")
	if n := s.ask("conns"); n != len(clients) {
		t.Errorf("%d connections, want %d as before", n, len(clients))
	}

	s.ask("limit 128")
	for _, c := range waiting {
		expect(t, c, "waited")
	}
	if !echoes(t, dial(t, addr)) {
		t.Error("a connection was rejected although there are free descriptors")
	}
	quiet("served again")
}

// TestReservedFiles: connections leave descriptors to the rest of the process, which can
// open files while clients use all descriptors available to them. New clients are
// rejected immediately, and accepted again after another has left.
func TestReservedFiles(t *testing.T) {
	const limit, reserve = 200, 60
	s := startChild(t, reserve)
	addr := s.expect("addr")
	s.ask(fmt.Sprint("limit ", limit))
	var clients []*net.TCPConn
	for len(clients) < limit {
		c := dial(t, addr)
		if !echoes(t, c) {
			break
		}
		clients = append(clients, c)
	}
	if n := len(clients); n > limit-reserve || n < limit-reserve-40 {
		t.Errorf("%d connections with %d descriptors, of which %d are reserved", n, limit, reserve)
	}
	for range 20 {
		if echoes(t, dial(t, addr)) {
			t.Fatal("a connection uses a reserved descriptor")
		}
	}
	if n := s.ask("refused"); n != 21 {
		t.Errorf("%d refusals are counted, want 21", n)
	}
	_ = clients[0].Close()
	eventually(t, "there is room for another", func() bool { return echoes(t, dial(t, addr)) })
	if n := s.ask(fmt.Sprint("open ", reserve)); n != reserve {
		t.Errorf("%d files could be opened, %d descriptors are reserved", n, reserve)
	}
}

// unwatchable makes the kernel refuse to watch a descriptor, with EEXIST in place of ENOSPC or
// ENOMEM. The result undoes that.
func unwatchable(t *testing.T, l *loop, fd int) (undo func()) {
	t.Helper()
	none := unix.EpollEvent{Events: unix.EPOLLET}
	if err := unix.EpollCtl(l.poll.FD(), unix.EPOLL_CTL_ADD, fd, &none); err != nil {
		t.Error(err)
	}
	return func() {
		if err := unix.EpollCtl(l.poll.FD(), unix.EPOLL_CTL_DEL, fd, nil); err != nil {
			t.Error(err)
		}
	}
}

// TestNoMemoryToAccept: without memory for a connection, the listener waits a second, and again
// if there still is none, instead of trying all the time or never again. Bug: it did both.
func TestNoMemoryToAccept(t *testing.T) {
	var log syncBuffer
	s := serve(t, Config{Loops: 1, Logger: debugLogger(&log)}, nil, nil)
	l := s.listeners[0]
	var enough func()
	s.onLoop(func(loop *loop) {
		l.acceptFailed(unix.ENOMEM)
		enough = unwatchable(t, loop, l.fd)
		l.lastErrLog = 0 // the next error is logged, too
	})
	c := dial(t, s.addr)
	_, _ = c.Write([]byte("waited"))
	s.wantQuiet(t, "no memory")
	if !strings.Contains(log.String(), "there is no memory") {
		t.Errorf("logged %q", log.String())
	}
	eventually(t, "the next attempt", func() bool { return strings.Contains(log.String(), "connections cannot be accepted") })
	s.onLoop(func(*loop) { enough() })
	expect(t, c, "waited")
}

// TestUnwatchedAtOnce: a connection that the kernel does not watch ends, and the operator is
// told why.
func TestUnwatchedAtOnce(t *testing.T) {
	var log syncBuffer
	e := &echo{closed: make(chan error, 1)}
	cfg := Config{Loops: 1, Logger: debugLogger(&log)}.unlimited()
	cfg.Accept = func(c *Conn, _ *Listener) Handler {
		e.c = c
		unwatchable(t, c.loop, descriptor(c))
		return e
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	l, err := p.Listen("127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, l.Addr().String())
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("read %d bytes, %v", n, err)
	}
	if err := reason(t, e); err != unix.EEXIST {
		t.Errorf("ended with %v", err)
	}
	eventually(t, "a line of the log", func() bool { return strings.Contains(log.String(), "fs.epoll.max_user_watches") })
}
