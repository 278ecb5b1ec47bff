//go:build linux

package poller

import (
	"bytes"
	"crypto/tls"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Transitions: from the loop to crypto/tls, from crypto/tls to the lean layer, and from a
// handler's pause to reading.

// TestPartThroughPauses: a partial record survives pauses, whether it arrived before or
// during one, and however much of the input was consumed.
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
	for range 2 { // only a partial record, for longer than a record may take
		onLoop(e.c, func() bool { e.c.Pause(); return true })
		s.later(10 * time.Minute)
		resume()
		if !onLoop(e.c, func() bool { return e.c.stall > e.c.loop.now }) {
			t.Error("a partial record has no deadline after a pause")
		}
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

// TestLargeFlight: a client whose own certificates exceed the input kept during a
// handshake completes it.
func TestLargeFlight(t *testing.T) {
	server := testTLS(t)
	server.ClientAuth = tls.RequireAnyClientCert
	own := certificateFor(t, "juliet.example")
	for leaf := own.Certificate[0]; len(own.Certificate)*len(leaf) < 3*4*maxClientHello; {
		own.Certificate = append(own.Certificate, leaf)
	}
	s := serve(t, Config{Loops: 1}, server, nil)
	c := tls.Client(dial(t, s.addr), &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{own}})
	_, _ = c.Write([]byte("x"))
	expect(t, c, "x")
	_ = leanOf(t, <-s.conns)
}

// TestQueuedHandshakeIsBounded: the input stored for a client that keeps sending while
// its handshake is queued is limited.
func TestQueuedHandshakeIsBounded(t *testing.T) {
	const read = 1 << 14
	s := serve(t, Config{Loops: 1, Handshakes: 1, ReadBuffer: read}, testTLS(t), nil)
	hello := clientHello(t)
	_, _ = dial(t, s.addr).Write(hello)
	eventually(t, "one is under way", func() bool { return s.Stats().Handshake == 1 })
	<-s.conns
	c := dial(t, s.addr)
	e := <-s.conns
	go func() {
		_, _ = c.Write(hello)
		for {
			if _, err := c.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	}()
	waits := func() (n int, paused bool) {
		onLoop(e.c, func() bool {
			in := e.c.layer.(*stdTLS)
			in.mu.Lock()
			defer in.mu.Unlock()
			n, paused = in.in.Len(), e.c.paused
			return true
		})
		return n, paused
	}
	const bound = maxClientHello + maxEarly + 2*earlyRead
	eventually(t, "reading has stopped", func() bool {
		n, paused := waits()
		if n > bound {
			t.Fatalf("%d bytes are kept, the limit is %d", n, bound)
		}
		return paused
	})
}

// TestClosedInHandshake: a handler that has closed the connection is not notified of a
// handshake that completes afterwards, nor of input after it.
func TestClosedInHandshake(t *testing.T) {
	for _, std := range []bool{false, true} {
		begun, goOn := make(chan struct{}), make(chan struct{})
		cfg := testTLS(t)
		cfg.VerifyConnection = func(tls.ConnectionState) error {
			close(begun)
			<-goOn
			return nil
		}
		var told atomic.Bool
		s := serve(t, Config{Loops: 1, StdTLS: std}, cfg, func(_ *echo, p []byte) int {
			told.Store(true)
			return len(p)
		})
		raw := dial(t, s.addr)
		wrote := make(chan error, 1)
		go func() {
			_, err := tls.Client(raw, &tls.Config{InsecureSkipVerify: true}).Write([]byte("hello"))
			wrote <- err
		}()
		<-begun // our flight is sent, so that the client can finish
		e := <-s.conns
		if err := <-wrote; err != nil {
			t.Fatal(err)
		}
		in := layerOf(e.c).(*stdTLS)
		eventually(t, "all has come", func() bool {
			in.mu.Lock()
			defer in.mu.Unlock()
			return wholeRecords(in.in.Bytes()) == 3 // change_cipher_spec, Finished, data
		})
		e.c.Close(time.Minute)
		onLoop(e.c, func() bool { return true })
		close(goOn)
		eventually(t, "the handshake has ended", func() bool { return s.Stats().Handshake == 0 })
		onLoop(e.c, func() bool { return true })
		if told.Load() || e.secured.Load() {
			t.Errorf("std %v: a closed connection's handler is notified of TLS", std)
		}
		_ = raw.Close()
		if err := reason(t, e); err != nil {
			t.Errorf("std %v: ended with %v", std, err)
		}
	}
}

// wholeRecords returns the number of records in b, -1 if the last is incomplete.
func wholeRecords(b []byte) (n int) {
	for ; len(b) > 0; n++ {
		size := 5
		if len(b) >= size {
			size += int(b[3])<<8 | int(b[4])
		}
		if len(b) < size {
			return -1
		}
		b = b[size:]
	}
	return n
}

// TestQueueWhileSwitching: many goroutines write from the first moment on, while the
// handshake completes and the lean layer takes over, and one closes meanwhile. Accepted
// data arrives exactly once, and nothing else. For the race detector.
func TestQueueWhileSwitching(t *testing.T) {
	cfg := testTLS(t)
	for _, std := range []bool{false, true} {
		s := serve(t, Config{Loops: 2, StdTLS: std}, cfg, nil)
		for range 8 {
			raw := dial(t, s.addr)
			e := <-s.conns
			var taken atomic.Int64
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() {
					for n := 0; n < 50; {
						switch err := e.c.Queue([]byte("x")); err {
						case nil:
							taken.Add(1)
							n++
							e.c.Flush()
						case errEarly:
							runtime.Gosched()
						default:
							return // closed
						}
					}
				})
			}
			wg.Go(func() {
				for taken.Load() < 60 {
					runtime.Gosched()
				}
				e.c.Close(time.Minute)
			})
			c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
			got, err := io.ReadAll(c)
			wg.Wait()
			if err != nil || int64(len(got)) != taken.Load() || len(bytes.Trim(got, "x")) > 0 {
				t.Errorf("std %v: %d bytes of %d, %v", std, len(got), taken.Load(), err)
			}
			_ = c.Close()
			if err := reason(t, e); err != nil {
				t.Errorf("std %v: ended with %v", std, err)
			}
		}
	}
}
