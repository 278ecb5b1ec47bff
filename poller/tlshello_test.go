//go:build linux

package poller

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"runtime"
	"strings"
	"testing"
	"weak"
)

// fragments splits a record into records of at most n bytes.
func fragments(record []byte, n int) (all []byte) {
	for body := record[5:]; len(body) > 0; {
		here := body[:min(n, len(body))]
		all = append(append(all, record[0], record[1], record[2], byte(len(here)>>8), byte(len(here))), here...)
		body = body[len(here):]
	}
	return all
}

// firstAlert examines a first flight that arrives in one piece: whether the ClientHello
// is complete, and the alert of a rejection, noAlert for none.
func firstAlert(b []byte) (whole bool, alert int, err error) {
	whole, err = new(firstFlight).whole(b)
	return whole, alertOf(err), err
}

const noAlert = -1

func alertOf(err error) int {
	var a tls.AlertError
	if errors.As(err, &a) {
		return int(a)
	}
	return noAlert
}

// TestHelloIsWhole: with any records, it is complete at its last byte and not earlier;
// input that cannot become one is rejected as early as possible.
func TestHelloIsWhole(t *testing.T) {
	hello := clientHello(t)
	for _, n := range []int{1, 50, 100, 1000, 1 << 14} {
		b := fragments(hello, n)
		dribbled := new(firstFlight)
		for i := range b {
			for _, f := range []*firstFlight{new(firstFlight), dribbled} {
				if whole, err := f.whole(b[:i]); whole || err != nil {
					t.Fatalf("records of %d, %d of %d bytes: %v, %v", n, i, len(b), whole, err)
				}
			}
		}
		if whole, err := dribbled.whole(b); !whole || err != nil {
			t.Errorf("records of %d, byte by byte: %v, %v", n, whole, err)
		}
		if whole, _, err := firstAlert(b); !whole || err != nil {
			t.Errorf("records of %d: %v, %v", n, whole, err)
		}
		if whole, _, err := firstAlert(append(b, "more"...)); !whole || err != nil {
			t.Errorf("records of %d and more: %v, %v", n, whole, err)
		}
	}
	for desc, tt := range map[string]struct {
		b     string
		alert int
	}{
		"no handshake":         {"\x17", 10},
		"XML":                  {"<", 10},
		"SSL 2.0":              {"\x80", 70},
		"no version of TLS":    {"\x16\x10", 10},
		"an empty record":      {"\x16\x03\x01\x00\x00", 10},
		"a long record":        {"\x16\x03\x01\x40\x01", 22},
		"no ClientHello":       {"\x16\x03\x01\x00\x10\x02", 10},
		"a long message":       {"\x16\x03\x01\x00\x10\x01\x00\x40\x00", 80},
		"a longer message":     {"\x16\x03\x01\x00\x10\x01\x01\x00\x00", 80},
		"a wrong second":       {"\x16\x03\x01\x00\x01\x01\x17", 10},
		"a fatal alert":        {"\x15\x03\x01\x00\x02\x02\x28", noAlert},
		"an empty second":      {"\x16\x03\x01\x00\x01\x01\x16\x03\x03\x00\x00", 10},
		"too much in records":  {string(fragments(append([]byte("\x16\x03\x01\x00\x00\x01\x00\x3f\xfc"), make([]byte, 1<<14-4)...), 1)[:maxClientHello]), 80},
		"too much in warnings": {strings.Repeat(warning, 17), 10},
	} {
		whole, alert, err := firstAlert([]byte(tt.b))
		if whole || !errors.Is(err, ErrHandshake) || alert != tt.alert {
			t.Errorf("%s: %v, %v; want alert %d", desc, whole, err, tt.alert)
		}
		if whole, _, err := firstAlert([]byte(tt.b)[:len(tt.b)-1]); whole || err != nil {
			t.Errorf("%s, one byte less: %v, %v", desc, whole, err)
		}
	}
}

// warning is a record with a warning alert (user_canceled).
const warning = "\x15\x03\x01\x00\x02\x01\x5a"

// FuzzHello: a rejected ClientHello stays rejected and a complete one stays complete,
// whatever follows it, and the stored part of an incomplete one is limited. If it is not
// rejected, crypto/tls sends no alert; if it is rejected, except for its size, crypto/tls
// does not accept it either.
func FuzzHello(f *testing.F) {
	hello := clientHello(f)
	for _, n := range []int{10, 100, 1 << 14} {
		f.Add(fragments(hello, n), 7)
	}
	f.Add([]byte("\x16\x03\x01\x00\x10\x01\x00\x40\x00"), 3)
	f.Add([]byte(warning+string(hello)), len(warning))
	f.Fuzz(func(t *testing.T, b []byte, at int) {
		at = max(0, min(at, len(b)))
		cut := new(firstFlight)
		first, errFirst := cut.whole(b[:at])
		whole, alert, err := firstAlert(b)
		if first && !whole || errFirst != nil && err == nil || whole && err != nil {
			t.Errorf("%d of %d bytes: %v, %v; all: %v, %v", at, len(b), first, errFirst, whole, err)
		}
		if !first && errFirst == nil {
			if again, errAgain := cut.whole(b); again != whole || alertOf(errAgain) != alert {
				t.Errorf("in one piece %v, %v; cut at %d %v, %v", whole, err, at, again, errAgain)
			}
		}
		if !whole && err == nil && len(b) > maxClientHello {
			t.Errorf("%d bytes are accepted and more expected", len(b))
		}
		taken := false
		out := stdFirst(&tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			taken = true
			return nil, ErrHandshake
		}}, b)
		switch {
		case !whole && err == nil && len(out) > 0:
			t.Errorf("crypto/tls sends %x while roost waits for more", out)
		case err != nil && alert != int(alertInternalError) && taken:
			t.Errorf("rejected with %v, but crypto/tls accepts it", err)
		}
	})
}

// TestHelloInRecords: a ClientHello in many records results in a normal handshake, but
// its first record alone uses no goroutine.
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
	eventually(t, "the handshake has ended in the counters", func() bool { return s.Stats().Handshake == 0 })

	part := fragments(clientHello(t), 100)
	_, _ = dial(t, s.addr).Write(part[:len(part)/2])
	e := <-s.conns
	eventually(t, "a part has come", func() bool {
		return onLoop(e.c, func() bool {
			in := e.c.layer.(*stdTLS)
			return in.in.Len() == len(part)/2 && in.conn == nil
		})
	})
	if n := s.Stats().Handshake; n != 0 {
		t.Errorf("%d handshakes were started for a partial ClientHello", n)
	}
}

// writer is a connection whose writes are performed by a function.
type writer struct {
	net.Conn
	write func(p []byte) (int, error)
}

func (w writer) Write(p []byte) (int, error) { return w.write(p) }

// TestNothingBehindStartTLS: cleartext that arrives after the start of TLS is never
// treated as received through TLS, whatever the handler does with it.
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

// TestSwitchLeavesNothing: after a session has become lean, no state of crypto/tls
// remains, over direct TLS and STARTTLS, with a new session and a resumed one, and with
// data directly after the handshake.
func TestSwitchLeavesNothing(t *testing.T) {
	cfg := testTLS(t)
	for _, start := range []bool{false, true} {
		direct, seen := cfg, make(chan weak.Pointer[stdTLS], 4)
		layer := func(e *echo) {
			seen <- weak.Make(e.c.layer.(*stdTLS))
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
