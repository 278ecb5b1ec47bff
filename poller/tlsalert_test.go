//go:build linux

package poller

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
)

// inMemory is a connection on which all input, including its end, has arrived.
type inMemory struct {
	net.Conn // nil
	in       io.Reader
	out      bytes.Buffer
}

func (c *inMemory) Read(p []byte) (int, error)  { return c.in.Read(p) }
func (c *inMemory) Write(p []byte) (int, error) { return c.out.Write(p) }
func (c *inMemory) Close() error                { return nil }

// stdFirst is the first flight of a crypto/tls client.
func stdFirst(cfg *tls.Config, flight []byte) []byte {
	c := &inMemory{in: bytes.NewReader(flight)}
	_ = tls.Server(c, cfg).Handshake()
	return c.out.Bytes()
}

// alertIn returns the alert in the output of a server that has received a first flight
// only, with its record, or nothing.
func alertIn(out []byte) []byte {
	for len(out) >= recordHeader {
		n := recordHeader + int(out[3])<<8 + int(out[4])
		if n > len(out) {
			break
		}
		if out[0] == recordAlert {
			return out[:n]
		}
		out = out[n:]
	}
	return nil
}

// changed returns a ClientHello in which old is replaced.
func changed(hello []byte, old, now string) []byte {
	if !bytes.Contains(hello, []byte(old)) || len(old) != len(now) {
		panic("a ClientHello without " + old)
	}
	return bytes.Replace(hello, []byte(old), []byte(now), 1)
}

// compressed returns a ClientHello that offers a compression method instead of none.
func compressed(hello []byte) []byte {
	hello = bytes.Clone(hello)
	at := recordHeader + messageHeader + 2 + 32
	at += 1 + int(hello[at])                       // session ID
	at += 2 + int(hello[at])<<8 + int(hello[at+1]) // cipher suites
	hello[at+1] = 1
	return hello
}

// clearRecord returns a cleartext record, with version TLS 1.0 as allowed for the first
// one.
func clearRecord(typ byte, body string) []byte {
	return append([]byte{typ, 3, 1, byte(len(body) >> 8), byte(len(body))}, body...)
}

// TestFirstAlerts: invalid first flights get the alert that crypto/tls sends, or
// unexpected_message where crypto/tls closes without an alert (RFC 8446 section 5,
// https://www.rfc-editor.org/rfc/rfc8446#section-5). The alert arrives, followed by the
// end of TCP, even if the client has sent more than was read.
func TestFirstAlerts(t *testing.T) {
	cfg := testTLS(t)
	cfg.NextProtos, cfg.MinVersion = []string{"xmpp-client"}, tls.VersionTLS12
	hello := clientHello(t)
	msg := string(hello[recordHeader:])
	const own = -2 // crypto/tls has no limit there, or sends nothing
	for _, tt := range []struct {
		desc   string
		flight []byte
		std    int // sent by crypto/tls, noAlert for nothing
		want   int // own: as crypto/tls
	}{
		{"XML", []byte("<?xml version='1.0'?><stream:stream to='localhost'>"), noAlert, 10},
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), noAlert, 10},
		{"application data", clearRecord(23, "hello"), noAlert, 10},
		{"change_cipher_spec", clearRecord(20, "\x01"), noAlert, 10},
		{"an unknown type", clearRecord(99, "hello"), noAlert, 10},
		{"no version of TLS", append([]byte{22, 0x10, 0}, hello[3:]...), noAlert, 10},
		{"SSL 2.0", []byte("\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + strings.Repeat("x", 40)), 70, own},
		{"an empty record", clearRecord(22, ""), 10, own},
		{"an empty record between two", append(append(clearRecord(22, msg[:100]), clearRecord(22, "")...), clearRecord(22, msg[100:])...), 10, own},
		{"a record that is too long", clearRecord(22, msg+strings.Repeat("x", maxFragment+1-len(msg))), 22, own},
		{"a record that is much too long", clearRecord(22, msg+strings.Repeat("x", 1<<16-1-len(msg))), 22, own},
		{"HelloRequest", clearRecord(22, "\x00\x00\x00\x00"), 10, own},
		{"Finished", clearRecord(22, "\x14\x00\x00\x0c0123456789ab"), 10, own},
		{"KeyUpdate", clearRecord(22, "\x18\x00\x00\x01\x00"), 10, own},
		{"an unknown message", clearRecord(22, "\x63\x00\x00\x02xx"), 10, own},
		{"a message of 16 MB", clearRecord(22, "\x01\xff\xff\xff"+strings.Repeat("x", 100)), 80, own},
		{"a message of 20 KB", append(clearRecord(22, "\x01\x00\x50\x00"+strings.Repeat("x", 16000)), clearRecord(22, strings.Repeat("x", 20<<10-16000))...), 50, 80},
		{"an empty ClientHello", clearRecord(22, "\x01\x00\x00\x00"), 50, own},
		{"a truncated ClientHello", clearRecord(22, "\x01\x00\x00\x05\x03\x03abc"), 50, own},
		{"garbage after the extensions", clearRecord(22, "\x01"+string([]byte{0, byte((len(msg) - 3) >> 8), byte(len(msg) - 3)})+msg[4:]+"x"), 50, own},
		{"an alert of one byte", clearRecord(21, "\x01"), 10, own},
		{"an alert of three bytes", clearRecord(21, "\x01\x5a\x00"), 10, own},
		{"an alert of no level", clearRecord(21, "\x03\x28"), 10, own},
		{"close_notify", clearRecord(21, "\x01\x00"), noAlert, own},
		{"a fatal alert", clearRecord(21, "\x02\x28"), noAlert, own},
		{"17 warnings", []byte(strings.Repeat(warning, 17) + string(hello)), 10, own},
		{"versions that do not exist", changed(hello, "\x00\x2b\x00\x05\x04\x03\x04\x03\x03", "\x00\x2b\x00\x05\x04\x7f\x7f\x7f\x7e"), 70, own},
		{"an unknown compression method", compressed(hello), 47, own},
	} {
		if tt.want == own {
			tt.want = tt.std
		}
		std := alertIn(stdFirst(cfg, tt.flight))
		if got := code(std); got != tt.std {
			t.Errorf("%s: crypto/tls sends alert %d, not %d: this test is out of date", tt.desc, got, tt.std)
		}
		for _, more := range []int{0, 200 << 10} {
			s := serve(t, Config{Loops: 1}, cfg, nil)
			conn := dial(t, s.addr)
			_, _ = conn.Write(append(bytes.Clone(tt.flight), bytes.Repeat([]byte{recordHandshake}, more)...))
			out, err := io.ReadAll(conn)
			if err != nil {
				t.Errorf("%s, %d bytes after it: %v", tt.desc, more, err)
			}
			_ = conn.Close()
			got := alertIn(out)
			if code(got) != tt.want || std != nil && code(got) == tt.std && !bytes.Equal(got, std) {
				t.Errorf("%s, %d bytes after it: %x, want alert %d; crypto/tls sends %x", tt.desc, more, out, tt.want, std)
			}
			if err := reason(t, <-s.conns); !errors.Is(err, ErrHandshake) {
				t.Errorf("%s: ended with %v", tt.desc, err)
			}
			_ = s.Close()
		}
	}
}

// code returns an alert's description, noAlert for none.
func code(alert []byte) int {
	if len(alert) != 7 || alert[5] != 2 {
		return noAlert
	}
	return int(alert[6])
}

// TestAlertArrives: the alert for an invalid record arrives, followed by a proper end of
// TCP, even if there is unread input.
func TestAlertArrives(t *testing.T) {
	for _, std := range []bool{false, true} {
		s := serve(t, Config{Loops: 1, ReadBuffer: 1024, StdTLS: std}, testTLS(t), nil)
		p := newTLSPeer(t, dial(t, s.addr), nil)
		e := <-s.conns
		eventually(t, "secured", e.secured.Load)
		wrong := p.data("wrong")
		wrong[len(wrong)-1] ^= 1
		p.send(wrong, make([]byte, 3000))
		if typ, content, err := p.read(); typ != recAlert || content != "\x02\x14" || err != nil {
			t.Errorf("std %v: an invalid record causes type %d, %x, %v; want bad_record_mac", std, typ, content, err)
		}
		if rest, err := io.ReadAll(p.conn); len(rest) > 0 || err != nil {
			t.Errorf("std %v: after the alert: %x, %v", std, rest, err)
		}
		if err := reason(t, e); err == nil || err == io.EOF {
			t.Errorf("std %v: ended with %v", std, err)
		}
	}
}
