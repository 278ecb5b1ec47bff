// Package websocket implements the server's side of the WebSocket protocol (RFC 6455) as a
// transformation of bytes, without sockets: the opening handshake, frames from the client,
// and the headers of frames to it. No extension is supported.
package websocket

import (
	"encoding/binary"
	"fmt"

	"github.com/gobwas/ws"
)

// Kind is the kind of a Part.
type Kind uint8

// The kinds of parts.
const (
	Nothing Kind = iota // no payload
	Text                // a part of a message
	Ping                // a complete ping
	Pong                // a complete pong
	Close               // a complete close frame
)

// Part is payload that the client has sent, unmasked.
type Part struct {
	Kind Kind
	Last bool   // Text: the message ends with this part
	Data []byte // a part of Reader.Next's argument
}

// Reader splits the client's bytes into frames. It holds no memory: payload of messages is
// passed on as it arrives. The zero value is ready for the first frame.
type Reader struct {
	left  uint32  // bytes of the present frame's payload that have not arrived
	mask  [4]byte // of these bytes, from the next one on
	flags uint8
}

const (
	flagFinal      = 1 << iota // the present frame is its message's last
	flagFragmented             // the next frame continues a message
)

// MaxPayload limits the payload of one frame in bytes. Messages have no limit here.
const MaxPayload = 1<<31 - 1

// Error is a violation of the protocol. The connection has to be closed with its code.
type Error struct {
	Code uint16 // RFC 6455 section 7.4.1 (https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1)
	Text string // what is wrong
}

// Error describes the violation.
func (e *Error) Error() string { return fmt.Sprintf("websocket: %s (close code %d)", e.Text, e.Code) }

var (
	errLength = &Error{uint16(ws.StatusProtocolError), "the length of a frame does not have the shortest form"}
	errTooBig = &Error{uint16(ws.StatusMessageTooBig), "a frame is too large"}
	// RFC 7395 section 3.2 (https://www.rfc-editor.org/rfc/rfc7395#section-3.2): "Data frame
	// messages in the XMPP subprotocol MUST be of the text type".
	errBinary    = &Error{uint16(ws.StatusUnsupportedData), "a message is not text"}
	errCloseCode = &Error{uint16(ws.StatusProtocolError), "a close frame has one byte"}
)

// Next reads from p, and changes it. It returns the next part and the number of bytes
// consumed. If that is 0, the beginning of a frame is incomplete: p must be kept and passed
// again together with more bytes; these are at most 130 bytes. An error is an *Error.
func (r *Reader) Next(p []byte) (part Part, n int, err error) {
	if r.left > 0 {
		part, n = r.payload(p)
		return part, n, nil
	}
	h, n, err := parseHeader(p)
	if n == 0 || err != nil {
		return Part{}, 0, err
	}
	if err := r.check(h); err != nil {
		return Part{}, 0, err
	}
	if h.OpCode.IsControl() {
		end := n + int(h.Length)
		if len(p) < end {
			return Part{}, 0, nil
		}
		data := p[n:end]
		ws.Cipher(data, h.Mask, 0)
		return Part{Kind: controlKind(h.OpCode), Data: data}, end, nil
	}
	r.left, r.mask, r.flags = uint32(h.Length), h.Mask, flagFragmented
	if h.Fin {
		r.flags = flagFinal
	}
	if h.Length == 0 {
		return Part{Kind: Text, Last: h.Fin}, n, nil
	}
	part, more := r.payload(p[n:])
	return part, n + more, nil
}

// payload returns the part of p that belongs to the present frame.
func (r *Reader) payload(p []byte) (Part, int) {
	n := min(len(p), int(r.left))
	if n == 0 {
		return Part{}, 0
	}
	ws.Cipher(p[:n], r.mask, 0)
	r.left -= uint32(n)
	m := r.mask
	for i := range r.mask {
		r.mask[i] = m[(n+i)%4]
	}
	return Part{Kind: Text, Last: r.left == 0 && r.flags&flagFinal != 0, Data: p[:n]}, n
}

// check checks the header of a frame.
func (r *Reader) check(h ws.Header) error {
	state := ws.StateServerSide
	if r.flags&flagFragmented != 0 {
		state = state.Set(ws.StateFragmented)
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return &Error{uint16(ws.StatusProtocolError), err.Error()}
	}
	switch {
	case h.OpCode == ws.OpBinary:
		return errBinary
	case h.Length > MaxPayload:
		return errTooBig
	}
	return nil
}

func controlKind(op ws.OpCode) Kind {
	switch op {
	case ws.OpPing:
		return Ping
	case ws.OpPong:
		return Pong
	}
	return Close
}

// parseHeader returns the header of the frame at the start of p, and its size, 0 if it is
// incomplete.
func parseHeader(p []byte) (h ws.Header, size int, err error) {
	if len(p) < 2 {
		return h, 0, nil
	}
	h.Fin, h.Rsv, h.OpCode = p[0]&0x80 != 0, p[0]>>4&7, ws.OpCode(p[0]&0x0f)
	h.Masked, h.Length = p[1]&0x80 != 0, int64(p[1]&0x7f)
	size = 2
	switch h.Length {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	length := p[2:min(size, len(p))]
	if h.Masked {
		size += len(h.Mask)
	}
	if len(p) < size {
		return h, 0, nil
	}
	// RFC 6455 section 5.2 (https://www.rfc-editor.org/rfc/rfc6455#section-5.2): "the minimal
	// number of bytes MUST be used to encode the length", and "the most significant bit MUST
	// be 0".
	switch len(length) {
	case 2:
		h.Length = int64(binary.BigEndian.Uint16(length))
		if h.Length < 126 {
			return h, size, errLength
		}
	case 8:
		n := binary.BigEndian.Uint64(length)
		if n>>63 != 0 || n <= 0xffff {
			return h, size, errLength
		}
		h.Length = int64(n)
	}
	if h.Masked {
		copy(h.Mask[:], p[size-len(h.Mask):])
	}
	return h, size, nil
}

// MaxHeader is the maximum size in bytes of what AppendHeader appends.
const MaxHeader = 10

// AppendHeader appends the header of a text message of n bytes, in one frame.
func AppendHeader(dst []byte, n int) []byte { return appendHeader(dst, ws.OpText, n) }

// AppendPongHeader appends the header of a pong, whose payload is the n bytes of a ping.
func AppendPongHeader(dst []byte, n int) []byte { return appendHeader(dst, ws.OpPong, n) }

// AppendClose appends a close frame. Without a code, 0, it has no payload.
func AppendClose(dst []byte, code uint16) []byte {
	if code == 0 {
		return appendHeader(dst, ws.OpClose, 0)
	}
	return binary.BigEndian.AppendUint16(appendHeader(dst, ws.OpClose, 2), code)
}

func appendHeader(dst []byte, op ws.OpCode, n int) []byte {
	dst = append(dst, 0x80|byte(op))
	switch {
	case n < 126:
		return append(dst, byte(n))
	case n <= 0xffff:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
}

// ParseClose returns the code in the payload of a close frame, 0 if it has none. An error is
// an *Error.
func ParseClose(payload []byte) (code uint16, err error) {
	switch len(payload) {
	case 0:
		return 0, nil
	case 1:
		return 0, errCloseCode
	}
	status, reason := ws.ParseCloseFrameData(payload)
	switch err := ws.CheckCloseFrameData(status, reason); err {
	case nil:
		return uint16(status), nil
	case ws.ErrProtocolInvalidUTF8:
		return 0, &Error{uint16(ws.StatusInvalidFramePayloadData), err.Error()}
	default:
		return 0, &Error{uint16(ws.StatusProtocolError), err.Error()}
	}
}
