//go:build linux

package poller

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/pires/go-proxyproto"
	"golang.org/x/sys/unix"

	"roost/poller/epoll"
)

// This file receives the header of the PROXY protocol
// (https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt), with which a proxy names
// the client of a connection. The header is read before the Conn exists, and no byte
// after it is read. So only the address differs for the rest of the package.

const (
	// maxProxyHeader limits a header of version 2 in bytes. The addresses take at most
	// 232; extensions such as the client's certificate may follow.
	maxProxyHeader = 4 << 10

	// maxProxyLine limits a header of version 1 in bytes (section 2.1).
	maxProxyLine = 107

	// proxyFixed is the size in bytes of the part of a version 2 header that has the
	// length of the rest at its end (section 2.2).
	proxyFixed = 16
)

var (
	proxySignature = []byte("\r\n\r\n\x00\r\nQUIT\n") // of version 2
	proxyWord      = []byte("PROXY ")                 // of version 1
)

var (
	errNoProxyHeader   = errors.New("there is no PROXY protocol header")
	errLongProxyHeader = errors.New("the PROXY protocol header is too long")
	errLateProxyHeader = errors.New("the PROXY protocol header was not complete in time")
	errCutProxyHeader  = errors.New("the connection ended within the PROXY protocol header")
)

// proxyHeader is a connection from a proxy whose header is not complete. All of it is
// owned by the first loop, which accepts: that loop also has the counters of connection
// attempts.
type proxyHeader struct {
	l       *Listener
	fd      int
	proxy   netip.AddrPort
	op      epoll.Operator
	watched bool   // netpoll has not removed the descriptor
	done    bool   // the header is complete, or the connection has ended
	late    uint32 // when the header must be complete, in the loop's seconds
	have    []byte // bytes received so far
}

// isProxy reports whether connections from an address must begin with a header.
func (p *Poller) isProxy(peer netip.Addr) bool {
	return slices.ContainsFunc(p.config().Proxies, func(from netip.Prefix) bool { return from.Contains(peer) })
}

// awaitHeader receives the header of an accepted socket. Loop.
func (l *Listener) awaitHeader(fd int, proxy netip.AddrPort) {
	seconds := uint32((l.p.config().ProxyTimeout + time.Second - 1) / time.Second)
	h := &proxyHeader{l: l, fd: fd, proxy: proxy, watched: true, late: l.loop.now + seconds}
	l.loop.poll.Init(&h.op, fd)
	h.op.OnRead, h.op.OnHup = h.readable, h.hungUp
	if l.headers == nil {
		l.headers = make(map[*proxyHeader]struct{})
	}
	l.headers[h] = struct{}{}
	l.loop.lastActive = l.loop.now // do not wait for a batch of keep-alives
	if l.loop.poll.WatchRead(&h.op) != nil {
		h.watched = false
		h.end(nil)
	}
}

// readable is called when the socket is readable. Loop.
func (h *proxyHeader) readable(epoll.Source) error {
	h.read()
	return nil
}

// hungUp is called by netpoll, on a separate goroutine, when it has removed the
// descriptor. There may still be bytes to read.
func (h *proxyHeader) hungUp(epoll.Source) error {
	h.l.loop.post(nil, func(int) {
		h.watched = false
		for !h.done && h.read() {
		}
	})
	return nil
}

// read reads what has arrived of the header, and nothing after it. It returns false if
// there is nothing to read now. Loop.
func (h *proxyHeader) read() bool {
	if h.done {
		return false
	}
	buf := h.l.loop.buf
	n, err := epoll.Peek(h.fd, buf[:min(len(buf), maxProxyHeader)])
	switch {
	case err == unix.EINTR:
		return true
	case err == unix.EAGAIN && h.watched:
		return false
	case err != nil || n == 0 && len(h.have) == 0:
		h.end(nil) // a health check may connect and send nothing
		return false
	case n == 0:
		h.end(errCutProxyHeader)
		return false
	}
	old := len(h.have)
	h.have = append(h.have, buf[:n]...)
	n, whole, err := proxyHeaderSize(h.have)
	if err != nil {
		h.end(err)
		return false
	}
	h.have = h.have[:n]
	if n, err := epoll.Read(int32(h.fd), buf[:n-old]); n != len(h.have)-old {
		h.end(err) // the bytes were there a moment ago
		return false
	}
	if whole {
		h.complete()
	}
	return true
}

// complete creates a connection for the socket. Loop.
func (h *proxyHeader) complete() {
	client, err := parseProxyHeader(h.have)
	if err != nil {
		h.end(err)
		return
	}
	h.finish(func() {
		if client.IsValid() {
			h.l.newConn(h.fd, client, h.proxy.Addr(), forwarded)
		} else {
			h.l.newConn(h.fd, h.proxy, h.proxy.Addr(), fromProxy)
		}
	})
}

// end closes the connection; err is nil if there is nothing to report to the operator.
// Loop.
func (h *proxyHeader) end(err error) {
	if h.done {
		return
	}
	if err != nil {
		h.l.p.stats.refused[RefusedHeader].Add(1)
		if h.l.oncePerMinute(&h.l.lastProxyLog) {
			h.l.p.config().Logger.Warn("a proxy sent no valid PROXY protocol header, its connection is closed: turn the protocol on in the proxy (send-proxy), or remove the address from --proxy-protocol",
				"listener", h.l.addr.String(), "proxy", h.proxy.String(), "err", err)
		}
	}
	h.finish(func() { _ = epoll.Close(h.fd) })
}

// finish stops watching the socket and then calls f. This may run within a callback of
// the operator, where that cannot be freed. Loop.
func (h *proxyHeader) finish(f func()) {
	h.done = true
	delete(h.l.headers, h)
	h.l.loop.post(nil, func(int) {
		if h.watched {
			_ = h.l.loop.poll.Unwatch(&h.op)
		}
		h.l.loop.poll.Free(&h.op)
		f()
	})
}

// tick is called once a second: it ends headers that are not complete in time. Loop.
func (l *Listener) tick() {
	for h := range l.headers {
		if l.loop.now >= h.late {
			h.end(errLateProxyHeader)
		}
	}
}

// proxyHeaderSize returns how many bytes of b belong to the header at its start, and
// whether the header is complete.
func proxyHeaderSize(b []byte) (n int, whole bool, err error) {
	if begins(b, proxyWord) {
		if i := bytes.Index(b[:min(len(b), maxProxyLine)], []byte("\r\n")); i >= 0 {
			return i + 2, true, nil
		}
		if len(b) >= maxProxyLine {
			return 0, false, errLongProxyHeader
		}
		return len(b), false, nil
	}
	if !begins(b, proxySignature) {
		return 0, false, errNoProxyHeader
	}
	if len(b) < proxyFixed {
		return len(b), false, nil
	}
	size := proxyFixed + int(binary.BigEndian.Uint16(b[proxyFixed-2:]))
	if size > maxProxyHeader {
		return 0, false, errLongProxyHeader
	}
	return min(size, len(b)), len(b) >= size, nil
}

// begins reports whether b begins with prefix, or is the start of prefix.
func begins(b, prefix []byte) bool {
	n := min(len(b), len(prefix))
	return bytes.Equal(b[:n], prefix[:n])
}

// parseProxyHeader returns the client's address in a complete header. It is the zero
// value if the header has none: the proxy has connected on its own behalf, such as for a
// health check, or does not know the client.
func parseProxyHeader(b []byte) (client netip.AddrPort, err error) {
	in := bytes.NewReader(b)
	r := bufio.NewReaderSize(in, len(b))
	h, err := proxyproto.Read(r)
	switch {
	case err != nil && unspecified(b):
		return client, nil
	case err != nil:
		return client, err
	case r.Buffered()+in.Len() > 0:
		return client, fmt.Errorf("%d bytes follow the PROXY protocol header", r.Buffered()+in.Len())
	}
	tcp, ok := h.SourceAddr.(*net.TCPAddr)
	if !ok || h.Command.IsLocal() {
		return client, nil
	}
	client = tcp.AddrPort()
	return netip.AddrPortFrom(client.Addr().Unmap(), client.Port()), nil
}

// unspecified reports whether a header of version 2 has the command PROXY and the family
// UNSPEC, which the library rejects. Section 2.2: "the receiver [...] may decide to
// accept or to reject such a connection": the proxy does not know the client.
func unspecified(b []byte) bool {
	return bytes.HasPrefix(b, proxySignature) && b[len(proxySignature)] == 0x21 && b[len(proxySignature)+1] == 0
}
