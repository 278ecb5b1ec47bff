// Package rawconn makes small requests over network connections cheaper.
//
// Go's scheduler assumes that a system call may block: it notes its begin and its end, and its monitor
// thread wakes every 20 µs while there are any, to take from a blocked one what others need. Calls on a
// socket in non-blocking mode do not block. But a write to a peer on the same machine runs the kernel's
// receiving half as well, and then takes long enough to be treated as if it did. The connections of this
// package read and write without the scheduler's knowledge. docs/decisions/0082-batched-reads.md has
// what that saves.
package rawconn

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"roost/poller/epoll"
)

// conn is a connection with its own Read and Write.
type conn struct {
	net.Conn
	in, out half
}

// Dialer returns a function that calls dial, and wraps the connection.
func Dialer(dial func(ctx context.Context, network, address string) (net.Conn, error)) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return Wrap(c), nil
	}
}

// Wrap returns a connection that reads from and writes to the socket of c. If c has none, it returns c.
func Wrap(c net.Conn) net.Conn {
	s, ok := c.(syscall.Conn)
	if !ok {
		return c
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return c
	}
	r := &conn{Conn: c, in: half{name: "read", call: epoll.Read, wait: raw.Read}, out: half{name: "write", call: epoll.Write, wait: raw.Write, whole: true}}
	r.in.try, r.out.try = r.in.transfer, r.out.transfer
	return r
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (n int, err error) {
	n, err = c.in.do(p)
	afterRead()
	if n == 0 && err == nil && len(p) > 0 {
		return 0, io.EOF
	}
	return n, c.wrap(err)
}

// maxRaw is the largest write, in bytes, that is made without the scheduler's knowledge. For a larger one,
// the kernel copies for a while, and the scheduler had better know.
const maxRaw = 32 << 10

// Write implements net.Conn.
func (c *conn) Write(p []byte) (n int, err error) {
	beforeWrite()
	if len(p) > maxRaw {
		return c.Conn.Write(p)
	}
	n, err = c.out.do(p)
	return n, c.wrap(err)
}

// wrap describes an error of a system call as package net does. Others, such as that of a deadline that has
// passed, are from package net.
func (c *conn) wrap(err error) error {
	call, ok := err.(*os.SyscallError)
	if !ok {
		return err
	}
	return &net.OpError{Op: call.Syscall, Net: c.LocalAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// half is one direction of a connection.
type half struct {
	name  string
	call  func(fd int32, p []byte) (int, error)
	whole bool                                // a transfer ends when nothing is left of p
	wait  func(f func(fd uintptr) bool) error // calls f, and again when the socket is ready, until it returns true
	try   func(fd uintptr) bool               // transfer, as a value that is allocated once

	mu   sync.Mutex // of the transfer
	p    []byte     // what is left
	n    int        // bytes that were transferred
	fail error
}

// do transfers p, and waits if the socket is not ready.
func (h *half) do(p []byte) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	h.p, h.n, h.fail = p, 0, nil
	err = h.wait(h.try)
	h.p = nil
	if err == nil {
		err = h.fail
	}
	return h.n, err
}

// transfer transfers as much as the socket takes or has. It reports whether the transfer has ended.
func (h *half) transfer(fd uintptr) bool {
	for {
		n, err := h.call(int32(fd), h.p)
		switch err {
		case nil:
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		default:
			h.fail = os.NewSyscallError(h.name, err)
			return true
		}
		h.n += n
		if h.p = h.p[n:]; len(h.p) == 0 || !h.whole {
			return true
		}
	}
}
