//go:build linux

package epoll

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Accept accepts a connection of a listener that does not block. The new socket does not
// block either, and programs that are executed do not get it.
func Accept(listener int) (fd int, peer netip.AddrPort, err error) {
	var sa unix.RawSockaddrAny
	size := uint32(unix.SizeofSockaddrAny)
	n, _, e := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(listener), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)),
		unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if e != 0 {
		return -1, netip.AddrPort{}, e
	}
	return int(n), addrPort(&sa), nil
}

// Peer returns the address of a socket's peer.
func Peer(fd int32) (netip.AddrPort, error) {
	var sa unix.RawSockaddrAny
	size := uint32(unix.SizeofSockaddrAny)
	_, _, e := unix.RawSyscall(unix.SYS_GETPEERNAME, uintptr(fd), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)))
	if e != 0 {
		return netip.AddrPort{}, e
	}
	return addrPort(&sa), nil
}

// addrPort converts a socket address. The result is the zero value unless it is one of IP.
func addrPort(sa *unix.RawSockaddrAny) netip.AddrPort {
	switch sa.Addr.Family {
	case unix.AF_INET:
		a := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), hostOrder(&a.Port))
	case unix.AF_INET6:
		a := (*unix.RawSockaddrInet6)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), hostOrder(&a.Port))
	}
	return netip.AddrPort{}
}

// hostOrder returns a port, which the kernel has in network byte order.
func hostOrder(port *uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(port))
	return uint16(b[0])<<8 | uint16(b[1])
}

// Peek reads without removing what it has read. n is -1 with an error.
func Peek(fd int, p []byte) (n int, err error) {
	r, _, e := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_PEEK, 0, 0)
	if e != 0 {
		return -1, e
	}
	return int(r), nil
}

// SetOption sets an option of a socket.
func SetOption(fd, level, option, value int) error {
	v := int32(value)
	return setOption(fd, level, option, unsafe.Pointer(&v), unsafe.Sizeof(v))
}

// ResetOnClose makes Close reset the connection and discard what was not sent.
func ResetOnClose(fd int) error {
	linger := unix.Linger{Onoff: 1}
	return setOption(fd, unix.SOL_SOCKET, unix.SO_LINGER, unsafe.Pointer(&linger), unsafe.Sizeof(linger))
}

func setOption(fd, level, option int, value unsafe.Pointer, size uintptr) error {
	_, _, e := unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option), uintptr(value), size, 0)
	return failure(e)
}

// CloseWrite ends the sending side of a connection.
func CloseWrite(fd int32) error {
	_, _, e := unix.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), unix.SHUT_WR, 0)
	return failure(e)
}

// Close closes a socket. It does not wait for the peer.
func Close(fd int) error {
	_, _, e := unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
	return failure(e)
}

func failure(e unix.Errno) error {
	if e != 0 {
		return e
	}
	return nil
}
