//go:build linux

package poller

import (
	"fmt"
	"io"
	"testing"
)

// TestFullWhilePaused: a connection whose reading is paused, and whose socket is
// full, empty and full again, goes on when its peer reads, and its loop sleeps
// meanwhile. Bug: the second time the loop asked itself without end to watch a
// descriptor that it watched already.
func TestFullWhilePaused(t *testing.T) {
	s := serve(t, Config{Loops: 1, Outbox: 1 << 20}, nil, func(e *echo, p []byte) int {
		e.c.Pause()
		return len(p)
	})
	c := dial(t, s.addr)
	e := <-s.conns
	small(t, e, c)
	watched := func() (w watch, armed bool) {
		e.c.mu.Lock()
		defer e.c.mu.Unlock()
		return e.c.watch, e.c.armed
	}
	_, _ = c.Write([]byte("a"))
	eventually(t, "it is paused", func() (paused bool) {
		s.onLoop(func(*loop) { paused = e.c.paused })
		return paused
	})
	_, _ = c.Write([]byte("b")) // an event while it is paused
	eventually(t, "the descriptor is forgotten", func() bool { w, _ := watched(); return w == watchNothing })
	text := make([]byte, 1<<20)
	for i := range int64(3) {
		if err := e.c.Queue(text); err != nil {
			t.Fatal(err)
		}
		e.c.Flush()
		if e.c.Queued() == 0 {
			t.Fatal("the socket has taken everything")
		}
		eventually(t, "it waits for the socket", func() bool { w, armed := watched(); return w == watchWrite && armed })
		s.wantQuiet(t, fmt.Sprintf("round %d", i))
		if _, err := io.ReadFull(c, text); err != nil {
			t.Fatal(err)
		}
		eventually(t, "Drained", func() bool { return e.drained.Load() == i+1 })
	}
	// Reading goes on where it was left.
	e.c.Resume()
	eventually(t, "the byte that waited is read", func() bool { return s.Stats().Reads == 2 })
	_ = c.Close()
	e.c.Resume()
	_ = reason(t, e)
}

// TestHalfClosedWhilePaused: a handler that does not read on before its peer has
// taken what waits for it gets to know when, also when the peer has closed its
// side meanwhile. Bug: nobody looked after the outbox then, and both waited for
// ever.
func TestHalfClosedWhilePaused(t *testing.T) {
	text := make([]byte, 1<<20)
	s := serve(t, Config{Loops: 1, Outbox: 1 << 20}, nil, func(e *echo, p []byte) int {
		_ = e.c.Queue(text)
		e.c.Flush()
		e.c.Pause() // until Drained
		return len(p)
	})
	c := dial(t, s.addr)
	e := <-s.conns
	small(t, e, c)
	_, _ = c.Write([]byte("x"))
	eventually(t, "it is full", func() bool { return e.c.Queued() > 0 })
	_ = c.CloseWrite()
	eventually(t, "the hang-up is seen", func() (hup bool) {
		s.onLoop(func(*loop) { hup = e.c.hup })
		return hup
	})
	s.quickly(t)
	if _, err := io.ReadFull(c, text); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Drained", func() bool { return e.drained.Load() == 1 })
	e.c.Resume()
	if err := reason(t, e); err != io.EOF {
		t.Errorf("%v, want EOF", err)
	}
}

// TestListenLate: a poller that is closed does not listen, and says so.
func TestListenLate(t *testing.T) {
	p, err := New(Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	files := openFiles(t)
	if _, err := p.Listen("127.0.0.1:0", nil); err == nil {
		t.Error("no error")
	}
	if n := openFiles(t); n > files {
		t.Errorf("%d descriptors are left", n-files)
	}
}

// TestDrainedAtOnce: a handler that has seen a large outbox is told when it is empty,
// also when the socket takes all of it at once, and hears nothing of small ones. Bug:
// a session that waited for its large outbox, which another goroutine then flushed,
// was never read again.
func TestDrainedAtOnce(t *testing.T) {
	s := serve(t, Config{Loops: 1, Outbox: 1 << 20}, nil, nil)
	c := dial(t, s.addr)
	e := <-s.conns
	for i, size := range []int{drainNotice, drainNotice + 1, 100, drainNotice + 1} {
		if err := e.c.Queue(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		e.c.Flush()
		if n := e.c.Queued(); n != 0 {
			t.Fatalf("the socket has not taken %d bytes of %d", n, size)
		}
		if _, err := io.ReadFull(c, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		s.onLoop(func(*loop) {}) // what Flush has posted was done
		if want := int64((i + 1) / 2); e.drained.Load() != want {
			t.Errorf("after %d writes Drained was called %d times, want %d", i+1, e.drained.Load(), want)
		}
	}
}
