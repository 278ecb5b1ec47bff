//go:build linux

package poller

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// System calls that never block, made without telling Go's scheduler: it would
// only wake its monitor thread.

// read and write are those of a socket that does not block. n is -1 with an
// error.
func read(fd int32, p []byte) (n int, err error) { return call(unix.SYS_READ, fd, p) }

func write(fd int32, p []byte) (n int, err error) { return call(unix.SYS_WRITE, fd, p) }

func call(trap uintptr, fd int32, p []byte) (int, error) {
	n, _, e := unix.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if e != 0 {
		return -1, e
	}
	return int(n), nil
}

// readable reports whether a poll has an event.
func readable(poll int) bool { return hasEvent(poll, unix.POLLIN) }

// hungUp reports whether the other side of a socket has closed, or reset it.
func hungUp(fd int32) bool { return hasEvent(int(fd), unix.POLLRDHUP) }

// hasEvent reports whether a descriptor has one of these events, or an error.
func hasEvent(fd int, events int16) bool {
	p := unix.PollFd{Fd: int32(fd), Events: events}
	var none unix.Timespec
	n, _, e := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&none)), 0, 0, 0)
	return e == 0 && n > 0
}

// setTimer has a timerfd become readable once, after a time.
func setTimer(fd int, after *unix.ItimerSpec) bool {
	_, _, e := unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, uintptr(fd), 0, uintptr(unsafe.Pointer(after)), 0, 0, 0)
	return e == 0
}

// setGate says which events of a poll the gate lets through.
func setGate(gate, poll int, events uint32) {
	ev := unix.EpollEvent{Events: events}
	_, _, _ = unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(gate), unix.EPOLL_CTL_MOD, uintptr(poll), uintptr(unsafe.Pointer(&ev)), 0, 0)
}
