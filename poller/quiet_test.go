//go:build linux

package poller

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"roost/poller/epoll"
)

// wantQuiet fails if the first loop spins. It makes the loop run iterations, one after
// another: an idle loop runs no others, and ends each without pending events or
// functions. A loop that spins has pending work, or runs more. Some periodic work, such
// as the tick of each second, is allowed.
func (s *testServer) wantQuiet(t testing.TB, when string) {
	t.Helper()
	if busy, more := s.busyTurns(); busy > quietTurns/4 || more > quietTurns/2 {
		t.Errorf("%s, while nothing happens: of %d turns %d leave something to do, and there are %d others",
			when, quietTurns, busy, more)
	}
}

const quietTurns = 200

// change changes the configuration of a running poller, also what SetConfig does not.
func (p *Poller) change(f func(*Config)) {
	next := *p.config()
	f(&next)
	p.settings.Store(&next)
}

// busyTurns makes the first loop run quietTurns iterations. busy is the number of those
// that ended with pending work, and more the number of additional iterations.
func (s *testServer) busyTurns() (busy, more int) {
	rounds, before := 0, s.config().AfterBatch // on the loop
	for range quietTurns {
		left := make(chan bool, 1)
		s.onLoop(func(l *loop) {
			s.change(func(c *Config) {
				c.AfterBatch = func(index int) {
					before(index)
					if rounds++; len(left) == 0 {
						left <- l.busy()
					}
				}
			})
		})
		if <-left {
			busy++
		}
	}
	s.onLoop(func(*loop) {
		s.change(func(c *Config) { c.AfterBatch = before })
		more = rounds - 2*quietTurns // one with the posted function, one without
	})
	return busy, max(0, more)
}

// busy reports whether the loop has a pending event or function. Loop.
func (l *loop) busy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.tasks) > 0 || epoll.Readable(l.waiter.poll)
}

// TestBusyTurns: a loop that spins, because of an unhandled event or of what it posts to
// itself, is detected.
func TestBusyTurns(t *testing.T) {
	s := serve(t, Config{Loops: 1}, nil, nil)
	s.wantQuiet(t, "at first")
	var again func(int)
	stop := false
	again = func(int) {
		if !stop {
			s.loops[0].post(nil, again)
		}
	}
	s.loops[0].post(nil, again)
	if busy, _ := s.busyTurns(); busy != quietTurns {
		t.Errorf("a loop that posts to itself: %d busy iterations of %d", busy, quietTurns)
	}
	s.onLoop(func(*loop) { stop = true })
	s.wantQuiet(t, "without posts")

	event, err := unix.Eventfd(1, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(event)
	ep := s.loops[0].waiter.poll
	op := new(epoll.Operator)
	defer runtime.KeepAlive(op)
	s.onLoop(func(*loop) { // registered like a socket whose event is never handled
		s.loops[0].poll.Init(op, event)
		op.OnRead = func(epoll.Source) error { return nil }
		err = s.loops[0].poll.WatchRead(op)
	})
	if err != nil {
		t.Fatal(err)
	}
	if busy, _ := s.busyTurns(); busy != quietTurns {
		t.Errorf("a persistent event: %d busy iterations of %d", busy, quietTurns)
	}
	s.onLoop(func(*loop) { _ = unix.EpollCtl(ep, unix.EPOLL_CTL_DEL, event, nil) })
	s.wantQuiet(t, "without the event")
}
