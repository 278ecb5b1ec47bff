//go:build linux

package poller

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestSetConfig: the limits of a running poller change, for connections that exist too; what
// needs a restart stays.
func TestSetConfig(t *testing.T) {
	s := serve(t, Config{Loops: 1, MaxPerAddress: 1, MaxAttempts: -1, KeepaliveBatch: -1}, nil, nil)
	l := s.listeners[0]
	from := netip.MustParseAddr("192.0.2.1")
	admitted := func() (n int) {
		s.onLoop(func(*loop) {
			for range 10 {
				if _, ok := l.admit(from); ok {
					n++
				}
			}
		})
		return n
	}
	set := func(c Config) { s.SetConfig(c) }
	if n := admitted(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	set(Config{Loops: 9, ReadBuffer: 1, MaxPerAddress: 4, MaxAttempts: -1, Outbox: 12345, IdleTimeout: time.Hour, KeepaliveBatch: 20 * time.Millisecond})
	if n := admitted(); n != 3 {
		t.Errorf("%d more connections, want 3", n)
	}
	if c := s.config(); c.Loops != 1 || c.ReadBuffer != 64<<10 || c.Outbox != 12345 || c.IdleTimeout != time.Hour || c.AfterBatch == nil || c.Accept == nil {
		t.Errorf("%+v", c)
	}
	s.onLoop(func(l *loop) {
		if want := unix.NsecToTimespec(int64(20 * time.Millisecond)); l.waiter.batch.Value != want || l.waiter.minWakeups != minWakeups {
			t.Errorf("batches of %v", l.waiter.batch.Value)
		}
	})
	set(Config{MaxPerAddress: -1, MaxAttempts: 2, KeepaliveBatch: -1})
	if n := admitted(); n != 2 {
		t.Errorf("%d attempts are allowed, want 2", n)
	}
	s.onLoop(func(l *loop) {
		if l.waiter.batch.Value != (unix.Timespec{}) {
			t.Errorf("batches of %v", l.waiter.batch.Value)
		}
	})
}

// TestSlotsChange: handshakes that wait begin when there are more slots, and none begins
// while more are in progress than there are slots.
func TestSlotsChange(t *testing.T) {
	s := serve(t, Config{Loops: 1, Handshakes: 2}, testTLS(t), nil)
	l := s.listeners[0]
	s.queue.mu.Lock()
	s.queue.maxSilence = time.Hour
	s.queue.mu.Unlock()
	hello := clientHello(t)
	for i := range 4 {
		if _, err := outsider(t, l, host(byte(1+i))).Write(hello); err != nil {
			t.Fatal(err)
		}
	}
	active := func() (active, waiting int) {
		s.queue.mu.Lock()
		defer s.queue.mu.Unlock()
		return len(s.queue.active), s.queue.waiting
	}
	until := func(wantActive, wantWaiting int) {
		t.Helper()
		eventually(t, fmt.Sprintf("%d handshakes, %d waiting", wantActive, wantWaiting), func() bool {
			a, w := active()
			return a == wantActive && w == wantWaiting
		})
	}
	until(2, 2)
	s.SetConfig(Config{Handshakes: 3})
	until(3, 1)
	s.SetConfig(Config{Handshakes: 1})
	if _, err := outsider(t, l, host(9)).Write(hello); err != nil {
		t.Fatal(err)
	}
	until(3, 2)
	s.SetConfig(Config{Handshakes: 10})
	until(5, 0)
}
