//go:build linux

package poller

import (
	"errors"
	"time"

	"github.com/valyala/bytebufferpool"

	"roost/poller/websocket"
)

// ErrNoClose ends a WebSocket connection whose peer has closed it without a close frame.
var ErrNoClose = errors.New("poller: the WebSocket connection ended without a close frame")

// webSocket is the record layer of WebSocket (RFC 6455), on plain or TLS. It is always the
// topmost layer, so it passes messages to the connection itself.
type webSocket struct {
	c      *Conn
	below  recordLayer
	in     *bytebufferpool.ByteBuffer // loop: an incomplete request, an incomplete header or control frame, or input that waits for the end of a pause; nil: none
	reader websocket.Reader           // loop
	code   uint16                     // of the close frame that ends the connection, 0: the default; changed under mu, and not after wsClosed
	flags  wsFlags                    // changed by the loop, under mu
}

type wsFlags uint8

const (
	wsOpen      wsFlags = 1 << iota // the handshake is done: frames follow
	wsTrusted                       // a proxy terminates TLS
	wsCloseSent                     // our close frame was sealed: nothing follows it
	wsClosed                        // the peer's close frame has arrived, or its input is wrong: the rest is ignored
	wsFailed                        // the input is wrong
	wsFlush                         // a response must be flushed
)

const (
	// closeNormal is the code of a close frame without a reason (RFC 6455 section 7.4.1).
	closeNormal = 1000

	// wsLinger is how long a peer may take to close the connection after an error.
	wsLinger = 2 * time.Second
)

func (l *webSocket) has(f wsFlags) bool { return l.flags&f != 0 }

// set sets flags. Loop.
func (l *webSocket) set(f wsFlags) {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	l.flags |= f
}

func (l *webSocket) open(p []byte, _ receiver) error {
	err := l.below.open(p, l)
	l.flush()
	return err
}

// resume continues with the input that was kept during a pause, and then with that of the
// layer below. Loop.
func (l *webSocket) resume(receiver) error {
	if l.in != nil {
		l.receive(nil)
	}
	var err error
	if !l.c.paused && !l.c.closed() {
		err = l.below.resume(l)
	}
	l.flush()
	return err
}

// flush writes responses to the peer's frames. Loop.
func (l *webSocket) flush() {
	if l.has(wsFlush) {
		l.c.mu.Lock()
		l.flags &^= wsFlush
		l.c.mu.Unlock()
		l.c.Flush()
	}
}

// receive takes the content of the layer below. Loop.
func (l *webSocket) receive(p []byte) {
	if l.in != nil {
		_, _ = l.in.Write(p)
		in := l.in
		if n := l.process(in.B); n == len(in.B) || l.has(wsClosed) {
			l.in = nil
			inputPool.Put(in)
		} else {
			in.B = in.B[n:]
		}
	} else if n := l.process(p); n < len(p) && !l.has(wsClosed) {
		l.in = l.c.buffer()
		_, _ = l.in.Write(p[n:])
	}
	l.account()
}

// account counts the memory held for a peer that has not authenticated. Loop.
func (l *webSocket) account() {
	if !l.c.unauth() || l.c.closed() {
		return
	}
	n := 0
	if l.in != nil {
		n = cap(l.in.B)
	}
	l.c.hold(heldFrames, n)
}

// process handles what it can of p, and returns its length in bytes. There is one response to
// all pings in p: "If an endpoint receives a Ping frame and has not yet sent Pong frame(s) in
// response to previous Ping frame(s), the endpoint MAY elect to send a Pong frame for only the
// most recently processed Ping frame" (RFC 6455 section 5.5.3,
// https://www.rfc-editor.org/rfc/rfc6455#section-5.5.3). Each may cost a TLS record. Loop.
func (l *webSocket) process(p []byte) (n int) {
	var ping []byte // the payload of the most recent one; nil: none
	for n < len(p) && !l.c.paused && !l.c.closing() && !l.has(wsClosed) {
		used := 0
		if l.has(wsOpen) {
			used = l.frame(p[n:], &ping)
		} else {
			used = l.request(p[n:])
		}
		if used == 0 {
			break
		}
		n += used
	}
	if ping != nil {
		l.pong(ping)
	}
	return n
}

// frame handles the frame, or a part of it, at the start of p. A ping replaces the one that
// waits for its response. Loop.
func (l *webSocket) frame(p []byte, ping *[]byte) (n int) {
	part, n, err := l.reader.Next(p)
	if err != nil {
		l.fail(err)
		return 0
	}
	switch part.Kind {
	case websocket.Text:
		if len(part.Data) > 0 || part.Last {
			l.c.deliverMessage(part.Data, part.Last)
		}
	case websocket.Ping:
		*ping = part.Data
	case websocket.Close:
		l.closed(part.Data)
	}
	return n
}

// pong responds to a ping, unless the outbox is full: a client that does not read what it has
// asked for needs no further response. Loop.
func (l *webSocket) pong(ping []byte) {
	c := l.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.has(wsCloseSent) || c.checkSpace(websocket.MaxHeader+len(ping)) != nil {
		return
	}
	m := message{body: ping}
	m.n = uint8(len(websocket.AppendPongHeader(m.head[:0], len(ping))))
	if c.sealed(l.below.seal(m)) == nil {
		l.flags |= wsFlush
	}
}

// closed handles the peer's close frame: the connection ends as after the end of TLS. RFC
// 6455 section 5.5.1 (https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1): the response
// "typically echos the status code it received". Loop.
func (l *webSocket) closed(payload []byte) {
	code, err := websocket.ParseClose(payload)
	if err != nil {
		l.fail(err)
		return
	}
	l.c.mu.Lock()
	l.code = code
	l.flags |= wsClosed
	l.c.mu.Unlock()
	l.c.peerClosed()
}

// fail ends the connection because the peer has violated the protocol. The peer gets a close
// frame with the code, and some time to read it. Loop.
func (l *webSocket) fail(err error) {
	var wrong *websocket.Error
	l.c.mu.Lock()
	if errors.As(err, &wrong) {
		l.setCode(wrong.Code)
	}
	l.flags |= wsClosed | wsFailed
	l.c.mu.Unlock()
	l.c.paused = true
	l.c.Close(wsLinger)
}

// setCode sets the code of our close frame, and counts it. The first one remains, and so does
// that of the peer's close frame. Under mu.
func (l *webSocket) setCode(code uint16) {
	if l.code == 0 && !l.has(wsClosed|wsCloseSent) {
		l.code = code
		l.c.loop.p.stats.webSockets.failed(code)
	}
}

// seal makes a frame of m, which has no head, and passes it to the layer below. Under mu.
func (l *webSocket) seal(m message) error {
	switch {
	case !l.has(wsOpen):
		return errEarly
	case l.has(wsCloseSent):
		return ErrClosed
	case len(m.body) == 0:
		return nil
	}
	p := m.body
	at, insert := l.c.loop.p.config().WebSocket.Insert(p)
	if websocket.MaxHeader+at+len(insert) > maxHead {
		p = append(append(append(make([]byte, 0, len(p)+len(insert)), p[:at]...), insert...), p[at:]...)
		at, insert = 0, ""
	}
	var f message
	head := websocket.AppendHeader(f.head[:0], len(p)+len(insert))
	head = append(append(head, p[:at]...), insert...)
	f.n, f.body = uint8(len(head)), p[at:]
	return l.below.seal(f)
}

// eof returns nil if the peer has sent a close frame: then all of its messages have arrived,
// whatever the layer below is missing. Loop.
func (l *webSocket) eof() error {
	if l.has(wsClosed) && !l.has(wsFailed) {
		return nil
	}
	if err := l.below.eof(); err != nil {
		return err
	}
	if l.has(wsOpen) {
		return ErrNoClose
	}
	return nil // a request is no message
}

// closeWrite seals a close frame, the last one. Loop.
func (l *webSocket) closeWrite() {
	l.c.mu.Lock()
	if l.has(wsOpen) && !l.has(wsCloseSent) && l.c.fd >= 0 {
		l.flags |= wsCloseSent
		code := l.code
		if code == 0 && !l.has(wsClosed) {
			code = closeNormal
		}
		_ = l.below.seal(message{body: websocket.AppendClose(nil, code)})
	}
	l.c.mu.Unlock()
	l.below.closeWrite()
}

func (l *webSocket) free() error {
	if l.has(wsOpen) {
		l.c.loop.p.stats.webSockets.open.Add(-1)
	}
	if l.in != nil {
		inputPool.Put(l.in)
		l.in = nil
	}
	if err := l.below.free(); err != nil {
		return err
	}
	if l.has(wsFailed) {
		return &websocket.Error{Code: l.code, Text: "the client has violated the protocol"}
	}
	return nil
}

func (l *webSocket) secure() bool   { return l.has(wsTrusted) || l.below.secure() }
func (l *webSocket) messages() bool { return true }

func (l *webSocket) moveTo(c *Conn) recordLayer {
	l.c = c
	l.below = l.below.moveTo(c)
	return l
}

func (l *webSocket) rebase(bottom recordLayer) recordLayer {
	l.below = l.below.rebase(bottom)
	return l
}
