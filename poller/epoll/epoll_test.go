//go:build linux

package epoll

import (
	"reflect"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// waitLimit is the time after which waiting for an event fails the test.
const waitLimit = 2 * time.Minute

// TestNetpollInternals fails if an update of netpoll changes an internal that netpoll.go
// depends on.
func TestNetpollInternals(t *testing.T) {
	batches := make(chan struct{}, 10)
	poll, err := Open(func() {}, func(bool) { batches <- struct{}{} })
	if err != nil {
		t.Fatalf("netpoll has changed; see netpoll.go: %v", err)
	}
	ended := make(chan error)
	go func() { ended <- poll.Wait() }()
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	read := make(chan string, 1)
	op := poll.NewOperator(pipe[0])
	op.OnRead = func(Source) error {
		buf := make([]byte, 10)
		n, err := Read(int32(op.FD), buf)
		read <- string(buf[:max(n, 0)])
		return err
	}
	if err := poll.WatchRead(op); err != nil {
		t.Fatal(err)
	}
	if n, err := Write(int32(pipe[1]), []byte("event")); n != 5 || err != nil {
		t.Fatal(n, err)
	}
	select {
	case got := <-read:
		if got != "event" {
			t.Errorf("read %q", got)
		}
	case <-time.After(waitLimit):
		t.Fatal("no event")
	}
	select {
	case <-batches:
	case <-time.After(waitLimit):
		t.Fatal("end is not called after a batch of events: see open in netpoll.go")
	}
	if err := poll.Unwatch(op); err != nil {
		t.Fatal(err)
	}
	poll.Free(op)
	_ = poll.Close()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// TestSameEvent: a function with a different event type is detected before it is called
// with events of the wrong size.
func TestSameEvent(t *testing.T) {
	type other struct {
		_ uint32
		_ [16]byte
	}
	for _, c := range []struct {
		f    any
		want bool
	}{
		{func([]epollEvent) bool { return false }, true},
		{func([]other) bool { return false }, false},
		{func([]epollEvent) {}, false},
		{func(epollEvent) bool { return false }, false},
		{func([]epollEvent, int) bool { return false }, false},
		{0, false},
	} {
		if got := sameEvent(reflect.TypeOf(c.f)); got != c.want {
			t.Errorf("%T: %v", c.f, got)
		}
	}
}
