//go:build linux

package epoll

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// These system calls never block. They are made without notifying Go's scheduler, because
// that would only wake its monitor thread.

// Read reads from a descriptor that does not block. n is -1 with an error.
func Read(fd int32, p []byte) (n int, err error) { return call(unix.SYS_READ, fd, p) }

// Write writes to a descriptor that does not block. n is -1 with an error.
func Write(fd int32, p []byte) (n int, err error) { return call(unix.SYS_WRITE, fd, p) }

func call(trap uintptr, fd int32, p []byte) (int, error) {
	n, _, e := unix.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if e != 0 {
		return -1, e
	}
	return int(n), nil
}

// Readable reports whether a descriptor, such as an epoll instance with an event, can
// be read, or has an error.
func Readable(fd int) bool { return hasEvent(fd, unix.POLLIN) }

// HungUp reports whether the peer of a socket has closed or reset the connection.
func HungUp(fd int32) bool { return hasEvent(int(fd), unix.POLLRDHUP) }

// hasEvent reports whether a descriptor has one of these events, or an error.
func hasEvent(fd int, events int16) bool {
	p := unix.PollFd{Fd: int32(fd), Events: events}
	var none unix.Timespec
	n, _, e := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&none)), 0, 0, 0)
	return e == 0 && n > 0
}

// SetTimer arms a timerfd. It reports whether that worked.
func SetTimer(fd int, after *unix.ItimerSpec) bool {
	_, _, e := unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, uintptr(fd), 0, uintptr(unsafe.Pointer(after)), 0, 0, 0)
	return e == 0
}

// Modify changes the events for which an epoll instance watches a descriptor.
func Modify(instance, fd int, events uint32) {
	ev := unix.EpollEvent{Events: events}
	_, _, _ = unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(instance), unix.EPOLL_CTL_MOD, uintptr(fd), uintptr(unsafe.Pointer(&ev)), 0, 0)
}
