package bench

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"

	"roost/parser"
)

// XMPP over WebSocket (RFC 7395, https://www.rfc-editor.org/rfc/rfc7395): the client's side of
// the handshake and the frames of RFC 6455 (https://www.rfc-editor.org/rfc/rfc6455).

const (
	framingNS = "urn:ietf:params:xml:ns:xmpp-framing"

	opText  = 1
	opClose = 8
	opPing  = 9
	opPong  = 10

	frameFinal   = 0x80 // first byte
	frameMasked  = 0x80 // second byte
	frameControl = 0x08 // of an opcode

	maxResponse = 8 << 10 // bytes of the response to the handshake
)

// web is the state of a client's WebSocket. Its loop owns it. What is sent needs no state.
type web struct {
	upgraded bool
	final    bool   // the present frame is its message's last
	left     uint64 // bytes of the present frame's payload that have not arrived
	partial  []byte // the response, a header or a control frame that is incomplete
}

// upgrade sends the handshake's request.
func (c *Client) upgrade() {
	c.parser.Documents()
	c.raw(fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Protocol: xmpp\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", c.clients.cfg.WebSocketPath, c.account.Domain))
}

// webData handles bytes from the server. Loop.
func (c *Client) webData(loop int, p []byte) {
	w := &c.web
	if len(w.partial) > 0 {
		p = append(w.partial, p...)
		w.partial = nil
	}
	for len(p) > 0 && c.state != stateFailed {
		n := c.webPart(loop, p)
		if n == 0 {
			w.partial = bytes.Clone(p)
			return
		}
		p = p[n:]
	}
}

// webPart handles what p begins with. It returns 0 if that is incomplete.
func (c *Client) webPart(loop int, p []byte) (n int) {
	w := &c.web
	switch {
	case !w.upgraded:
		return c.webResponse(p)
	case w.left > 0:
		n = int(min(w.left, uint64(len(p))))
		w.left -= uint64(n)
		c.parse(loop, p[:n])
		c.webMessageEnd(loop)
		return n
	}
	size, length, ok := frameHeader(p)
	if !ok {
		return 0
	}
	op := p[0] & 0x0f
	switch {
	case p[1]&frameMasked != 0 || length > 1<<40:
		c.fail(errors.New("the server sent an invalid WebSocket frame"))
	case op&frameControl == 0:
		w.left, w.final = length, p[0]&frameFinal != 0
		c.webMessageEnd(loop)
	case uint64(len(p)-size) < length:
		return 0
	default:
		size += int(length)
		c.webControl(op, p[size-int(length):size])
	}
	return size
}

// webResponse handles the response to the handshake.
func (c *Client) webResponse(p []byte) (n int) {
	line, _, _ := bytes.Cut(p, []byte("\r\n"))
	end := bytes.Index(p, []byte("\r\n\r\n"))
	switch {
	case end < 0 && len(p) < maxResponse:
		return 0
	case end < 0 || !bytes.HasPrefix(line, []byte("HTTP/1.1 101 ")):
		c.fail(fmt.Errorf("there is no WebSocket endpoint at %s: %.100q", c.clients.cfg.WebSocketPath, line))
		return len(p)
	}
	c.web.upgraded = true
	c.header()
	return end + 4
}

// webMessageEnd ends the message if its last byte has been parsed.
func (c *Client) webMessageEnd(loop int) {
	if c.web.left > 0 || !c.web.final || c.state == stateFailed {
		return
	}
	if err := c.parser.EndDocument(c.clients.scratch[loop]); err != nil {
		c.fail(err)
	}
}

// webControl handles a control frame.
func (c *Client) webControl(op byte, payload []byte) {
	switch op {
	case opPing:
		c.raw(appendFrame(nil, opPong, payload))
	case opClose:
		c.raw(appendFrame(nil, opClose, payload))
		c.streamClosed()
	}
}

// framing handles the elements that stand for the begin and the end of a stream.
func (c *Client) framing(el parser.Element) bool {
	if string(el.Space()) != framingNS {
		return false
	}
	if string(el.Local()) == "close" {
		c.streamClosed()
	}
	return true
}

// frameHeader returns the size of the header of the frame at the start of p and the length of
// its payload; ok is false if it is incomplete.
func frameHeader(p []byte) (size int, length uint64, ok bool) {
	if len(p) < 2 {
		return 0, 0, false
	}
	switch length = uint64(p[1] & 0x7f); {
	case length < 126:
		return 2, length, true
	case length == 126 && len(p) >= 4:
		return 4, uint64(binary.BigEndian.Uint16(p[2:])), true
	case length == 127 && len(p) >= 10:
		return 10, binary.BigEndian.Uint64(p[2:]), true
	}
	return 0, 0, false
}

// appendFrame appends a frame that is a message, or a control frame.
func appendFrame(dst []byte, op byte, payload ...[]byte) []byte {
	n := 0
	for _, p := range payload {
		n += len(p)
	}
	dst = append(dst, frameFinal|op)
	switch {
	case n < 126:
		dst = append(dst, frameMasked|byte(n))
	case n <= 0xffff:
		dst = binary.BigEndian.AppendUint16(append(dst, frameMasked|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, frameMasked|127), uint64(n))
	}
	mask := rand.Uint32() | 0x01010101 // masks every byte
	dst = binary.BigEndian.AppendUint32(dst, mask)
	begin := len(dst)
	for _, p := range payload {
		dst = append(dst, p...)
	}
	for i := begin; i < len(dst); i++ {
		dst[i] ^= byte(mask >> (24 - (i-begin)%4*8))
	}
	return dst
}

// appendMessages appends the frames for what would be sent on a TCP stream: an element, and
// possibly a request for an acknowledgement. RFC 7395 section 3.3
// (https://www.rfc-editor.org/rfc/rfc7395#section-3.3): frames "MUST be parsable as standalone
// XML documents, complete with all relevant namespace and language declarations".
func appendMessages(dst, p []byte) []byte {
	p, request := bytes.CutSuffix(p, []byte(requestSM)) // which has a namespace
	if len(p) > 0 {
		name := len("<")
		for name < len(p) && p[name] >= 'a' && p[name] <= 'z' {
			name++
		}
		switch string(p[:name]) {
		case "<iq", "<message", "<presence":
			dst = appendFrame(dst, opText, p[:name], []byte(" xmlns='"+clientNS+"'"), p[name:])
		default:
			dst = appendFrame(dst, opText, p)
		}
	}
	if request {
		dst = appendFrame(dst, opText, []byte(requestSM))
	}
	return dst
}
