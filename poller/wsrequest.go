//go:build linux

package poller

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"

	"roost/poller/websocket"
)

// This file receives the HTTP request with which a WebSocket connection begins (RFC 6455
// section 4). The connection gets its handler after that, when the address of the client is
// known even if a proxy has sent the request.

// WebSocket configures the connections of listeners for WebSocket.
type WebSocket struct {
	// Config returns the present configuration of requests.
	Config func() *websocket.Config

	// Proxy reports whether an address is that of a proxy that terminates TLS. Its
	// connections are not encrypted, and its requests name the client (X-Forwarded-For,
	// X-Forwarded-Proto). Nil: none is.
	Proxy func(netip.Addr) bool

	// Page makes a page that takes time (websocket.Config.Late), and calls respond with it once,
	// from any goroutine. It must not wait. from is the client, which a proxy may have named. secure
	// means that what the client sends is encrypted all the way, as far as the proxy says.
	Page func(q *websocket.PageRequest, from netip.AddrPort, secure bool, respond func(*websocket.Page))

	// Insert returns what has to be inserted into a message before it is sent, and at which
	// offset, at most a few bytes from its beginning; "" for nothing.
	Insert func(message []byte) (at int, insert string)
}

// MessageHandler is the Handler of a connection that has messages: see Conn.Messages. It gets
// them by Message instead of Data.
type MessageHandler interface {
	Handler

	// Message is Data for p, a part of a message, or all of it. last says that the message
	// ends with p, which may be empty then.
	Message(loop int, p []byte, last bool) (n int)
}

// wsRequest is the handler of a connection until its request has been accepted. All of it is
// owned by the loop.
type wsRequest struct {
	c      *Conn
	l      *Listener
	origin origin
	end    websocket.RequestEnd
	secure *tls.ConnectionState // of the TLS handshake; nil: none
	leaf   *x509.Certificate
}

func (h *wsRequest) Data(_ int, p []byte) int { return len(p) }
func (h *wsRequest) KeepAlive([]byte) bool    { return false }
func (h *wsRequest) Drained(int)              {}
func (h *wsRequest) Expired(int, error)       {}
func (h *wsRequest) Closed(int, error)        {}

func (h *wsRequest) Secured(_ int, st *tls.ConnectionState, leaf *x509.Certificate) {
	state := *st
	h.secure, h.leaf = &state, leaf
}

// wrap puts a layer for WebSocket on top of the others. Loop, before the connection is
// registered.
func (c *Conn) wrap(l *Listener, from origin, trusted bool) {
	c.mu.Lock()
	ws := &webSocket{c: c, below: c.layer}
	if trusted {
		ws.flags = wsTrusted
	}
	c.layer = ws
	c.mu.Unlock()
	c.handler = &wsRequest{c: c, l: l, origin: from}
	c.setDeadline(l.p.config().ProxyTimeout)
}

// request handles the request at the start of p, and returns its length, 0 if it is
// incomplete. Loop.
func (l *webSocket) request(p []byte) (n int) {
	h, waiting := l.c.handler.(*wsRequest)
	if !waiting {
		return 0
	}
	cfg := l.c.loop.p.config().WebSocket.Config()
	n, err := h.end.Find(p)
	if err != nil {
		l.c.loop.p.stats.webSockets.refused.Add(1)
		l.refuse(websocket.Refusal(err))
		return 0
	}
	if n == 0 {
		return 0
	}
	r := cfg.Respond(p[:n])
	if l.has(wsTrusted) && r.Insecure {
		l.c.mu.Lock()
		l.flags &^= wsTrusted
		l.c.mu.Unlock()
	}
	switch {
	case r.Late == nil && !r.Upgraded:
		l.c.loop.p.stats.webSockets.responded(r.Status)
		l.refuse(r.Response)
	case h.origin == fromProxy && r.Client.IsValid():
		l.c.paused = true
		l.c.loop.p.loops[0].post(l.c, func(int) { h.admit(l, r) })
	default:
		h.proceed(l, r)
	}
	return n
}

// proceed does what the request asks for. Loop.
func (h *wsRequest) proceed(l *webSocket, r *websocket.Request) {
	if r.Late != nil {
		h.late(l, r)
		return
	}
	h.upgrade(l, r)
}

// late has a page made. Reading is paused until the connection ends, and the request counts as
// memory before login: it may wait for the store. Loop.
func (h *wsRequest) late(l *webSocket, r *websocket.Request) {
	c := h.c
	if !c.loop.p.unauth.set(c, heldHandler, h.end.Size()) {
		c.outOfMemoryLater()
		return
	}
	c.paused = true
	h.l.p.config().WebSocket.Page(r.Late, c.RemoteAddr(), h.secure != nil || l.has(wsTrusted), func(p *websocket.Page) {
		c.loop.post(c, func(int) {
			if c.closed() || c.closing() {
				return
			}
			r.LateResponse(p)
			h.l.p.stats.webSockets.responded(r.Status)
			l.refuse(r.Response)
		})
	})
}

// refuse sends a response and closes the connection. Loop.
func (l *webSocket) refuse(response []byte) {
	l.set(wsClosed)
	l.c.mu.Lock()
	_ = l.below.seal(message{body: response})
	l.c.mu.Unlock()
	l.c.paused = true
	l.c.Close(wsLinger)
}

// admit applies the limits to the client that a proxy has named. First loop.
func (h *wsRequest) admit(l *webSocket, r *websocket.Request) {
	p, c := h.l.p, h.c
	blocked := p.config().Blocked
	place, ok := peerIndex(0), blocked == nil || !blocked(r.Client)
	if !ok {
		p.stats.refused[RefusedBlocked].Add(1)
	} else {
		place, ok = h.l.admit(r.Client)
	}
	c.loop.post(c, func(int) {
		switch {
		case c.closed():
			if ok {
				p.addrs.release(place)
			}
		case !ok:
			c.destroy(nil)
		default:
			c.forwardedBy(place, r.Client)
			h.proceed(l, r)
			if r.Upgraded && c.paused && !c.closing() {
				c.resume()
			}
		}
	})
}

// forwardedBy makes the connection one of the client that a proxy has named, whose entry in
// the limits is place. Loop.
func (c *Conn) forwardedBy(place peerIndex, client netip.Addr) {
	p := c.loop.p
	p.addrs.release(p.unauth.leave(&c.peer))
	c.mu.Lock()
	if c.fd >= 0 {
		p.proxied.set(int(c.fd), netip.AddrPortFrom(client, 0))
		c.proxied = true
	}
	c.mu.Unlock()
	p.unauth.enter(c, shareNetwork(client), place)
}

// upgrade accepts the request: the connection gets its handler, and frames follow. Loop.
func (h *wsRequest) upgrade(l *webSocket, r *websocket.Request) {
	c := h.c
	c.setDeadline(0)
	c.mu.Lock()
	_ = l.below.seal(message{body: r.Response})
	l.flags |= wsOpen | wsFlush
	c.mu.Unlock()
	c.loop.p.stats.webSockets.open.Add(1)
	handler, ok := c.loop.p.config().Accept(c, h.l).(MessageHandler)
	if !ok {
		c.paused = true
		c.Close(0)
		return
	}
	c.loop.p.stats.webSockets.upgraded.Add(1)
	c.handler = handler
	if h.secure != nil {
		handler.Secured(c.loop.index, h.secure, h.leaf)
	}
}
