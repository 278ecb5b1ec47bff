// Package relay does the minimum of what a message server does: it copies bytes between
// pairs of sockets. It costs little more than the kernel's part, and is the lower limit
// with which a server can be compared.
package relay

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// Relay copies bytes between pairs of connections: the first and the second connection
// that it accepts are a pair, then the third and the fourth, and so on. When one
// connection of a pair ends, the other is closed.
type Relay struct {
	listener int
	wake     int // an eventfd that ends the loops
	loops    []*loop
	done     sync.WaitGroup
}

// end is one socket of a pair. Owned by its loop.
type end struct {
	fd      int
	other   *end
	pending []byte // read from fd, not yet accepted by other's socket
	closed  bool
}

// loop is one thread.
type loop struct {
	epoll int
	buf   []byte
	mu    sync.Mutex
	ends  map[int32]*end // written by the accepting goroutine, read by the loop
}

const (
	readable = unix.EPOLLIN | unix.EPOLLRDHUP
	batch    = 256
)

// Listen starts a relay on a loopback address, 127.0.0.1:PORT; port 0 is any.
func Listen(address string, loops int) (*Relay, error) {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || !ap.Addr().Is4() {
		return nil, fmt.Errorf("relay: %q is not an IPv4 address with a port", address)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	r := &Relay{listener: fd, wake: -1}
	if err := r.start(ap, loops); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("relay: %w", err)
	}
	return r, nil
}

func (r *Relay) start(ap netip.AddrPort, loops int) (err error) {
	if err := unix.SetsockoptInt(r.listener, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if err := unix.Bind(r.listener, &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}); err != nil {
		return err
	}
	if err := unix.Listen(r.listener, 4096); err != nil {
		return err
	}
	if r.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return err
	}
	for range max(loops, 1) {
		l := &loop{buf: make([]byte, 64<<10), ends: map[int32]*end{}}
		if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
			return err
		}
		if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, r.wake, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(r.wake)}); err != nil {
			return err
		}
		r.loops = append(r.loops, l)
	}
	r.done.Add(1 + len(r.loops))
	for _, l := range r.loops {
		go func() { defer r.done.Done(); l.run(int32(r.wake)) }()
	}
	go func() { defer r.done.Done(); r.accept() }()
	return nil
}

// Addr returns the address that it listens on.
func (r *Relay) Addr() string {
	sa, err := unix.Getsockname(r.listener)
	in, ok := sa.(*unix.SockaddrInet4)
	if err != nil || !ok {
		return ""
	}
	return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), uint16(in.Port)).String()
}

// Close ends all pairs and the relay.
func (r *Relay) Close() error {
	err := unix.Shutdown(r.listener, unix.SHUT_RDWR)
	_, werr := unix.Write(r.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	r.done.Wait()
	for _, l := range r.loops {
		_ = unix.Close(l.epoll)
	}
	return errors.Join(err, werr, unix.Close(r.wake), unix.Close(r.listener))
}

// accept pairs connections and distributes the pairs among the loops. A socket is watched
// only once it has a partner; until then the kernel buffers its input.
func (r *Relay) accept() {
	var first *end
	for next := 0; ; {
		fd, _, err := unix.Accept4(r.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ECONNABORTED) {
			continue
		}
		if err != nil {
			if first != nil {
				_ = unix.Close(first.fd)
			}
			return
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		e := &end{fd: fd}
		if first == nil {
			first = e
			continue
		}
		e.other, first.other = first, e
		r.loops[next%len(r.loops)].add(first, e)
		first = nil
		next++
	}
}

func (l *loop) add(pair ...*end) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range pair {
		l.ends[int32(e.fd)] = e
	}
	for _, e := range pair {
		l.watch(unix.EPOLL_CTL_ADD, e, readable)
	}
}

func (l *loop) watch(op int, e *end, events uint32) {
	if err := unix.EpollCtl(l.epoll, op, e.fd, &unix.EpollEvent{Events: events, Fd: int32(e.fd)}); err != nil {
		_ = unix.Shutdown(e.fd, unix.SHUT_RDWR)
	}
}

// run is the loop.
func (l *loop) run(wake int32) {
	runtime.LockOSThread()
	events := make([]unix.EpollEvent, batch)
	for {
		n, err := unix.EpollWait(l.epoll, events, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
		for _, ev := range events[:max(n, 0)] {
			if ev.Fd == wake {
				l.close()
				return
			}
			l.mu.Lock()
			e := l.ends[ev.Fd]
			l.mu.Unlock()
			switch {
			case e == nil || e.closed:
			case ev.Events&unix.EPOLLOUT != 0:
				l.drain(e)
			default:
				l.move(e)
			}
		}
	}
}

// move reads from e and writes to the other socket.
func (l *loop) move(e *end) {
	n, err := read(e.fd, l.buf)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return
	case err != nil || n == 0:
		l.end(e)
		return
	}
	sent, err := write(e.other.fd, l.buf[:n])
	if err != nil && !errors.Is(err, unix.EAGAIN) {
		l.end(e)
		return
	}
	if sent = max(sent, 0); sent < n {
		// The remaining bytes wait, and e is not read until they are written.
		e.pending = append(e.pending, l.buf[sent:n]...)
		l.watch(unix.EPOLL_CTL_MOD, e, l.interest(e))
		l.watch(unix.EPOLL_CTL_MOD, e.other, l.interest(e.other))
	}
}

// interest returns the events for which e's socket is watched.
func (l *loop) interest(e *end) (events uint32) {
	if len(e.pending) == 0 {
		events = readable
	}
	if len(e.other.pending) > 0 {
		events |= unix.EPOLLOUT
	}
	return events
}

// drain writes the waiting bytes to e.
func (l *loop) drain(e *end) {
	from := e.other
	n, err := write(e.fd, from.pending)
	if err != nil && !errors.Is(err, unix.EAGAIN) {
		l.end(e)
		return
	}
	if from.pending = from.pending[max(n, 0):]; len(from.pending) == 0 {
		from.pending = nil
		l.watch(unix.EPOLL_CTL_MOD, e, l.interest(e))
		l.watch(unix.EPOLL_CTL_MOD, from, l.interest(from))
	}
}

// end closes a pair.
func (l *loop) end(e *end) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range []*end{e, e.other} {
		delete(l.ends, int32(e.fd))
		e.closed = true
		_ = unix.Close(e.fd)
	}
}

func (l *loop) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.ends {
		_ = unix.Close(e.fd)
	}
	l.ends = nil
}

// read and write do not notify Go's scheduler, because these sockets do not block.
func read(fd int, p []byte) (int, error)  { return raw(unix.SYS_READ, fd, p) }
func write(fd int, p []byte) (int, error) { return raw(unix.SYS_WRITE, fd, p) }
