//go:build linux

package poller

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

func testTLS(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// TestTLS: direct TLS in both versions, complete and in small pieces, with its kinds of
// ends distinguished.
func TestTLS(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s := serve(t, Config{Loops: 1}, testTLS(t), nil)
		raw := dial(t, s.addr)
		c := tls.Client(byteWriter{raw}, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
		text := strings.Repeat("over TLS ", 5000)
		go func() { _, _ = c.Write([]byte(text)) }()
		expect(t, c, text)
		e := <-s.conns
		if !e.secured.Load() || !e.c.Secure() {
			t.Error("Secured was not called")
		}
		_ = c.CloseWrite()
		if err := reason(t, e); err != io.EOF {
			t.Errorf("close_notify: %v, want EOF", err)
		}
		raw = dial(t, s.addr)
		c = tls.Client(raw, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
		_, _ = c.Write([]byte("x"))
		expect(t, c, "x")
		_ = raw.CloseWrite()
		if err := reason(t, <-s.conns); err != ErrTruncated {
			t.Errorf("no close_notify: %v, want ErrTruncated", err)
		}
	}
}

// byteWriter writes in small pieces.
type byteWriter struct{ net.Conn }

func (d byteWriter) Write(p []byte) (int, error) {
	for i := 0; i < len(p); i += 97 {
		if n, err := d.Conn.Write(p[i:min(i+97, len(p))]); err != nil {
			return i + n, err
		}
	}
	return len(p), nil
}

// TestStartTLS: output queued before goes out as cleartext, later input is TLS.
func TestStartTLS(t *testing.T) {
	cfg := testTLS(t)
	s := serve(t, Config{Loops: 1}, nil, startTLS(t, cfg))
	raw := dial(t, s.addr)
	_, _ = raw.Write([]byte("starttls"))
	expect(t, raw, "proceed")
	c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	_, _ = c.Write([]byte("secret"))
	expect(t, c, "secret")
}

// TestNoHandshake: a client that does not speak TLS is disconnected; a stalled handshake
// uses no goroutine and ends in time.
func TestNoHandshake(t *testing.T) {
	s := serve(t, Config{Loops: 1}, testTLS(t), nil)
	c := dial(t, s.addr)
	_, _ = c.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	if err := reason(t, <-s.conns); !errors.Is(err, ErrHandshake) {
		t.Errorf("%v, want ErrHandshake", err)
	}
	before := runtime.NumGoroutine()
	for range 50 {
		c := dial(t, s.addr)
		_, _ = c.Write([]byte{22, 3, 1, 2, 0, 1})
	}
	eventually(t, "all accepted", func() bool { return s.Stats().Conns == 50 })
	if n := runtime.NumGoroutine() - before; n > 10 {
		t.Errorf("%d goroutines for stalled handshakes", n)
	}
	for range 50 {
		e := <-s.conns
		e.c.SetDeadline(time.Second)
		s.later(3 * time.Second)
		if err := reason(t, e); err != ErrDeadline {
			t.Errorf("%v, want ErrDeadline", err)
		}
	}
}
