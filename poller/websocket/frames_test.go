package websocket

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unsafe"
)

// frame is a frame of a client.
func frame(first byte, payload string) string {
	mask := [4]byte{1, 2, 3, 4}
	var b []byte
	switch n := len(payload); {
	case n < 126:
		b = []byte{first, 0x80 | byte(n)}
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16([]byte{first, 0x80 | 126}, uint16(n))
	default:
		b = binary.BigEndian.AppendUint64([]byte{first, 0x80 | 127}, uint64(n))
	}
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return string(b)
}

const (
	text  = 0x81
	begin = 0x01 // of a text message with more frames
	more  = 0x00
	end   = 0x80
	ping  = 0x89
	pong  = 0x8a
	shut  = 0x88
)

// play passes bytes to a Reader in pieces of a size, and describes the messages and control
// frames that it returns.
func play(in string, size int) string {
	var r Reader
	var out, message strings.Builder
	var have []byte
	for len(in) > 0 {
		n := min(size, len(in))
		have = append(have, in[:n]...)
		in = in[n:]
		for len(have) > 0 {
			part, used, err := r.Next(have)
			var e *Error
			if errors.As(err, &e) {
				fmt.Fprintf(&out, "error %d\n", e.Code)
				return out.String()
			}
			if used == 0 {
				if len(have) > 130 {
					return fmt.Sprintf("%d bytes are kept", len(have))
				}
				break
			}
			switch part.Kind {
			case Text:
				message.Write(part.Data)
				if part.Last {
					fmt.Fprintf(&out, "message %q\n", message.String())
					message.Reset()
				}
			case Ping, Pong, Close:
				fmt.Fprintf(&out, "%d %q\n", part.Kind, part.Data)
			}
			for i := range part.Data {
				part.Data[i] = '!' // the Reader must not use it again
			}
			have = append([]byte(nil), have[used:]...)
		}
	}
	if message.Len() > 0 {
		fmt.Fprintf(&out, "part %q\n", message.String())
	}
	return out.String()
}

var long = strings.Repeat("0123456789abcdef", 5000)

// frameCases are frames and what the Reader makes of them.
var frameCases = []struct{ desc, in, want string }{
	{"a message", frame(text, "hello"), "message \"hello\"\n"},
	{"an empty message", frame(text, ""), "message \"\"\n"},
	{"of 125 bytes", frame(text, long[:125]), "message \"" + long[:125] + "\"\n"},
	{"of 126 bytes", frame(text, long[:126]), "message \"" + long[:126] + "\"\n"},
	{"of 65535 bytes", frame(text, long[:65535]), "message \"" + long[:65535] + "\"\n"},
	{"of 65536 bytes", frame(text, long[:65536]), "message \"" + long[:65536] + "\"\n"},
	{"two messages", frame(text, "a") + frame(text, "b"), "message \"a\"\nmessage \"b\"\n"},
	{"fragments", frame(begin, "hel") + frame(more, "l") + frame(end, "o"), "message \"hello\"\n"},
	{"empty fragments", frame(begin, "") + frame(more, "a") + frame(more, "") + frame(end, ""), "message \"a\"\n"},
	{"control frames between fragments", frame(begin, "a") + frame(ping, "p") + frame(more, "b") + frame(pong, "") + frame(end, "c"),
		"2 \"p\"\n3 \"\"\nmessage \"abc\"\n"},
	{"a ping of 125 bytes", frame(ping, long[:125]), "2 \"" + long[:125] + "\"\n"},
	{"a close frame", frame(shut, "\x03\xe8bye"), "4 \"\\x03\\xe8bye\"\n"},
	{"an incomplete message", frame(text, "hello")[:9], "part \"hel\"\n"},

	{"a ping of 126 bytes", frame(ping, long[:126]), "error 1002\n"},
	{"a fragmented ping", frame(0x09, ""), "error 1002\n"},
	{"a fragmented close frame", frame(0x08, ""), "error 1002\n"},
	{"no mask", "\x81\x01a", "error 1002\n"},
	{"no mask in a ping", "\x89\x00", "error 1002\n"},
	{"reserved bit 1", frame(text|0x40, "a"), "error 1002\n"},
	{"reserved bit 2", frame(text|0x20, "a"), "error 1002\n"},
	{"reserved bit 3", frame(ping|0x10, "a"), "error 1002\n"},
	{"opcode 3", frame(0x83, "a"), "error 1002\n"},
	{"opcode 7", frame(0x87, "a"), "error 1002\n"},
	{"opcode 11", frame(0x8b, ""), "error 1002\n"},
	{"opcode 15", frame(0x8f, ""), "error 1002\n"},
	{"a continuation of nothing", frame(end, "a"), "error 1002\n"},
	{"a continuation after the end", frame(text, "a") + frame(more, "b"), "message \"a\"\nerror 1002\n"},
	{"a message within another", frame(begin, "a") + frame(text, "b"), "error 1002\n"},
	{"a binary message", frame(0x82, "a"), "error 1003\n"},
	{"125 bytes with a length of 2", "\x81\xfe\x00\x7d\x01\x02\x03\x04", "error 1002\n"},
	{"65535 bytes with a length of 8", "\x81\xff\x00\x00\x00\x00\x00\x00\xff\xff\x01\x02\x03\x04", "error 1002\n"},
	{"a negative length", "\x81\xff\x80\x00\x00\x00\x00\x00\x00\x00\x01\x02\x03\x04", "error 1002\n"},
	{"2 GiB", "\x81\xff\x00\x00\x00\x00\x80\x00\x00\x00\x01\x02\x03\x04", "error 1009\n"},
	{"nearly 2 GiB", "\x81\xff\x00\x00\x00\x00\x7f\xff\xff\xff\x01\x02\x03\x04a", "part \"`\"\n"},
}

// TestFrames: the rules of RFC 6455 section 5 (https://www.rfc-editor.org/rfc/rfc6455#section-5)
// apply, and it does not matter how the bytes are split.
func TestFrames(t *testing.T) {
	for _, c := range frameCases {
		for _, size := range []int{len(c.in), 1, 2, 3, 5, 7, 64} {
			if len(c.in) > 1000 && size < 7 {
				continue
			}
			got := play(c.in, size)
			if strings.HasPrefix(c.want, "error") && strings.HasPrefix(got, "part") {
				got = got[strings.IndexByte(got, '\n')+1:]
			}
			if got != c.want {
				t.Errorf("%s, in pieces of %d: %.200s\nwant %.200s", c.desc, size, got, c.want)
			}
		}
	}
}

// TestReaderSize: each connection has a Reader.
func TestReaderSize(t *testing.T) {
	if n := unsafe.Sizeof(Reader{}); n > 12 {
		t.Errorf("%d bytes", n)
	}
}

// TestCloseCodes: codes that must not be sent are errors (RFC 6455 section 7.4,
// https://www.rfc-editor.org/rfc/rfc6455#section-7.4).
func TestCloseCodes(t *testing.T) {
	f := func(payload string, code, want uint16) {
		t.Helper()
		got, err := ParseClose([]byte(payload))
		var e *Error
		if errors.As(err, &e) && e.Code != want || err == nil && want != 0 || got != code {
			t.Errorf("%q: %d, %v; want %d, error %d", payload, got, err, code, want)
		}
	}
	with := func(code uint16, reason string) string {
		return string(binary.BigEndian.AppendUint16(nil, code)) + reason
	}
	f("", 0, 0)
	f("\x03", 0, 1002)
	for _, code := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999} {
		f(with(code, "reason"), code, 0)
	}
	for _, code := range []uint16{0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999} {
		f(with(code, ""), 0, 1002)
	}
	f(with(1000, "é"), 1000, 0)
	f(with(1000, "\xc3"), 0, 1007)
}

// TestHeaders: what the server sends is not masked and has the shortest length.
func TestHeaders(t *testing.T) {
	f := func(n int, want string) {
		t.Helper()
		if got := AppendHeader(nil, n); string(got) != want || len(got) > MaxHeader {
			t.Errorf("%d bytes: % x, want % x", n, got, want)
		}
	}
	f(0, "\x81\x00")
	f(125, "\x81\x7d")
	f(126, "\x81\x7e\x00\x7e")
	f(65535, "\x81\x7e\xff\xff")
	f(65536, "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00")
	if got := AppendPongHeader(nil, 2); string(got) != "\x8a\x02" {
		t.Errorf("pong % x", got)
	}
	if got := AppendClose(nil, 1002); string(got) != "\x88\x02\x03\xea" {
		t.Errorf("close % x", got)
	}
	if got := AppendClose(nil, 0); string(got) != "\x88\x00" {
		t.Errorf("close without a code % x", got)
	}
}

// TestFramesAllocate: reading and writing frames allocates nothing.
func TestFramesAllocate(t *testing.T) {
	in := []byte(frame(text, "hello") + frame(begin, "a") + frame(ping, "p") + frame(end, "b"))
	buf, out := make([]byte, len(in)), make([]byte, 0, 64)
	n := testing.AllocsPerRun(100, func() {
		var r Reader
		for p := buf[:copy(buf, in)]; len(p) > 0; {
			_, n, err := r.Next(p)
			if err != nil || n == 0 {
				t.Fatal(n, err)
			}
			p = p[n:]
		}
		out = AppendHeader(out[:0], 1000)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzFrames: the result does not depend on how the bytes are split.
func FuzzFrames(f *testing.F) {
	for _, c := range frameCases {
		if len(c.in) < 1000 {
			f.Add([]byte(c.in), uint16(3))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, size uint16) {
		whole := play(string(in), len(in)+1)
		for _, n := range []int{1, max(1, int(size))} {
			if got := play(string(in), n); got != whole {
				t.Fatalf("in pieces of %d: %s\nwhole: %s", n, got, whole)
			}
		}
		if strings.Contains(whole, "kept") {
			t.Fatal(whole)
		}
	})
}
