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

// idleWaiter is how a loop that has little to do waits for its next event.
//
// A goroutine that blocks in epoll_wait is in a system call, and keeps a
// processor of Go's scheduler until the scheduler's monitor thread takes it
// away. As long as such calls come and go that thread looks every 20 us: with 250
// events a second it costs ten times what the events do. A loop that waits
// through Go's own poller is parked like any other goroutine, and the monitor
// sleeps.
//
// So Go's poller watches an epoll descriptor, the gate, which watches the poll's. The
// gate can be closed: a busy loop must not wake Go's poller with each of its events, nor
// a loop that waits for the end of a batch with each keep-alive.
type idleWaiter struct {
	poll       int // epoll descriptors
	gate       int
	timer      int             // timerfd, watched by the gate: a timer of Go's would wake the monitor too
	batch      unix.ItimerSpec // Config.KeepaliveBatch; 0: keep-alives are not batched
	minWakeups int             // wake-ups in a second that make batches worth while

	file      *os.File // the gate's owner
	raw       syscall.RawConn
	eventFunc func(uintptr) bool // waitEvent
	timerFunc func(uintptr) bool // waitTimer
	asked     bool               // one of these was called before
	open      bool               // the gate

	second             uint32 // the second that waits counts
	waits, waitsBefore int    // how often there was something to do in it, and in the one before
}

const (
	// maxWaits is how often a second a loop waits through Go's poller. One that would do
	// so more often is busy and waits in epoll_wait, because the detour costs more than it
	// saves where the next event is always near.
	maxWaits = 4000

	// minWakeups is how often a second there must be something to do for a batch to be
	// worth while. A loop that batches has something to do once for each batch at most,
	// and goes on as long as that is so every second time.
	minWakeups = 20
)

func newIdleWaiter(poll int, batch time.Duration) (n *idleWaiter, err error) {
	n = &idleWaiter{poll: poll, timer: -1, batch: unix.ItimerSpec{Value: unix.NsecToTimespec(int64(batch))}, minWakeups: minWakeups}
	if batch > 0 {
		n.minWakeups = max(1, min(minWakeups, int(time.Second/batch)/2))
	}
	n.eventFunc, n.timerFunc = n.waitEvent, n.waitTimer
	if n.gate, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err == nil {
		err = unix.SetNonblock(n.gate, true) // else Go does not poll it
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

// close gives the descriptors back.
func (n *idleWaiter) close() {
	if n.file != nil {
		_ = n.file.Close()
	}
	if n.timer >= 0 {
		_ = unix.Close(n.timer)
	}
}

// wait returns when there is an event, or at once if the loop is too busy to wait.
// quiet reports that nothing but keep-alives has come for a while: then the loop first
// waits for the length of a batch, so that keep-alives are read together. What else comes
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

// park has check called before Go parks the goroutine, where it says whether
// there is nothing to wait for, and again when something has woken it.
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
		epoll.Modify(n.gate, n.poll, unix.EPOLLIN) // what has come meanwhile comes through at once
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

// closeGate lets no event through the gate.
func (n *idleWaiter) closeGate() {
	if n.open {
		n.open = false
		epoll.Modify(n.gate, n.poll, 0)
	}
}
