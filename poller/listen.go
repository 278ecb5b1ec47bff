//go:build linux

package poller

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"roost/poller/epoll"
)

// maxAccepts limits how many connections are accepted per wake-up, so that a burst of
// them does not delay the loop's existing connections.
const maxAccepts = 128

// Listener is one listening socket. All listeners belong to the first loop.
type Listener struct {
	p    *Poller
	loop *loop
	tls  *tls.Config
	ws   bool // for WebSocket
	addr net.Addr
	fd   int

	// loop
	op           epoll.Operator
	reserve      int    // a spare descriptor, closed when no others are available
	lastErrLog   uint32 // when an error was last logged, in the loop's seconds
	lastLimitLog uint32 // the same for a limit
	lastProxyLog uint32 // the same for an invalid PROXY protocol header
	closed       bool
	refusing     bool                      // see Refuse
	headers      map[*proxyHeader]struct{} // connections from proxies whose headers are not complete
}

// listenNetwork returns the network to pass to net.Listen for addr. Package net listens
// on IPv6 too for "0.0.0.0", but an IPv4 address should mean IPv4 only.
func listenNetwork(addr string) string {
	host, _, _ := net.SplitHostPort(addr)
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is4() {
		return "tcp4"
	}
	return "tcp"
}

// Listen starts accepting connections at addr, a host:port. An IPv4 address listens on
// IPv4 only; "[::]" and an empty host listen on IPv4 and IPv6. If cfg is not nil,
// connections begin with a TLS handshake.
func (p *Poller) Listen(addr string, cfg *tls.Config) (*Listener, error) {
	nl, err := listenTCP(addr)
	if err != nil {
		return nil, err
	}
	return p.listenOn(nl, cfg, false)
}

// ListenWebSocket is Listen for WebSocket connections. Those of proxies (WebSocket.Proxy) do
// not begin with TLS.
func (p *Poller) ListenWebSocket(addr string, cfg *tls.Config) (*Listener, error) {
	nl, err := listenTCP(addr)
	if err != nil {
		return nil, err
	}
	return p.listenOn(nl, cfg, true)
}

func listenTCP(addr string) (*net.TCPListener, error) {
	nl, err := (&net.ListenConfig{}).Listen(context.Background(), listenNetwork(addr), addr)
	if err != nil {
		return nil, fmt.Errorf("poller: %w", err)
	}
	return nl.(*net.TCPListener), nil
}

// ListenOn is like Listen, for a socket that is listening already, such as one from a
// service manager. nl must not be used afterwards.
func (p *Poller) ListenOn(nl *net.TCPListener, cfg *tls.Config) (*Listener, error) {
	return p.listenOn(nl, cfg, false)
}

// ListenWebSocketOn is ListenWebSocket for a socket that is listening already: see ListenOn.
func (p *Poller) ListenWebSocketOn(nl *net.TCPListener, cfg *tls.Config) (*Listener, error) {
	return p.listenOn(nl, cfg, true)
}

func (p *Poller) listenOn(nl *net.TCPListener, cfg *tls.Config, ws bool) (*Listener, error) {
	defer nl.Close()
	fd, err := detachFD(nl)
	if err != nil {
		return nil, err
	}
	p.setOptions(fd) // accepted sockets inherit all but the user timeout
	l := &Listener{p: p, loop: p.loops[0], tls: cfg, ws: ws, addr: nl.Addr(), fd: fd, reserve: openReserve()}
	failed := make(chan error, 1)
	l.loop.post(nil, func(int) {
		l.loop.poll.Init(&l.op, fd)
		l.op.OnRead, l.op.OnHup = l.accept, func(epoll.Source) error { return nil }
		l.loop.listeners = append(l.loop.listeners, l)
		failed <- l.loop.poll.WatchRead(&l.op)
	})
	select {
	case err = <-failed:
	case <-l.loop.done:
		err = ErrClosed
	}
	if err != nil {
		_ = epoll.Close(fd)
		if l.reserve >= 0 {
			_ = unix.Close(l.reserve)
		}
		return nil, fmt.Errorf("poller: %w", err)
	}
	p.mu.Lock()
	p.listeners = append(p.listeners, l)
	p.mu.Unlock()
	return l, nil
}

// filer is implemented by the sockets of package net.
type filer interface {
	File() (*os.File, error)
}

// detachFD returns a non-blocking duplicate of the descriptor of a socket of package net;
// the caller closes both.
func detachFD(s filer) (int, error) {
	f, err := s.File()
	if err != nil {
		return -1, fmt.Errorf("poller: %w", err)
	}
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		return -1, fmt.Errorf("poller: %w", err)
	}
	return fd, nil
}

// Addr returns the address that the listener is bound to.
func (l *Listener) Addr() net.Addr { return l.addr }

// Close stops listening. Accepted connections stay open, except those from proxies whose
// PROXY protocol headers are not complete.
func (l *Listener) Close() error {
	l.p.mu.Lock()
	l.p.listeners = slices.DeleteFunc(l.p.listeners, func(open *Listener) bool { return open == l })
	l.p.mu.Unlock()
	done := make(chan error, 1)
	l.loop.post(nil, func(int) {
		if l.closed {
			done <- nil
			return
		}
		l.closed = true
		l.loop.listeners = slices.DeleteFunc(l.loop.listeners, func(open *Listener) bool { return open == l })
		for h := range l.headers {
			h.end(nil)
		}
		_ = l.loop.poll.Unwatch(&l.op)
		err := unix.Close(l.fd)
		if l.reserve >= 0 {
			_ = unix.Close(l.reserve)
		}
		l.loop.poll.Free(&l.op)
		done <- err
	})
	select {
	case err := <-done:
		return err
	case <-l.loop.done:
		return nil
	}
}

// accept accepts pending connections, at most maxAccepts. Loop.
func (l *Listener) accept(epoll.Source) error {
	limit := l.p.maxFile()
	for range maxAccepts {
		fd, peer, err := epoll.Accept(l.fd)
		switch {
		case err == nil && fd >= limit:
			// The kernel assigns the lowest free descriptor, so all below are in use.
			// Closing the connection tells the peer at once that the server is full.
			l.p.stats.refused[RefusedFiles].Add(1)
			_ = epoll.Close(fd)
			l.logError("no more connections are accepted, the remaining descriptors are reserved: raise the limit of open files", unix.EMFILE)
		case err == nil && l.refusing:
			l.reset(fd)
		case err == nil:
			l.accepted(fd, peer)
		case err == unix.EAGAIN:
			return nil
		case err == unix.EINTR, err == unix.ECONNABORTED:
		default:
			l.acceptFailed(err)
			return nil
		}
	}
	return nil
}

// logError logs an error at most once a minute.
func (l *Listener) logError(msg string, err error) {
	if l.oncePerMinute(&l.lastErrLog) {
		l.p.config().Logger.Error(msg, "listener", l.addr.String(), "err", err)
	}
}

// oncePerMinute reports whether *last is more than a minute ago, and if so sets it to
// now. Loop.
func (l *Listener) oncePerMinute(last *uint32) bool {
	now := l.loop.now
	if *last != 0 && now-*last < 60 {
		return false
	}
	*last = now
	return true
}

// admit counts a peer's connection against the limits and reports whether it may be
// accepted. Loop.
func (l *Listener) admit(peer netip.Addr) (place peerIndex, ok bool) {
	from, limited := networkOf(peer)
	if !limited {
		return 0, true
	}
	why := RefusedAttempts
	if l.p.attempts.allow(from, l.loop.now) {
		if place, ok = l.p.addrs.acquire(from); ok {
			return place, true
		}
		why = RefusedConnections
	}
	l.p.stats.refused[why].Add(1)
	if l.oncePerMinute(&l.lastLimitLog) {
		l.p.config().Logger.Warn("a network has reached its limit, its connections are refused", "listener", l.addr.String(), "network", from.String(), "limit", why.String())
	}
	return 0, false
}

// accepted is called for each accepted socket. Loop.
func (l *Listener) accepted(fd int, peer netip.AddrPort) {
	if l.p.isProxy(peer.Addr()) {
		l.awaitHeader(fd, peer)
		return
	}
	from := direct
	if l.terminatesTLS(peer.Addr()) {
		from = fromProxy // until its request names the client
	}
	l.newConn(fd, peer, peer.Addr(), from)
}

// terminatesTLS reports whether an address is that of a proxy whose connections to this
// listener do not begin with TLS.
func (l *Listener) terminatesTLS(addr netip.Addr) bool {
	ws := l.p.config().WebSocket
	return l.ws && ws.Proxy != nil && ws.Proxy(addr)
}

// origin is where a connection came from, and whose address its peer's is.
type origin uint8

const (
	direct    origin = iota // from the peer itself
	forwarded               // from a proxy, for the peer that it has named
	fromProxy               // from a proxy that has named no client: the peer is the proxy
)

// newConn creates a connection for an accepted socket, which is that of via: the peer, or a
// proxy. Loop.
func (l *Listener) newConn(fd int, peer netip.AddrPort, via netip.Addr, from origin) {
	place, ok := peerIndex(0), true
	if from != fromProxy { // the operator trusts proxies: they have no limit
		if f := l.p.config().Blocked; f != nil && f(peer.Addr()) {
			l.p.stats.refused[RefusedBlocked].Add(1)
			_ = epoll.Close(fd)
			return
		}
		place, ok = l.admit(peer.Addr())
	}
	if !ok {
		_ = epoll.Close(fd)
		return
	}
	l.p.stats.accepted.Add(1)
	l.p.setUserTimeout(fd)
	c := l.p.newConn(fd)
	if from == forwarded {
		l.p.proxied.set(fd, peer)
		c.proxied = true
	}
	l.p.unauth.enter(c, shareNetwork(peer.Addr()), place)
	c.loop.post(c, func(int) {
		if l.p.config().Accept == nil || c.loop.ending {
			c.reject()
			return
		}
		trusted := l.terminatesTLS(via)
		if l.tls != nil && !trusted {
			c.setBottom(newStdTLS(c, l.tls, shareNetwork(peer.Addr())))
			c.setState(stateHandshaking) // before anything can be queued that must not be sent in plain text
		}
		if l.ws {
			c.wrap(l, from, trusted)
		} else if c.handler = l.p.config().Accept(c, l); c.handler == nil {
			c.reject()
			return
		}
		if err := c.register(); err != nil {
			l.loop.post(nil, func(int) {
				l.logError("connections cannot be watched and are closed: raise fs.epoll.max_user_watches", err)
			})
			c.destroy(err)
		}
	})
}

// reject ends an accepted connection that has no handler. It was never registered;
// what was posted for it meanwhile finds it closed. Loop.
func (c *Conn) reject() {
	c.mu.Lock()
	fd := c.takeFD()
	c.dropOutbox()
	c.state = stateClosed
	c.mu.Unlock()
	_ = c.layer.free()
	_ = epoll.Close(fd)
	c.loop.p.addrs.release(c.loop.p.unauth.leave(&c.peer))
}

// setOptions sets a socket's options. Errors are ignored: the socket works without them.
func (p *Poller) setOptions(fd int) {
	_ = epoll.SetOption(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	p.setUserTimeout(fd)
	if t := p.config().KeepAlive; t > 0 {
		seconds := max(1, int(t/time.Second))
		_ = epoll.SetOption(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
		_ = epoll.SetOption(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, seconds)
		_ = epoll.SetOption(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, seconds)
	}
}

// setUserTimeout makes the kernel end the connection if sent bytes are not acknowledged
// for too long.
func (p *Poller) setUserTimeout(fd int) {
	if t := p.config().UserTimeout; t > 0 {
		_ = epoll.SetOption(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(t/time.Millisecond))
	}
}
