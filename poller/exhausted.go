//go:build linux

package poller

import (
	"errors"
	"math"
	"time"

	"golang.org/x/sys/unix"

	"roost/poller/epoll"
)

// This file accepts connections, or does not, when descriptors or memory are lacking.

// maxFile returns the lowest descriptor that connections must not use.
func (p *Poller) maxFile() int {
	if p.config().ReserveFiles <= 0 {
		return math.MaxInt
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > math.MaxInt32 {
		return math.MaxInt
	}
	return int(limit.Cur) - min(p.config().ReserveFiles, int(limit.Cur)/2)
}

// acceptFailed is called when a connection that waits cannot be accepted. Loop.
func (l *Listener) acceptFailed(err error) {
	switch {
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		l.exhausted(err)
	case errors.Is(err, unix.ENOMEM), errors.Is(err, unix.ENOBUFS): // the event would repeat, as without descriptors
		l.logError("there is no memory for new connections", err)
		l.pauseAccept()
	default:
		l.logError("connections cannot be accepted", err)
	}
}

// exhausted is called when no descriptors are left. The event would repeat at once and
// forever, so one connection is accepted with the spare descriptor and closed, which
// tells its peer that the server is full. If even that fails, the listener pauses for a
// second.
func (l *Listener) exhausted(err error) {
	l.logError("no descriptors are left for new connections: raise the limit of open files", err)
	if l.reserve >= 0 {
		_ = unix.Close(l.reserve)
		if fd, _, err := epoll.Accept(l.fd); err == nil {
			l.p.stats.refused[RefusedFiles].Add(1)
			_ = epoll.Close(fd)
		}
		if l.reserve = openReserve(); l.reserve >= 0 {
			return
		}
	}
	l.pauseAccept()
}

// pauseAccept stops accepting for a second. Loop.
func (l *Listener) pauseAccept() {
	_ = l.loop.poll.Unwatch(&l.op)
	l.acceptLater()
}

func (l *Listener) acceptLater() {
	time.AfterFunc(time.Second, func() { l.loop.post(nil, l.resumeAccept) })
}

// resumeAccept resumes accepting after a pause. Loop.
func (l *Listener) resumeAccept(int) {
	if l.closed {
		return
	}
	if l.reserve < 0 {
		l.reserve = openReserve()
	}
	if err := l.loop.poll.WatchRead(&l.op); err != nil { // what was lacking still is
		l.logError("connections cannot be accepted", err)
		l.acceptLater()
	}
}

// openReserve opens a spare descriptor, -1 if there is none.
func openReserve() int {
	fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return fd
}
