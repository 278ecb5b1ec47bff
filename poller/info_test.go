//go:build linux

package poller

import (
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
