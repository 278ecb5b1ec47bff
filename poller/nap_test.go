//go:build linux

package poller

import (
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestKeepAlive(t *testing.T) {
	f := func(p string, want bool) {
		t.Helper()
		if got := keepAlive([]byte(p)); got != want {
			t.Errorf("%q: %v", p, got)
		}
	}
	f(" ", true)
	f("\r\n", true)
	f("\t ", true)
	f(strings.Repeat(" ", 64), true)
	f(strings.Repeat(" ", 65), false) // more than anybody needs to say that they are there
	f("\n<", false)
	f("\x00", false)
}

// quietly sends n keep-alives, one after the other, and waits until all are read.
func quietly(t *testing.T, c io.Writer, read *atomic.Int64, n int64) {
	t.Helper()
	want := read.Load() + n
	for range n {
		if _, err := c.Write([]byte(" ")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	eventually(t, "all is read", func() bool { return read.Load() >= want })
}

// TestRest: while nobody says more than white space the loop reads it together,
// and when somebody does it looks at once.
func TestRest(t *testing.T) {
	var turns, read atomic.Int64
	s := serve(t, Config{Loops: 1, Rest: 20 * time.Millisecond, TurnEnd: func(int) { turns.Add(1) }}, nil,
		func(e *echo, p []byte) int {
			read.Add(int64(len(p)))
			if !keepAlive(p) {
				_ = e.c.Queue(p)
				e.c.Flush()
			}
			return len(p)
		})
	c := dial(t, s.addr)
	quietly(t, c, &read, 3000) // the loop learns that it is quiet
	before := turns.Load()
	quietly(t, c, &read, 1000)
	if n := turns.Load() - before; n > 500 {
		t.Errorf("%d turns for 1,000 keep-alives", n)
	}
	for range 100 {
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		expect(t, c, "hello")
	}
	before = turns.Load()
	quietly(t, c, &read, 100)
	if n := turns.Load() - before; n < 20 {
		t.Errorf("%d turns for 100 keep-alives while somebody speaks: the loop rests", n)
	}
}

// TestRestGoesOn: a loop that rests has less to do in a second, each rest being one
// thing, and does not take that for a reason to rest no more.
func TestRestGoesOn(t *testing.T) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ep)
	for _, rest := range []time.Duration{0, time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond, 300 * time.Millisecond, time.Second} {
		n, err := newNap(ep, rest)
		if err != nil {
			t.Fatal(err)
		}
		if n.least < 1 || n.least > minRests || time.Duration(n.least)*rest > time.Second {
			t.Errorf("rests of %v take %d events a second", rest, n.least)
		}
		n.close()
	}
}

// TestNap: a loop finds its events whether it naps, has just been busy, or is
// told to stop.
func TestNap(t *testing.T) {
	s := serve(t, Config{Loops: 1}, nil, nil)
	c := dial(t, s.addr)
	for range 3 * maxNaps { // busy, and again in the next second
		_, _ = c.Write([]byte("x"))
		expect(t, c, "x")
	}
	time.Sleep(1100 * time.Millisecond)
	_, _ = c.Write([]byte("y"))
	expect(t, c, "y")
}

// TestNapAllocates nothing.
func TestNapAllocates(t *testing.T) {
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
	n, err := newNap(ep, time.Microsecond)
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	one, buf := []byte{1, 0, 0, 0, 0, 0, 0, 0}, make([]byte, 8)
	second := uint32(0)
	if got := testing.AllocsPerRun(200, func() {
		second++
		n.was, n.now = 0, minRests
		go func() { _, _ = unix.Write(event, one) }()
		n.wait(second, second%2 == 0)
		eventually(t, "the event", func() bool { return readable(ep) })
		_, _ = unix.Read(event, buf)
	}); got > 1 { // the goroutine's
		t.Errorf("%v allocations for a nap", got)
	}
}
