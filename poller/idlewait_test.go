//go:build linux

package poller

import (
	"net"
	"sync"
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

// TestPostEndsBatch: a task does not wait for the end of a batch, and neither do the
// keep-alives that have arrived until then.
func TestPostEndsBatch(t *testing.T) {
	s := serveBatching(t)
	clients := make([]net.Conn, 50)
	for i := range clients {
		clients[i] = dial(t, s.addr)
		_, _ = clients[i].Write([]byte("hello"))
		expect(t, clients[i], "hello")
	}
	s.onLoop(func(l *loop) { l.now += 2 }) // the time without other input
	for range 20 {
		s.waits(t)
		for _, c := range clients {
			_, _ = c.Write([]byte("!"))
		}
		s.wake(t) // as many as make a batch worth while
		s.waits(t)
		read := s.read.Load()
		_, _ = clients[0].Write([]byte("!"))
		s.onLoop(func(*loop) {})
		eventually(t, "the keep-alive is read", func() bool { return s.read.Load() > read })
	}
}

// TestPostWakes: tasks run whether the loop waits in Go's poller, is about to, waits in
// epoll_wait because it was busy, or has events at the same time; and events are handled
// among tasks.
func TestPostWakes(t *testing.T) {
	s := serve(t, Config{Loops: 1}, nil, nil)
	s.ticker.Stop() // the loop stays busy, and parks again, when this test says so
	c := dial(t, s.addr)
	for _, busy := range []bool{false, true, false} {
		s.onLoop(func(l *loop) {
			l.now++
			if l.waiter.second, l.waiter.waits = l.now, 0; busy {
				l.waiter.waits = maxWaits
			}
		})
		for range 200 {
			s.onLoop(func(*loop) {})
		}
		var ran atomic.Int64
		var wg sync.WaitGroup
		const posters, each = 4, 2000
		for range posters {
			wg.Go(func() {
				for range each {
					s.loops[0].post(nil, func(int) { ran.Add(1) })
				}
			})
		}
		for range 200 {
			_, _ = c.Write([]byte("x"))
			expect(t, c, "x")
		}
		wg.Wait()
		eventually(t, "all tasks ran", func() bool { return ran.Load() == posters*each })
	}
}

// TestWakeIsNoEvent: wake ends a wait, the present one or else the next, but is not taken
// for an event, nor does it hide one.
func TestWakeIsNoEvent(t *testing.T) {
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
	n, err := newIdleWaiter(ep, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	for i := range 100 {
		if i%2 == 0 {
			n.wake()
		} else {
			go n.wake()
		}
		for n.wait(1, false) { // Go's poller may still report the previous event
			if epoll.Readable(ep) {
				t.Fatal("a wake-up is an event")
			}
		}
		go func() { _, _ = unix.Write(event, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }()
		if !n.wait(1, false) {
			t.Fatal("an event is none")
		}
		n.wake()
		if !n.wait(1, false) {
			t.Fatal("a wake-up hides an event")
		}
		_, _ = unix.Read(event, make([]byte, 8))
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
