//go:build linux

package epoll

import (
	"os"
	"reflect"
	"runtime"
	"testing"
	"time"
	"weak"

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
	op := new(Operator)
	poll.Init(op, pipe[0])
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
	_ = poll.Close()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	poll.Free(op)
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

// TestFree: the events of an operator that was freed earlier in the same batch are ignored, and
// nothing keeps its memory after the next batch.
func TestFree(t *testing.T) {
	const n = 2
	var ops [n]*Operator
	var pipes [n][2]int
	batches := make(chan struct{}, 100)
	poll, err := Open(func() {}, func(bool) { batches <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	var called []int
	for i := range ops {
		if err := unix.Pipe2(pipes[i][:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		defer unix.Close(pipes[i][0])
		defer unix.Close(pipes[i][1])
		if _, err := Write(int32(pipes[i][1]), []byte("x")); err != nil {
			t.Fatal(err)
		}
		ops[i] = new(Operator)
		poll.Init(ops[i], pipes[i][0])
		ops[i].OnRead = func(Source) error {
			called = append(called, i)
			_, err := Read(int32(pipes[i][0]), make([]byte, 10))
			other := ops[1-i]
			ops[1-i] = nil
			_ = poll.Unwatch(other)
			poll.Free(other)
			func() {
				defer func() {
					if recover() == nil {
						t.Error("an operator can be freed within its own function")
					}
				}()
				poll.Free(ops[i])
			}()
			return err
		}
		if err := poll.WatchRead(ops[i]); err != nil {
			t.Fatal(err)
		}
	}
	memory := [n]weak.Pointer[Operator]{weak.Make(ops[0]), weak.Make(ops[1])}
	ended := make(chan error)
	go func() { ended <- poll.Wait() }()
	<-batches
	if len(called) != 1 {
		t.Fatalf("called: %v, want one of two operators that free each other", called)
	}
	freed := memory[1-called[0]]
	_ = poll.Wake()
	<-batches
	for end := time.Now().Add(waitLimit); freed.Value() != nil; {
		runtime.GC()
		if time.Now().After(end) {
			t.Fatal("the operator that was freed is still in memory")
		}
	}
	_ = poll.Close()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// TestWake: each call makes Wait handle a batch, without an allocation, and Close leaves no open
// descriptor.
func TestWake(t *testing.T) {
	before := openFiles(t)
	batches := make(chan struct{})
	poll, err := Open(func() {}, func(closed bool) {
		if !closed {
			batches <- struct{}{}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- poll.Wait() }()
	if n := testing.AllocsPerRun(100, func() {
		if err := poll.Wake(); err != nil {
			t.Error(err)
		}
		select {
		case <-batches:
		case <-time.After(waitLimit):
			t.Error("Wake does not end the wait")
		}
	}); n > 3 { // those of time.After
		t.Errorf("%v allocations", n)
	}
	_ = poll.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d files are open, %d were before", after, before)
	}
}

// openFiles returns how many descriptors this process has.
func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}
