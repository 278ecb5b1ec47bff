//go:build linux

package poller

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// proxyV2 is a header of version 2 with an address block and n bytes of extensions.
func proxyV2(command, family byte, block []byte, n int) string {
	b := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), 0x20|command, family)
	b = binary.BigEndian.AppendUint16(b, uint16(len(block)+n))
	b = append(b, block...)
	if n >= 3 { // one extension, PP2_TYPE_NOOP
		b = append(b, 0x04, byte((n-3)>>8), byte(n-3))
		n -= 3
	}
	return string(append(b, make([]byte, n)...))
}

// addressBlock returns the address block of a header from client to a server.
func addressBlock(client netip.AddrPort) []byte {
	b := append(client.Addr().AsSlice(), make([]byte, len(client.Addr().AsSlice()))...)
	b = binary.BigEndian.AppendUint16(b, client.Port())
	return append(b, 0x14, 0x66)
}

var (
	client4 = netip.MustParseAddrPort("192.0.2.7:4711")
	client6 = netip.MustParseAddrPort("[2001:db8::7]:4712")
)

// proxyHeaders are valid headers and the address in each.
var proxyHeaders = []struct {
	desc, header string
	client       netip.AddrPort
}{
	{"v1, IPv4", "PROXY TCP4 192.0.2.7 198.51.100.1 4711 5222\r\n", client4},
	{"v1, IPv6", "PROXY TCP6 2001:db8::7 2001:db8::1 4712 5222\r\n", client6},
	{"v1, IPv4 as IPv6", "PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 4711 5222\r\n", client4},
	{"v1, unknown", "PROXY UNKNOWN\r\n", netip.AddrPort{}},
	{"v1, unknown, longest", "PROXY UNKNOWN " + strings.Repeat("f", 91) + "\r\n", netip.AddrPort{}},
	{"v2, IPv4", proxyV2(1, 0x11, addressBlock(client4), 0), client4},
	{"v2, IPv6", proxyV2(1, 0x21, addressBlock(client6), 0), client6},
	{"v2, IPv4, extension", proxyV2(1, 0x11, addressBlock(client4), 60), client4},
	{"v2, longest", proxyV2(1, 0x21, addressBlock(client6), maxProxyHeader-16-36), client6},
	{"v2, Unix socket", proxyV2(1, 0x31, make([]byte, 216), 0), netip.AddrPort{}},
	{"v2, unspecified", proxyV2(1, 0, nil, 8), netip.AddrPort{}},
	{"v2, local", proxyV2(0, 0, nil, 0), netip.AddrPort{}},
	{"v2, local with an address", proxyV2(0, 0x11, addressBlock(client4), 0), netip.AddrPort{}},
}

// TestProxyHeaderSize: with any bytes after it, and split anywhere, exactly the bytes of
// a header are consumed.
func TestProxyHeaderSize(t *testing.T) {
	for _, test := range proxyHeaders {
		for _, after := range []string{"", "\r\n", "PROXY ", "<stream", "\x16\x03\x01", strings.Repeat("x", maxProxyHeader)} {
			all := []byte(test.header + after)
			if n, whole, err := proxyHeaderSize(all); n != len(test.header) || !whole || err != nil {
				t.Errorf("%s, then %.9q: %d bytes, %v, %v; want %d", test.desc, after, n, whole, err, len(test.header))
			}
		}
		for i := range len(test.header) {
			if n, whole, err := proxyHeaderSize([]byte(test.header[:i])); n != i || whole || err != nil {
				t.Errorf("%s, %d bytes of it: %d bytes, %v, %v", test.desc, i, n, whole, err)
			}
		}
		if client, err := parseProxyHeader([]byte(test.header)); client != test.client || err != nil {
			t.Errorf("%s: %v, %v; want %v", test.desc, client, err, test.client)
		}
	}
}

// TestProxyCut: a proxy may send the header byte by byte, over a plain connection. Data
// after the header reaches the handler, and the connection has the client's address.
func TestProxyCut(t *testing.T) {
	s := serve(t, Config{Loops: 2, Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, nil, nil)
	l := s.listeners[0]
	received := func() int {
		n := make(chan int)
		l.loop.post(nil, func(int) {
			have := 0
			for h := range l.headers {
				have += len(h.have)
			}
			n <- have
		})
		return <-n
	}
	for _, test := range proxyHeaders {
		if len(test.header) > 232 { // without extensions it is never longer
			continue
		}
		c := dial(t, s.addr)
		last := len(test.header) - 1
		for i := range last {
			_, _ = c.Write([]byte{test.header[i]})
			eventually(t, test.desc+": the byte is read", func() bool { return received() == i+1 })
		}
		_, _ = c.Write([]byte(test.header[last:] + "hello"))
		expect(t, c, "hello")
		e := <-s.conns
		want := test.client
		if !want.IsValid() {
			want = c.LocalAddr().(*net.TCPAddr).AddrPort()
		}
		if got := e.c.RemoteAddr(); got != want {
			t.Errorf("%s: from %v, want %v", test.desc, got, want)
		}
		_ = c.Close()
		if err := reason(t, e); !errors.Is(err, io.EOF) {
			t.Errorf("%s: ended with %v", test.desc, err)
		}
		if got := e.c.RemoteAddr(); got.IsValid() {
			t.Errorf("%s: the closed connection is from %v", test.desc, got)
		}
	}
	for _, chunk := range s.proxied.chunks {
		if chunk != nil {
			t.Error("addresses of closed connections are kept")
		}
	}
}

// TestProxyTLS: TLS follows the header, directly or by STARTTLS, in both versions; the
// header and the ClientHello may arrive in one piece.
func TestProxyTLS(t *testing.T) {
	for _, start := range []bool{false, true} {
		direct, data := testTLS(t), (func(*echo, []byte) int)(nil)
		if start {
			direct, data = nil, startTLS(t, direct)
		}
		s := serve(t, Config{Loops: 1, Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}, direct, data)
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for _, test := range proxyHeaders {
				raw := dial(t, s.addr)
				conn := &prefixed{TCPConn: raw, prefix: []byte(test.header)}
				if start {
					_, _ = conn.Write([]byte("starttls"))
					expect(t, raw, "proceed")
				}
				c := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
				_, _ = c.Write([]byte("hello"))
				expect(t, c, "hello")
				e := <-s.conns
				if got := e.c.RemoteAddr(); test.client.IsValid() && got != test.client || !e.c.Secure() {
					t.Errorf("starttls %v, %s, %s: from %v", start, tls.VersionName(version), test.desc, got)
				}
				_ = c.Close()
			}
		}
	}
}

// prefixed sends a prefix together with the first bytes.
type prefixed struct {
	*net.TCPConn
	prefix []byte
}

func (p *prefixed) Write(b []byte) (int, error) {
	_, err := p.TCPConn.Write(append(p.prefix, b...))
	p.prefix = nil
	return len(b), err
}

// TestProxyInvalid: a proxy's connection without a valid header is closed, and no handler
// is created. It is logged once a minute.
func TestProxyInvalid(t *testing.T) {
	var log syncBuffer
	s := serve(t, Config{Loops: 1, Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Logger: slog.New(slog.NewTextHandler(&log, nil))}, nil, nil)
	invalid := map[string]string{
		"a stream":                     "<?xml version='1.0'?><stream:stream to='localhost'>",
		"a ClientHello":                string(clientHello(t)),
		"another word":                 "PROXX TCP4 192.0.2.7 198.51.100.1 4711 5222\r\n",
		"no space":                     "PROXYTCP4 192.0.2.7 198.51.100.1 4711 5222\r\n",
		"v1, too long":                 "PROXY UNKNOWN " + strings.Repeat("f", 94),
		"v1, too long, ended":          "PROXY UNKNOWN " + strings.Repeat("f", 92) + "\r\n",
		"v1, no address":               "PROXY TCP4 192.0.2 198.51.100.1 4711 5222\r\n",
		"v1, another family":           "PROXY TCP4 2001:db8::7 2001:db8::1 4711 5222\r\n",
		"v1, port":                     "PROXY TCP4 192.0.2.7 198.51.100.1 65536 5222\r\n",
		"v1, only LF":                  "PROXY TCP4 192.0.2.7 198.51.100.1 4711 5222\n<stream>\r\n",
		"v2, signature":                "\r\n\r\n\x00\r\nQUIT\r" + proxyV2(1, 0x11, addressBlock(client4), 0)[12:],
		"v2, version":                  proxyV2(1, 0x11, addressBlock(client4), 0)[:12] + "\x31\x11\x00\x00",
		"v2, command":                  proxyV2(2, 0x11, addressBlock(client4), 0),
		"v2, family":                   proxyV2(1, 0x13, addressBlock(client4), 0),
		"v2, too short for the family": proxyV2(1, 0x21, addressBlock(client4), 0),
		"v2, too long":                 proxyV2(1, 0x11, addressBlock(client4), maxProxyHeader)[:16],
		"v2, longest length":           string(append([]byte(proxyV2(1, 0x11, nil, 0)[:14]), 0xff, 0xff)),
	}
	n := int64(0)
	for desc, header := range invalid {
		c := dial(t, s.addr)
		_, _ = c.Write([]byte(header))
		_ = c.CloseWrite()
		if b, err := io.ReadAll(c); len(b) > 0 && err == nil {
			t.Errorf("%s: the server sent %q", desc, b)
		}
		n++
		if got := s.Stats().Refused; got != n {
			t.Errorf("%s: %d refused, want %d", desc, got, n)
		}
	}
	// The connection ends within a header, and before it, as after a health check.
	for _, header := range []string{"PROXY TCP4 192.0", proxyV2(1, 0x11, addressBlock(client4), 0)[:27], ""} {
		c := dial(t, s.addr)
		_, _ = c.Write([]byte(header))
		_ = c.CloseWrite()
		_, _ = io.ReadAll(c)
	}
	if got := s.Stats().RefusedBy[RefusedHeader]; got != n+2 {
		t.Errorf("%d refused, want %d", got, n+2)
	}
	if len(s.conns) > 0 {
		t.Error("a handler was created")
	}
	if n := strings.Count(log.String(), "no valid PROXY protocol header"); n != 1 {
		t.Errorf("%d lines in the log:\n%s", n, &log)
	}
}

// TestProxyLate: a header that is not complete in time ends the connection, and so does
// closing the listener or the poller.
func TestProxyLate(t *testing.T) {
	s := serve(t, Config{Loops: 1, Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, ProxyTimeout: time.Second}, nil, nil)
	c := dial(t, s.addr)
	_, _ = c.Write([]byte("PROXY "))
	if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d bytes, %v", n, err)
	}
	if got := s.Stats(); got.Refused != 1 || got.Conns != 0 {
		t.Errorf("%+v", got)
	}

	s = serve(t, Config{Loops: 1, Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}, nil, nil)
	c = dial(t, s.addr)
	_, _ = c.Write([]byte("PROXY "))
	l := s.listeners[0]
	eventually(t, "the header has begun", func() bool {
		n := make(chan int)
		l.loop.post(nil, func(int) { n <- len(l.headers) })
		return <-n == 1
	})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the listener has closed: %d bytes, %v", n, err)
	}
}

// TestProxyUnlisted: a header from an address that is not listed is ordinary input.
func TestProxyUnlisted(t *testing.T) {
	for _, cfg := range []Config{{}, {Proxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("::/0")}}} {
		s := serve(t, cfg, nil, nil)
		c := dial(t, s.addr)
		_, _ = c.Write([]byte(proxyHeaders[0].header))
		expect(t, c, proxyHeaders[0].header)
		e := <-s.conns
		if got, want := e.c.RemoteAddr().String(), c.LocalAddr().String(); got != want {
			t.Errorf("from %v, want %v", got, want)
		}
	}
}

// TestProxyLimits: limits apply to the client's address, even if it is also a proxy's,
// and not to the proxy.
func TestProxyLimits(t *testing.T) {
	const limit = 3
	s := serve(t, Config{Loops: 1, MaxPerAddress: limit, MaxAttempts: math.MaxInt32, UnauthMemory: 64 << 20,
		Proxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, nil, nil)
	l := s.listeners[0]
	header := func(client string) string {
		return fmt.Sprintf("PROXY TCP4 %s 198.51.100.1 4711 5222\r\n", client)
	}
	for range 2 * limit {
		f := outsider(t, l, host(1))
		_, _ = f.Write([]byte("PROXY UNKNOWN\r\nhello"))
		expect(t, f, "hello")
	}
	for _, client := range []string{"192.0.2.9", "203.0.113.5"} {
		refused := s.Stats().Refused
		for range limit {
			f := outsider(t, l, host(1))
			_, _ = f.Write([]byte(header(client) + "hello"))
			expect(t, f, "hello")
		}
		f := outsider(t, l, host(1))
		_, _ = f.Write([]byte(header(client) + "hello"))
		if b, err := io.ReadAll(f); len(b) > 0 {
			t.Errorf("the connection over the limit got %q, %v", b, err)
		}
		if got := s.Stats().Refused - refused; got != 1 {
			t.Errorf("%s: %d refused, want 1", client, got)
		}
	}
	s.unauth.mu.Lock()
	defer s.unauth.mu.Unlock()
	for _, client := range []string{"192.0.2.1", "192.0.2.9", "203.0.113.5"} {
		if s.unauth.networks[shareNetwork(netip.MustParseAddr(client))] == nil {
			t.Errorf("memory before authentication is not counted for %s", client)
		}
	}
}

// TestProxyManyAtOnce: each of many concurrent connections has its client's address.
func TestProxyManyAtOnce(t *testing.T) {
	s := serve(t, Config{Loops: 2, Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}, nil, nil)
	var wg sync.WaitGroup
	for i := range 600 { // more than one chunk of addresses
		c := dial(t, s.addr)
		client := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), uint16(i))
		wg.Go(func() {
			_, _ = c.Write([]byte(proxyV2(1, 0x11, addressBlock(client), 0) + client.String()))
			got := make([]byte, len(client.String()))
			if _, err := io.ReadFull(c, got); err != nil || string(got) != client.String() {
				t.Errorf("%q, %v; want %v", got, err, client)
			}
		})
	}
	wg.Wait()
	seen := make(map[netip.AddrPort]bool)
	for range 600 {
		seen[(<-s.conns).c.RemoteAddr()] = true
	}
	if len(seen) != 600 {
		t.Errorf("%d addresses, want 600", len(seen))
	}
}

// FuzzProxyHeader: any input split in two pieces gives the same result as in one, within
// the limits.
func FuzzProxyHeader(f *testing.F) {
	for _, test := range proxyHeaders {
		f.Add([]byte(test.header+"hello"), 7)
	}
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		n, whole, err := proxyHeaderSize(b)
		if n > len(b) || n > maxProxyHeader || whole && n == 0 || err != nil && whole {
			t.Fatalf("%d bytes of %d, %v, %v", n, len(b), whole, err)
		}
		if cut = max(0, min(cut, len(b))); err == nil {
			first, early, err := proxyHeaderSize(b[:cut])
			if err != nil || first > n || early && first != n {
				t.Fatalf("cut at %d: %d bytes, %v, %v; whole: %d", cut, first, early, err, n)
			}
			if second, end, err := proxyHeaderSize(append(bytes.Clone(b[:first]), b[first:]...)); second != n || end != whole || err != nil {
				t.Fatalf("cut at %d: then %d bytes, %v, %v; whole: %d", cut, second, end, err, n)
			}
		}
		if !whole {
			return
		}
		client, err := parseProxyHeader(b[:n])
		if err != nil && client.IsValid() || client.Addr().Is4In6() {
			t.Fatalf("%v, %v", client, err)
		}
	})
}
