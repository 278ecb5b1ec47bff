//go:build linux

package poller

import (
	"crypto/tls"
	"testing"
)

// Where one thing takes over from another: crypto/tls from the loop, the lean
// layer from crypto/tls, and a handler from its own pause.

// TestLateSeal: who found crypto/tls as the record layer, and comes when the lean
// one has taken its place, seals with that.
func TestLateSeal(t *testing.T) {
	before := make(chan *stdTLS, 1)
	done := make(chan *echo, 1)
	p, err := New(Config{Loops: 1, Accept: func(c *Conn, _ *Listener) Handler {
		e := &echo{c: c, closed: make(chan error, 1)}
		before <- c.rec.(*stdTLS)
		done <- e
		return e
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	l, err := p.Listen("127.0.0.1:0", testTLS(t))
	if err != nil {
		t.Fatal(err)
	}
	c := tls.Client(dial(t, l.Addr().String()), &tls.Config{InsecureSkipVerify: true})
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	e, std := <-done, <-before
	eventually(t, "secured", e.secured.Load)
	if err := std.seal([]byte("late")); err != nil {
		t.Fatal(err)
	}
	e.c.Flush()
	expect(t, c, "late")
	_ = leanOf(t, e)
}

// TestPartThroughPauses: part of a record lives through pauses, whether it was
// kept before one or in it, with what was used of the rest.
func TestPartThroughPauses(t *testing.T) {
	got := make(chan string, 10)
	s := serve(t, Config{Loops: 1}, testTLS(t), func(e *echo, p []byte) int {
		if len(p) < 10 {
			e.c.Pause()
		}
		got <- string(p)
		return len(p)
	})
	p := newTLSPeer(t, dial(t, s.addr), nil)
	e := <-s.conns
	one, two, last := p.data("one"), p.data("two"), p.data("the last one is longer")
	p.send(one, two, last[:9])
	want := func(text string) {
		t.Helper()
		if g := <-got; g != text {
			t.Fatalf("got %q, want %q", g, text)
		}
	}
	resume := func() { onLoop(e.c, func() bool { e.c.resume(); return true }) }
	want("one")
	resume()
	want("two")
	resume()
	for range 2 { // with a part alone
		onLoop(e.c, func() bool { e.c.Pause(); return true })
		resume()
	}
	p.send(last[9:])
	want("the last one is longer")
	onLoop(e.c, func() bool {
		if lean := leanOf(t, e); lean.in != nil || e.c.stall != 0 {
			t.Error("an idle session has a buffer or a deadline")
		}
		return true
	})
}
