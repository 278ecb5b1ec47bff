//go:build linux

package poller

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"runtime"
	"testing"
	"time"
	"weak"

	"golang.org/x/sys/unix"
)

// fragments cuts a record into records with at most n bytes.
func fragments(record []byte, n int) (all []byte) {
	for body := record[5:]; len(body) > 0; {
		here := body[:min(n, len(body))]
		all = append(append(all, record[0], record[1], record[2], byte(len(here)>>8), byte(len(here))), here...)
		body = body[len(here):]
	}
	return all
}

// TestHelloIsWhole: whatever the records, it is whole with its last byte and not
// earlier; what cannot become one is refused as soon as that shows.
func TestHelloIsWhole(t *testing.T) {
	hello := clientHello(t)
	for _, n := range []int{50, 100, 1000, 1 << 14} {
		b := fragments(hello, n)
		for i := range b {
			if whole, err := helloIsWhole(b[:i]); whole || err != nil {
				t.Fatalf("records of %d, %d of %d bytes: %v, %v", n, i, len(b), whole, err)
			}
		}
		if whole, err := helloIsWhole(b); !whole || err != nil {
			t.Errorf("records of %d: %v, %v", n, whole, err)
		}
		if whole, err := helloIsWhole(append(b, "more"...)); !whole || err != nil {
			t.Errorf("records of %d and more: %v, %v", n, whole, err)
		}
	}
	for desc, b := range map[string]string{
		"no handshake":     "\x17",
		"another version":  "\x16\x02",
		"an empty record":  "\x16\x03\x01\x00\x00",
		"a long record":    "\x16\x03\x01\x40\x01",
		"no ClientHello":   "\x16\x03\x01\x00\x10\x02",
		"a long message":   "\x16\x03\x01\x00\x10\x01\x00\x40\x00",
		"a longer message": "\x16\x03\x01\x00\x10\x01\x01\x00\x00",
		"a wrong second":   "\x16\x03\x01\x00\x01\x01\x17",
		"tiny records":     string(fragments(hello, 1)),
	} {
		if whole, err := helloIsWhole([]byte(b)); whole || err != ErrHandshake {
			t.Errorf("%s: %v, %v", desc, whole, err)
		}
		if desc != "tiny records" {
			if whole, err := helloIsWhole([]byte(b)[:len(b)-1]); whole || err != nil {
				t.Errorf("%s, one byte less: %v, %v", desc, whole, err)
			}
		}
	}
}

// FuzzHello: what is refused stays refused and what is whole stays whole, whatever
// comes behind it, and what is kept of one that is not whole has a bound.
func FuzzHello(f *testing.F) {
	hello := clientHello(f)
	for _, n := range []int{10, 100, 1 << 14} {
		f.Add(fragments(hello, n), 7)
	}
	f.Add([]byte("\x16\x03\x01\x00\x10\x01\x00\x40\x00"), 3)
	f.Fuzz(func(t *testing.T, b []byte, at int) {
		at = max(0, min(at, len(b)))
		first, errFirst := helloIsWhole(b[:at])
		whole, err := helloIsWhole(b)
		if first && !whole || errFirst != nil && err != errFirst || whole && err != nil {
			t.Errorf("%d of %d bytes: %v, %v; all: %v, %v", at, len(b), first, errFirst, whole, err)
		}
		if !whole && err == nil && len(b) > 2*maxClientHello {
			t.Errorf("%d bytes, and it goes on", len(b))
		}
	})
}

// TestHelloInRecords: a ClientHello in many records is a handshake like any
// other, but one whose first record alone is there costs no goroutine.
func TestHelloInRecords(t *testing.T) {
	s := serve(t, Config{Loops: 1}, testTLS(t), nil)
	raw := dial(t, s.addr)
	first := true
	c := tls.Client(writer{raw, func(p []byte) (int, error) {
		if !first {
			return raw.Write(p)
		}
		first = false
		_, err := raw.Write(fragments(p, 100))
		return len(p), err
	}}, &tls.Config{InsecureSkipVerify: true})
	_, _ = c.Write([]byte("x"))
	expect(t, c, "x")
	<-s.conns

	part := fragments(clientHello(t), 100)
	_, _ = dial(t, s.addr).Write(part[:len(part)/2])
	e := <-s.conns
	eventually(t, "a part has come", func() bool {
		return onLoop(e.c, func() bool {
			in := e.c.rec.(*stdTLS)
			return in.in.Len() == len(part)/2 && in.conn == nil
		})
	})
	if n := s.Stats().Handshake; n != 0 {
		t.Errorf("%d handshakes were begun for a part of a ClientHello", n)
	}
}

// writer is a connection whose writes are done by a function.
type writer struct {
	net.Conn
	write func(p []byte) (int, error)
}

func (w writer) Write(p []byte) (int, error) { return w.write(p) }

// TestNothingBehindStartTLS: what came in clear behind the start of TLS is never
// taken for something that came through TLS, whatever the handler does with it.
func TestNothingBehindStartTLS(t *testing.T) {
	cfg := testTLS(t)
	var got bytes.Buffer // loop
	left := func(e *echo, p []byte) int {
		if e.c.Secure() {
			got.Write(p)
			return len(p)
		}
		if err := e.c.StartTLS(cfg); err != nil {
			t.Error(err)
		}
		e.c.Pause()
		e.c.Resume()
		return len("starttls")
	}
	paused := false
	kept := func(e *echo, p []byte) int {
		e.c.Pause()
		e.c.Post(func(int) { e.closed <- e.c.StartTLS(cfg) })
		return len("starttls")
	}
	for desc, data := range map[string]func(*echo, []byte) int{
		"left over": left,
		"left over of what was kept": func(e *echo, p []byte) int {
			if paused {
				return left(e, p)
			}
			paused = true
			e.c.Pause()
			e.c.Resume()
			return 0
		},
		"kept before": kept,
	} {
		s := serve(t, Config{Loops: 1}, nil, data)
		_, _ = dial(t, s.addr).Write([]byte("starttlsinjected"))
		if err := reason(t, <-s.conns); err != ErrPipelined {
			t.Errorf("%s: %v, want ErrPipelined", desc, err)
		}
		s.onLoop(func(l *loop) {
			if got.Len() > 0 {
				t.Errorf("%s: %q was delivered", desc, got.String())
			}
		})
	}
}

// TestParkedIsAll: when a session is lean nothing of crypto/tls's is left, over
// direct TLS and STARTTLS, with a new session and one resumed, and with data right
// behind the handshake.
func TestParkedIsAll(t *testing.T) {
	cfg := testTLS(t)
	for _, start := range []bool{false, true} {
		direct, seen := cfg, make(chan weak.Pointer[stdTLS], 4)
		layer := func(e *echo) {
			seen <- weak.Make(e.c.rec.(*stdTLS))
		}
		accept := func(c *Conn, _ *Listener) Handler {
			e := &echo{c: c, closed: make(chan error, 1)}
			if start {
				e.data = func(e *echo, p []byte) int {
					before := e.c.Secure()
					n := startTLS(t, cfg)(e, p)
					if !before {
						layer(e)
					}
					return n
				}
			} else {
				layer(e)
			}
			return e
		}
		if start {
			direct = nil
		}
		p, err := New(Config{Loops: 1, Accept: accept})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		l, err := p.Listen("127.0.0.1:0", direct)
		if err != nil {
			t.Fatal(err)
		}
		client := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(1)}
		for i := range 3 {
			raw := dial(t, l.Addr().String())
			if start {
				_, _ = raw.Write([]byte("starttls"))
				expect(t, raw, "proceed")
			}
			c := tls.Client(raw, client)
			_, _ = c.Write([]byte("data"))
			expect(t, c, "data")
			if c.ConnectionState().DidResume != (i > 0) {
				t.Errorf("starttls %v: connection %d resumed: %v", start, i, i == 0)
			}
			std := <-seen
			eventually(t, "nothing of crypto/tls is left", func() bool {
				runtime.GC()
				return std.Value() == nil
			})
		}
		if n := p.Stats(); n.LeanTLS != 3 || n.Conns != 3 {
			t.Errorf("%d lean sessions of %d", n.LeanTLS, n.Conns)
		}
	}
}

// outsider connects to a listener from a made-up address: the socket is one of a
// pair.
func outsider(t *testing.T, l *Listener, peer unix.SockaddrInet4) *os.File {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	l.loop.post(nil, func(int) { l.accepted(pair[0], &peer) })
	f := os.NewFile(uintptr(pair[1]), "pair")
	t.Cleanup(func() { _ = f.Close() })
	_ = f.SetDeadline(time.Now().Add(20 * time.Second))
	return f
}

// host is an address of the network for documentation.
func host(n byte) unix.SockaddrInet4 { return unix.SockaddrInet4{Addr: [4]byte{192, 0, 2, n}} }

// TestStalledByOne: the places of one address in stalled handshakes are as many
// as it may have connections; others get in meanwhile, and the places are free
// again when the time for a handshake is up.
func TestStalledByOne(t *testing.T) {
	const limit = 3
	s := serve(t, Config{Loops: 1, MaxPerAddress: limit, HandshakeTimeout: 3 * time.Second}, testTLS(t), nil)
	l := s.listeners[0]
	hello := clientHello(t)
	for i := range 10 {
		f := outsider(t, l, host(1))
		_, _ = f.Write(hello[:len(hello)-i%2]) // with a goroutine and without
	}
	eventually(t, "the others are refused", func() bool { return s.Stats().Refused == 10-limit })
	if n := s.Stats().Conns; n != limit {
		t.Errorf("%d connections of one address, want %d", n, limit)
	}
	secured := func(n byte) error {
		f := outsider(t, l, host(n))
		defer f.Close()
		return tls.Client(pairConn{File: f}, &tls.Config{InsecureSkipVerify: true}).Handshake()
	}
	if err := secured(2); err != nil {
		t.Errorf("another address: %v", err)
	}
	for range limit {
		if err := reason(t, <-s.conns); !errors.Is(err, ErrHandshake) {
			t.Errorf("%v, want ErrHandshake", err)
		}
	}
	if err := secured(1); err != nil {
		t.Errorf("the same address, later: %v", err)
	}
}

// pairConn is a file as a connection.
type pairConn struct {
	*os.File
	net.Conn // nil: what crypto/tls does not call
}

func (c pairConn) Read(p []byte) (int, error)  { return c.File.Read(p) }
func (c pairConn) Write(p []byte) (int, error) { return c.File.Write(p) }
func (c pairConn) Close() error                { return c.File.Close() }

func (c pairConn) SetDeadline(d time.Time) error      { return c.File.SetDeadline(d) }
func (c pairConn) SetReadDeadline(d time.Time) error  { return c.File.SetReadDeadline(d) }
func (c pairConn) SetWriteDeadline(d time.Time) error { return c.File.SetWriteDeadline(d) }

// TestRefusedAtTheDoor: an accepted connection that nobody wants to handle
// leaves nothing: no timer, no descriptor, no place within the limits; and what
// was posted for it before does no harm.
func TestRefusedAtTheDoor(t *testing.T) {
	var timers []*time.Timer // loop
	done := make(chan *Conn, 100)
	s := serve(t, Config{Loops: 1, MaxPerAddress: 2}, testTLS(t), nil)
	l := s.listeners[0]
	s.onLoop(func(*loop) {
		s.cfg.Accept = func(c *Conn, _ *Listener) Handler {
			timers = append(timers, c.rec.(*stdTLS).deadline)
			_ = c.Queue([]byte("no"))
			c.Close(0)
			c.Close(time.Second)
			c.SetDeadline(time.Second)
			c.Resume()
			c.Flush()
			c.Post(func(int) { c.shut(ErrHandshake) }) // as the timer does
			done <- c
			return nil
		}
	})
	files := openFiles(t)
	for i := range 50 {
		b := outsider(t, l, host(byte(i%5)))
		if n, err := b.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("%d bytes, %v; want the end", n, err)
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
		for i, timer := range timers {
			if timer.Stop() {
				t.Errorf("the timer of connection %d was left", i)
			}
		}
		if len(l.p.addrs.index) != 0 || len(l.conns) != 0 || len(l.urgent) != 0 {
			t.Errorf("%d addresses, %d connections, %d deadlines were left", len(l.p.addrs.index), len(l.conns), len(l.urgent))
		}
	})
	if n := s.Stats(); n.Conns != 0 {
		t.Errorf("%d connections are counted", n.Conns)
	}
}
