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

// nap is how a loop that has little to do waits for its next event.
//
// A goroutine that blocks in epoll_wait is in a system call, and keeps a
// processor of Go's scheduler until the scheduler's monitor thread takes it
// away. As long as such calls come and go that thread looks every 20 us: with 250
// events a second it costs ten times what the events do. A loop that waits
// through Go's own poller is parked like any other goroutine, and the monitor
// sleeps.
//
// So Go's poller watches a descriptor, the gate, which watches the poll's. The
// gate can be shut: a busy loop is not to wake Go's poller with each of its
// events, and one that rests not with every keep-alive.
type nap struct {
	poll  int // epoll descriptors
	gate  int
	timer int             // timerfd, watched by the gate: a timer of Go's would wake the monitor too
	span  unix.ItimerSpec // Config.Rest; 0: no rests
	least int             // waits in a second that make rests worth while

	file  *os.File // the gate's owner
	raw   syscall.RawConn
	event func(uintptr) bool // happened
	rest  func(uintptr) bool // rested
	asked bool               // one of these was called before
	open  bool               // the gate

	second   uint32 // how often there was something to do in this second and in the one before
	now, was int
}

const (
	// maxNaps is how often a loop naps in a second. One that would do so more
	// often is busy and waits in epoll_wait, because the detour costs more than it
	// saves where there is always more soon.
	maxNaps = 4000

	// minRests is how often a second there must be something to do for a rest to
	// be worth while; a loop that rests has something to do no more than once
	// for each rest, and goes on as long as that is so every second time.
	minRests = 20
)

func newNap(poll int, rest time.Duration) (n *nap, err error) {
	n = &nap{poll: poll, timer: -1, span: unix.ItimerSpec{Value: unix.NsecToTimespec(int64(rest))}, least: minRests}
	if rest > 0 {
		n.least = max(1, min(minRests, int(time.Second/rest)/2))
	}
	n.event, n.rest = n.happened, n.rested
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
func (n *nap) close() {
	if n.file != nil {
		_ = n.file.Close()
	}
	if n.timer >= 0 {
		_ = unix.Close(n.timer)
	}
}

// wait returns when there is an event, or at once if the loop is too busy to nap.
// quiet says that nobody has said anything for a while: then the loop does not
// look for the time of a rest, so that keep-alives are read together. Whoever
// breaks the silence waits for its end.
func (n *nap) wait(second uint32, quiet bool) {
	if n.second != second {
		n.second, n.was, n.now = second, n.now, 0
	}
	n.now++
	if n.now > maxNaps {
		n.shut()
		return
	}
	if quiet && n.was >= n.least && n.span.Value != (unix.Timespec{}) {
		n.shut()
		n.park(n.rest)
	}
	n.park(n.event)
}

// park has check called before Go parks the goroutine, where it says whether
// there is nothing to wait for, and again when something has woken it.
func (n *nap) park(check func(uintptr) bool) {
	n.asked = false
	_ = n.raw.Read(check)
}

// happened waits for an event of the poll.
func (n *nap) happened(uintptr) bool {
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

// rested waits for the timer.
func (n *nap) rested(uintptr) bool {
	if n.asked {
		return true
	}
	n.asked = true
	return !epoll.SetTimer(n.timer, &n.span)
}

// shut lets no event through the gate.
func (n *nap) shut() {
	if n.open {
		n.open = false
		epoll.Modify(n.gate, n.poll, 0)
	}
}
