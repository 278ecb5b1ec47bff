//go:build linux

package poller

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"roost/poller/epoll"
)

// idleWaiter makes a loop with little to do wait for its next event through Go's own
// poller.
//
// A goroutine that blocks in epoll_wait is in a system call and keeps a processor (P) of
// Go's scheduler until the scheduler's monitor thread takes it away. While such calls
// keep happening, that thread wakes every 20 us: at 250 events a second it costs ten
// times as much as the events do. A loop that waits through Go's own poller is parked
// like any other goroutine, and the monitor thread sleeps.
//
// So Go's poller watches an epoll descriptor, the gate, which in turn watches the poll's
// descriptor. The gate can be closed, because Go's poller must not be woken by each event
// of a busy loop, nor by each keep-alive of a loop that waits for the end of a batch.
type idleWaiter struct {
	poll       int // epoll descriptors
	gate       int
	timer      int             // timerfd, watched by the gate: a Go timer would wake the monitor thread too
	batch      unix.ItimerSpec // Config.KeepaliveBatch; 0: keep-alives are not batched
	minWakeups int             // wake-ups per second from which batching is worth while

	file      *os.File // owns the gate's descriptor
	raw       syscall.RawConn
	eventFunc func(uintptr) bool // waitEvent
	timerFunc func(uintptr) bool // waitTimer
	asked     bool               // eventFunc or timerFunc has been called since park
	open      bool               // the gate is open

	second             uint32 // the second that waits belongs to
	waits, waitsBefore int    // number of waits in that second and in the one before
}

const (
	// maxWaits limits how many times per second a loop waits through Go's poller. A
	// busier loop waits in epoll_wait, because the detour costs more than it saves if the
	// next event is always near.
	maxWaits = 4000

	// minWakeups is the number of wake-ups per second from which batching is worth while.
	// A loop that batches wakes at most once per batch, and keeps batching as long as at
	// least every other batch has had something to do.
	minWakeups = 20
)

func newIdleWaiter(poll int, batch time.Duration) (n *idleWaiter, err error) {
	n = &idleWaiter{poll: poll, timer: -1}
	n.setBatch(batch)
	n.eventFunc, n.timerFunc = n.waitEvent, n.waitTimer
	if n.gate, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err == nil {
		err = unix.SetNonblock(n.gate, true) // otherwise Go does not poll it
		n.file = os.NewFile(uintptr(n.gate), "gate")
	}
	if err == nil {
		n.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	}
	if err == nil {
		err = unix.EpollCtl(n.gate, unix.EPOLL_CTL_ADD, poll, &unix.EpollEvent{})
	}
	if err == nil {
		err = unix.EpollCtl(n.gate, unix.EPOLL_CTL_ADD, n.timer, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET})
	}
	if err == nil {
		n.raw, err = n.file.SyscallConn()
	}
	if err != nil {
		n.close()
		return nil, fmt.Errorf("poller: %w", err)
	}
	return n, nil
}

// setBatch sets the interval at which keep-alives are read; 0: at once. Loop.
func (n *idleWaiter) setBatch(batch time.Duration) {
	n.batch, n.minWakeups = unix.ItimerSpec{Value: unix.NsecToTimespec(int64(batch))}, minWakeups
	if batch > 0 {
		n.minWakeups = max(1, min(minWakeups, int(time.Second/batch)/2))
	}
}

// close closes the descriptors.
func (n *idleWaiter) close() {
	if n.file != nil {
		_ = n.file.Close()
	}
	if n.timer >= 0 {
		_ = unix.Close(n.timer)
	}
}

// wait returns when there is an event, or at once if the loop is too busy to wait. quiet
// reports that only keep-alives have arrived for a while: then the loop first waits for
// one batch interval, so that keep-alives are read together. Other input that arrives
// meanwhile is delayed by as much.
func (n *idleWaiter) wait(second uint32, quiet bool) {
	if n.second != second {
		n.second, n.waitsBefore, n.waits = second, n.waits, 0
	}
	n.waits++
	if n.waits > maxWaits {
		n.closeGate()
		return
	}
	if quiet && n.waitsBefore >= n.minWakeups && n.batch.Value != (unix.Timespec{}) {
		n.closeGate()
		n.park(n.timerFunc)
	}
	n.park(n.eventFunc)
}

// park calls check before Go parks the goroutine, to see whether there is anything to
// wait for, and again after the goroutine was woken.
func (n *idleWaiter) park(check func(uintptr) bool) {
	n.asked = false
	_ = n.raw.Read(check)
}

// waitEvent blocks until the poll has an event.
func (n *idleWaiter) waitEvent(uintptr) bool {
	if n.asked || epoll.Readable(n.poll) {
		return true
	}
	n.asked = true
	if !n.open {
		n.open = true
		epoll.Modify(n.gate, n.poll, unix.EPOLLIN) // an event that is already pending passes at once
	}
	return false
}

// waitTimer blocks until the timer ends.
func (n *idleWaiter) waitTimer(uintptr) bool {
	if n.asked {
		return true
	}
	n.asked = true
	return !epoll.SetTimer(n.timer, &n.batch)
}

// closeGate stops events from passing the gate.
func (n *idleWaiter) closeGate() {
	if n.open {
		n.open = false
		epoll.Modify(n.gate, n.poll, 0)
	}
}
