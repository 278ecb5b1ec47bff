//go:build linux

package poller

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"roost/poller/epoll"
)

// batching is a server in which the test controls when batches of keep-alives end and how
// time advances.
type batching struct {
	*testServer
	read, turns atomic.Int64
}

// waits returns when the loop waits for the end of a batch, that is, when its timer runs.
func (s *batching) waits(t *testing.T) {
	t.Helper()
	eventually(t, "the loop waits", func() bool {
		var left unix.ItimerSpec
		err := unix.TimerfdGettime(s.loops[0].waiter.timer, &left)
		return err == nil && left.Value != unix.Timespec{}
	})
}

// wake ends the batch.
func (s *batching) wake(t *testing.T) {
	t.Helper()
	if !epoll.SetTimer(s.loops[0].waiter.timer, &unix.ItimerSpec{Value: unix.Timespec{Nsec: 1}}) {
		t.Error("the timer cannot be set")
	}
}

func serveBatching(t *testing.T) *batching {
	s := &batching{}
	s.testServer = serve(t, Config{Loops: 1, KeepaliveBatch: time.Hour, AfterBatch: func(int) { s.turns.Add(1) }}, nil,
		func(e *echo, p []byte) int {
			s.read.Add(int64(len(p)))
			if !e.KeepAlive(p) {
				_ = e.c.Queue(p)
				e.c.Flush()
			}
			return len(p)
		})
	s.ticker.Stop()
	t.Cleanup(func() { // a loop that waits for the end of a batch does not stop
		done := make(chan struct{})
		s.loops[0].post(nil, func(l int) { s.loops[l].waiter.batch = unix.ItimerSpec{}; close(done) })
		eventually(t, "the end of all batches", func() bool {
			s.wake(t)
			select {
			case <-done:
				return true
			default:
				return false
			}
		})
	})
	return s
}

// TestKeepaliveBatch: while only keep-alives arrive, as classified by handlers, the loop
// reads them in batches. Anything else ends the waiting immediately, in this case
// including white space.
func TestKeepaliveBatch(t *testing.T) {
	s := serveBatching(t)
	say := func(c net.Conn, text string) {
		t.Helper()
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	clients := make([]net.Conn, 50)
	for i := range clients {
		clients[i] = dial(t, s.addr)
		say(clients[i], "hello")
		expect(t, clients[i], "hello")
	}
	s.onLoop(func(l *loop) { l.now += 2 }) // the time without other input
	for range 20 {
		s.waits(t)
		read, before := s.read.Load(), s.turns.Load()
		for _, c := range clients {
			say(c, "!")
		}
		if s.read.Load() != read || s.turns.Load() != before {
			t.Fatal("the loop does not wait")
		}
		s.wake(t)
		eventually(t, "all is read", func() bool { return s.read.Load() == read+int64(len(clients)) })
		if n := s.turns.Load() - before; n > 5 {
			t.Fatalf("%d iterations for the input of %d clients in one batch", n, len(clients))
		}
	}
	s.waits(t)
	c := clients[0]
	say(c, " ")
	s.wake(t)
	expect(t, c, " ")
	// From here on a batch would never end, so there must be none.
	for range 100 {
		say(c, " ")
		expect(t, c, " ")
		read := s.read.Load()
		say(c, "!")
		eventually(t, "a keep-alive is read while somebody speaks", func() bool { return s.read.Load() > read })
	}
}

// TestBatchingGoesOn: a batching loop processes fewer events per second, since each batch
// counts as one. It continues batching nevertheless.
func TestBatchingGoesOn(t *testing.T) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ep)
	for _, batch := range []time.Duration{0, time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond, 300 * time.Millisecond, time.Second} {
		n, err := newIdleWaiter(ep, batch)
		if err != nil {
			t.Fatal(err)
		}
		if n.minWakeups < 1 || n.minWakeups > minWakeups || time.Duration(n.minWakeups)*batch > time.Second {
			t.Errorf("batches of %v process %d events per second", batch, n.minWakeups)
		}
		n.close()
	}
}

// TestIdleWait: a loop gets its events whether it waits through Go's poller, was just
// busy, or is being stopped.
func TestIdleWait(t *testing.T) {
	s := serve(t, Config{Loops: 1}, nil, nil)
	c := dial(t, s.addr)
	for range 2 {
		for range 3 * maxWaits / 2 { // busy, and idle again in the next second
			_, _ = c.Write([]byte("x"))
			expect(t, c, "x")
		}
		s.later(time.Second)
		_, _ = c.Write([]byte("y"))
		expect(t, c, "y")
	}
}

// TestIdleWaitAllocates nothing.
func TestIdleWaitAllocates(t *testing.T) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ep)
	event, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err == nil {
		err = unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, event, &unix.EpollEvent{Events: unix.EPOLLIN})
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(event)
	n, err := newIdleWaiter(ep, time.Microsecond)
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	one, buf := []byte{1, 0, 0, 0, 0, 0, 0, 0}, make([]byte, 8)
	second := uint32(0)
	if got := testing.AllocsPerRun(200, func() {
		second++
		n.waitsBefore, n.waits = 0, minWakeups
		go func() { _, _ = unix.Write(event, one) }()
		n.wait(second, second%2 == 0)
		eventually(t, "the event", func() bool { return epoll.Readable(ep) })
		_, _ = unix.Read(event, buf)
	}); got > 1 { // the goroutine's
		t.Errorf("%v allocations for a wait", got)
	}
}
