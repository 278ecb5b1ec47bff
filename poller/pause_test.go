//go:build linux

package poller

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// servePaused returns a connection that its handler has paused for reading, and its peer. The buffers
// of both sockets are small.
func servePaused(t *testing.T) (s *testServer, c *net.TCPConn, e *echo) {
	t.Helper()
	s = serve(t, Config{Loops: 1, Outbox: 1 << 20}, nil, func(e *echo, p []byte) int {
		e.c.Pause()
		return len(p)
	})
	c = dial(t, s.addr)
	e = <-s.conns
	small(t, e, c)
	_, _ = c.Write([]byte("a"))
	eventually(t, "it is paused", func() (paused bool) {
		s.onLoop(func(*loop) { paused = e.c.paused })
		return paused
	})
	return s, c, e
}

// TestFullWhilePaused: a connection that is paused for reading, and whose socket becomes
// full, empty and full again, continues when its peer reads, and its loop sleeps
// meanwhile. Bug: the second time, the loop repeatedly asked itself to watch a descriptor
// that it was already watching.
func TestFullWhilePaused(t *testing.T) {
	s, c, e := servePaused(t)
	watched := func() (w watch, armed bool) {
		e.c.mu.Lock()
		defer e.c.mu.Unlock()
		return e.c.watch, e.c.armed
	}
	_, _ = c.Write([]byte("b")) // an event while it is paused
	eventually(t, "the descriptor is forgotten", func() bool { w, _ := watched(); return w == watchNothing })
	text := make([]byte, 1<<20)
	for i := range int64(3) {
		if err := e.c.Queue(text); err != nil {
			t.Fatal(err)
		}
		e.c.Flush()
		if e.c.Queued() == 0 {
			t.Fatal("the socket accepted everything")
		}
		eventually(t, "it waits for the socket", func() bool { w, armed := watched(); return w == watchWrite && armed })
		s.wantQuiet(t, fmt.Sprintf("round %d", i))
		if _, err := io.ReadFull(c, text); err != nil {
			t.Fatal(err)
		}
		eventually(t, "Drained", func() bool { return e.drained.Load() == i+1 })
	}
	// Reading continues where it stopped.
	e.c.Resume()
	eventually(t, "the byte that waited is read", func() bool { return s.Stats().Reads == 2 })
	_ = c.Close()
	e.c.Resume()
	_ = reason(t, e)
}

// TestHalfClosedWhilePaused: a handler that pauses reading until its peer has received
// the queued output is notified of that, even if the peer has closed its side meanwhile.
// Bug: nothing checked the outbox in that case, and both sides waited forever.
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
		s.onLoop(func(*loop) { hup = e.c.marks&markHungUp != 0 })
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

// TestResumedBeforeHangUp: a peer hangs up while its connection is paused, and the
// connection is resumed after netpoll has removed its descriptor but before netpoll says so.
// If the handler then pauses again, the loop sleeps. Bug: resuming had registered the
// descriptor again, and nothing removed it: the loop ran without a break until the end of
// the connection.
func TestResumedBeforeHangUp(t *testing.T) {
	s, c, e := servePaused(t)
	checked := make(chan error, 1)
	s.onLoop(func(l *loop) {
		_, _ = c.Write([]byte("b"))
		_ = c.CloseWrite()
		for !e.c.peerGone() {
			runtime.Gosched()
		}
		_ = e.c.readable(nil) // as netpoll does
		e.c.resume()
		_ = e.c.hungUp(nil) // as netpoll does, soon after
		l.post(nil, func(int) { checked <- unix.EpollCtl(l.poll.FD(), unix.EPOLL_CTL_DEL, descriptor(e.c), nil) })
	})
	if err := <-checked; err != unix.ENOENT {
		t.Errorf("the descriptor of the peer that has hung up is still watched (%v)", err)
	}
	s.wantQuiet(t, "paused after the hang-up")
	e.c.Resume()
	if err := reason(t, e); err != io.EOF {
		t.Errorf("ended with %v", err)
	}
}

// TestUnwatchable: a connection ends if the kernel does not watch its descriptor again after
// a pause, or for writing. Bug: nothing was heard of its peer any more.
func TestUnwatchable(t *testing.T) {
	for _, full := range []bool{false, true} {
		s, c, e := servePaused(t)
		_, _ = c.Write([]byte("b")) // an event while it is paused
		eventually(t, "the descriptor is removed", func() bool {
			e.c.mu.Lock()
			defer e.c.mu.Unlock()
			return e.c.watch == watchNothing
		})
		s.onLoop(func(l *loop) {
			unwatchable(t, l, descriptor(e.c))
			if !full {
				e.c.Resume()
				return
			}
			_ = e.c.Queue(make([]byte, 1<<20))
			if !e.c.Flush() {
				t.Error("the socket has accepted everything")
			}
		})
		if err := reason(t, e); err != unix.EEXIST {
			t.Errorf("full %v: ended with %v", full, err)
		}
	}
}

// TestListenLate: Listen on a closed poller returns an error.
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
		t.Errorf("%d descriptors were not closed", n-files)
	}
}

// TestFullAndDrained: with every record layer, Flush reports whether the socket is full,
// and Drained is called once each time the socket was full and everything has been
// written. It is not called for output that the socket accepts immediately. Bug: a
// handler that waited because of the result of Queued was never notified if the socket
// accepted everything immediately.
func TestFullAndDrained(t *testing.T) {
	for _, tt := range []struct {
		desc string
		tls  *tls.Config
		std  bool
	}{{desc: "plain"}, {desc: "lean", tls: testTLS(t)}, {desc: "crypto/tls", tls: testTLS(t), std: true}} {
		s := serve(t, Config{Loops: 1, Outbox: 1 << 20, StdTLS: tt.std}, tt.tls, nil)
		raw := dial(t, s.addr)
		c := net.Conn(raw)
		if tt.tls != nil {
			c = tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
		}
		_, _ = c.Write([]byte("x"))
		expect(t, c, "x") // the handshake is complete
		e := <-s.conns
		if n := s.Stats().LeanTLS; (n == 1) != (tt.tls != nil && !tt.std) {
			t.Fatalf("%s: %d lean sessions", tt.desc, n)
		}
		queue := func(size int) {
			t.Helper()
			if err := e.c.Queue(make([]byte, size)); err != nil {
				t.Fatal(err)
			}
		}
		for round := range int64(2) {
			for _, size := range []int{1, 50 << 10} {
				if queue(size); e.c.Flush() || e.c.Queued() != 0 {
					t.Fatalf("%s: the socket did not accept %d bytes", tt.desc, size)
				}
				if _, err := io.ReadFull(c, make([]byte, size)); err != nil {
					t.Fatal(err)
				}
			}
			s.onLoop(func(*loop) {}) // functions posted by Flush have run
			if n := e.drained.Load(); n != round {
				t.Errorf("%s, round %d: Drained was called %d times", tt.desc, round, n)
			}
			size := 200 << 10
			for queue(size); !e.c.Flush(); size += 200 << 10 {
				queue(200 << 10)
			}
			if _, err := io.ReadFull(c, make([]byte, size)); err != nil {
				t.Fatal(err)
			}
			eventually(t, "Drained", func() bool { return e.drained.Load() == round+1 })
		}
		queue(4 << 20)
		for !e.c.Flush() {
			queue(4 << 20)
		}
		e.c.Close(0)
		_ = reason(t, e)
		if e.c.Flush() {
			t.Errorf("%s: a closed connection waits for its socket", tt.desc)
		}
	}
}
