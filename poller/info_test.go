//go:build linux

package poller

import (
	"crypto/tls"
	"testing"
	"time"
)

// TestLastRead: the time of the last read has the resolution of the loop's clock.
func TestLastRead(t *testing.T) {
	l := &loop{start: time.Now(), now: 1}
	c := &Conn{loop: l}
	for _, now := range []uint32{1, 1, 61, 3601} {
		l.now = now
		c.sawInput()
		if got, want := c.LastRead(), l.start.Add(time.Duration(now-1)*time.Second); !got.Equal(want) {
			t.Errorf("at %d: %v, want %v", now, got, want)
		}
	}
}

// TestPostAll: a function runs once on each loop.
func TestPostAll(t *testing.T) {
	p, err := New(Config{Loops: 3})
	if err != nil {
		t.Fatal(err)
	}
	ran := make(chan int, 10)
	p.PostAll(func(loop int) { ran <- loop })
	seen := make(map[int]bool)
	for range p.Loops() {
		seen[<-ran] = true
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	p.PostAll(func(loop int) { ran <- loop })
	if len(seen) != 3 || len(ran) != 0 {
		t.Errorf("%v, and %d more", seen, len(ran))
	}
}

// TestTLSDuringHandshake: any goroutine may ask what protects a connection at any time. Bug:
// that was a race with the beginning of a handshake.
func TestTLSDuringHandshake(t *testing.T) {
	s := serve(t, Config{Loops: 1, StdTLS: true}, testTLS(t), nil)
	for range 20 {
		c := tls.Client(dial(t, s.addr), &tls.Config{InsecureSkipVerify: true})
		e := <-s.conns
		done := make(chan struct{})
		go func() {
			defer close(done)
			for e.c.TLS() == NoTLS && t.Context().Err() == nil {
			}
		}()
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		<-done
		if kind := e.c.TLS(); kind != StdTLS {
			t.Errorf("TLS 1.3 is of the kind %d", kind)
		}
	}
}
