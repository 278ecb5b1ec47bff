//go:build linux

package poller

import (
	"bytes"
	"crypto/tls"
	"net"
	"runtime"
	"testing"
	"weak"
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
