package leantls

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
)

// twins are two implementations of one end of a session, crypto/tls and leantls, that
// read the same bytes.
type twins struct {
	std    *tls.Conn
	conn   *nonBlocking
	in     *queue // input of std
	lean   State
	client half // seals the input of both
}

// never is the error of a connection that has no input.
type never struct{}

func (never) Error() string   { return "nothing waits" }
func (never) Timeout() bool   { return true }
func (never) Temporary() bool { return true }

// nonBlocking returns never where a memConn would wait.
type nonBlocking struct {
	*memConn
	on  bool
	now net.Conn // used instead, if not nil
}

func (c *nonBlocking) Write(p []byte) (int, error) {
	if c.now != nil {
		return c.now.Write(p)
	}
	return c.memConn.Write(p)
}

func (c *nonBlocking) Read(p []byte) (int, error) {
	if c.now != nil {
		return c.now.Read(p)
	}
	if c.on {
		c.in.mu.Lock()
		empty := c.in.b.Len() == 0 && !c.in.closed
		c.in.mu.Unlock()
		if empty {
			return 0, never{}
		}
	}
	return c.memConn.Read(p)
}

func newTwins(t testing.TB, cfg *tls.Config) *twins {
	t.Helper()
	var secrets Secrets
	a, b := newQueue(), newQueue()
	conn := &nonBlocking{memConn: &memConn{in: a, out: b, records: true}}
	w := &twins{conn: conn, in: a, std: tls.Server(conn, Config(cfg, func(net.Conn) *Secrets { return &secrets }))}
	c := tls.Client(&memConn{in: b, out: a}, &tls.Config{InsecureSkipVerify: true, CurvePreferences: []tls.CurveID{tls.X25519}})
	done := make(chan error, 1)
	go func() { done <- c.Handshake() }()
	if err := errors.Join(w.std.Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
	st := w.std.ConnectionState()
	use, secret := suiteOf(st.CipherSuite), bytes.Clone(secrets.secret(clientTraffic))
	if err := w.lean.Start(&st, &secrets, conn.written); err != nil {
		t.Fatal(err)
	}
	w.client.start(use, secret, 0)
	_ = b.takeAll()
	conn.on, conn.records = true, false
	return w
}

// verdict is how far a reader got.
type verdict struct {
	data []byte
	end  string // "": continues, "closed", "refused", "peer's alert"

	// stricter: leantls rejects what crypto/tls accepts, or does not reject yet: a
	// change_cipher_spec after the handshake, which RFC 8446 section 5 requires to be
	// "treated as an unexpected record type"
	// (https://www.rfc-editor.org/rfc/rfc8446#section-5), and an invalid header of a
	// record or an incomplete handshake message.
	stricter bool
}

// viaStd passes bytes to crypto/tls.
func (w *twins) viaStd(p []byte) (v verdict) {
	w.in.put(p)
	buf := make([]byte, 1<<14)
	for {
		n, err := w.std.Read(buf)
		v.data = append(v.data, buf[:n]...)
		var op *net.OpError
		switch {
		case err == nil:
		case errors.As(err, new(never)):
			return v
		case err == io.EOF:
			v.end = "closed"
			return v
		case errors.As(err, &op) && op.Op == "remote error":
			v.end = "peer's alert"
			return v
		default:
			v.end = "refused"
			return v
		}
	}
}

// viaLean passes bytes to the lean session.
func (w *twins) viaLean(p []byte) (v verdict) {
	for len(p) > 0 {
		n, err := RecordLen(p)
		if err != nil {
			v.end = "refused"
			v.stricter = p[0] == typeChange || len(p) < HeaderLen || len(p) < HeaderLen+int(p[3])<<8+int(p[4])
			return v
		}
		if n == 0 || n > len(p) {
			return v
		}
		kind, data, err := w.lean.Open(w.lean.ReadKeys(nil), p[:n])
		if inner := bytes.TrimRight(p[HeaderLen:n-min(n-HeaderLen, tagLen)], "\x00"); err == errInnerType {
			v.stricter = inner[len(inner)-1] == typeChange
		}
		v.stricter = v.stricter || err == errHandshake || err == errLength
		p = p[n:]
		v.data = append(v.data, data...)
		var peer PeerError
		switch {
		case errors.As(err, &peer):
			v.end = "peer's alert"
			return v
		case err != nil:
			v.end = "refused"
			return v
		case kind == Closed:
			v.end = "closed"
			return v
		}
	}
	return v
}

// agree compares both on the same bytes.
func (w *twins) agree(t *testing.T, wire []byte) verdict {
	t.Helper()
	std, lean := w.viaStd(bytes.Clone(wire)), w.viaLean(bytes.Clone(wire))
	if lean.stricter && std.end == "" {
		std.end = lean.end
	}
	if std.end != lean.end || !bytes.Equal(std.data, lean.data) {
		t.Errorf("crypto/tls: %d bytes, %q; lean: %d bytes, %q; for %.100x", len(std.data), std.end, len(lean.data), lean.end, wire)
	}
	return lean
}

// script is a list of inner plaintexts: two bytes of length each, then the text.
func script(inners ...string) (b []byte) {
	for _, s := range inners {
		b = append(b, byte(len(s)>>8), byte(len(s)))
		b = append(b, s...)
	}
	return b
}

// maxScript keeps scripts below the limits of both implementations on floods.
const maxScript = 15

// FuzzInner: crypto/tls and leantls agree on authentic records with any content.
func FuzzInner(f *testing.F) {
	for _, s := range [][]byte{
		script("hello\x17", "world\x17\x00\x00"),
		script("a\x17", keyUpdate+"\x00\x16", "b\x17", keyUpdate+"\x01\x16", "c\x17"),
		script(keyUpdate[:2]+"\x16", keyUpdate[2:]+"\x01\x16", "c\x17"),
		script(keyUpdate + "\x01" + keyUpdate + "\x00\x16"),
		script(keyUpdate[:1]+"\x16", "a\x17"),
		script("\x01\x00\x15", "more\x17"),
		script("\x02\x28\x15"), script("\x01\x5a\x15", "a\x17"), script("\x01\x15"),
		script("\x17", "\x00\x00"), script("\x16"), script("\x01\x14"), script("x\xff"),
		script("\x04\x00\x00\x00\x16"), script("\x01\x00\x00\x02ab\x16"), script(keyUpdate + "\x02\x16"),
	} {
		f.Add(s)
	}
	cfg := testConfig(f)
	f.Fuzz(func(t *testing.T, s []byte) {
		w := newTwins(t, cfg)
		for range maxScript {
			if len(s) < 3 {
				return
			}
			n := min(int(s[0])<<8|int(s[1]), len(s)-2)
			text := s[2 : 2+n]
			s = s[2+n:]
			if n == 0 {
				continue // crypto/tls treats a record without even a type as empty data
			}
			gen := w.lean.read.gen
			if v := w.agree(t, w.client.record(text)); v.end != "" {
				// After the end neither accepts input.
				if n, err := w.std.Read(make([]byte, 1)); n != 0 || err == nil {
					t.Errorf("crypto/tls accepts input after the end: %d %v", n, err)
				}
				if _, _, err := w.lean.Open(nil, w.client.record([]byte("a\x17"))); err != ErrClosed {
					t.Errorf("lean accepts input after the end: %v", err)
				}
				return
			}
			if w.lean.read.gen != gen {
				_ = w.client.nextSecret()
			}
		}
	})
}

// FuzzWire: crypto/tls and leantls agree on any bytes instead of records, split anywhere.
func FuzzWire(f *testing.F) {
	for _, s := range []string{
		"", "\x17\x03\x03\x00\x00", "\x17\x03\x03\x00\x10" + "0123456789abcdef", "\x17\x03\x03\x41\x01",
		"\x15\x03\x03\x00\x02\x01\x00", "\x14\x03\x03\x00\x01\x01", "\x16\x03\x03\x00\x00", "\x17\x03\x01\x00\x01a", "GET / HTTP/1.1\r\n\r\n",
	} {
		f.Add([]byte(s), uint8(3), uint8(1))
	}
	cfg := testConfig(f)
	f.Fuzz(func(t *testing.T, garbage []byte, before, changed uint8) {
		w := newTwins(t, cfg)
		var wire []byte
		for i := range before % 4 {
			wire = append(wire, w.client.record(inner(typeData, fmt.Sprint("record ", i)))...)
		}
		if n := len(wire); n > 0 && changed%3 == 0 {
			wire[int(changed)%n] ^= 1 << (changed % 8)
		}
		w.agree(t, append(wire, garbage...))
	})
}

// FuzzSecrets: no line makes Write fail, or starts a session without all four secrets.
func FuzzSecrets(f *testing.F) {
	f.Add([]byte("CLIENT_TRAFFIC_SECRET_0 00 00\n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		var s Secrets
		if n, err := s.Write(line); n != len(line) || err != nil {
			t.Errorf("Write: %d %v", n, err)
		}
		if s.complete(32) || s.complete(48) {
			t.Error("one line was taken for four secrets")
		}
	})
}

// FuzzWritten: no handshake output makes countSent fail, and modified output proves
// nothing.
func FuzzWritten(f *testing.F) {
	f.Add([]byte{22, 3, 3, 0, 1, 2}, uint16(0), uint8(0))
	f.Add([]byte{23, 3, 3, 0, 1, 2}, uint16(700), uint8(1))
	cfg := testConfig(f)
	f.Fuzz(func(t *testing.T, more []byte, at uint16, bit uint8) {
		st, secrets, written := handshake(t, cfg, ticketClient())
		whole := bytes.Clone(written)
		written[int(at)%len(written)] ^= 1 << (bit % 8)
		// A byte of the hellos or of a header's version may change: the proof does not
		// cover them.
		_, _ = countSent(suiteOf(st.CipherSuite), secrets, append(written, more...))
		if n, ok := countSent(suiteOf(st.CipherSuite), secrets, append(whole, more...)); ok && (len(more) > 0 || n != 1) {
			t.Errorf("%d records followed by %x", n, more)
		}
	})
}
