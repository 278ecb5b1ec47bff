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
	"testing"
	"time"
)

// certificateFor creates a self-signed certificate for a domain.
func certificateFor(t testing.TB, domain string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{domain}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TestSNI: over direct TLS and STARTTLS each domain gets its certificate, in both
// versions and by all ways of selecting one; without a name, the client gets the first.
func TestSNI(t *testing.T) {
	certs := []tls.Certificate{certificateFor(t, "capulet.example"), certificateFor(t, "montague.example")}
	ways := map[string]*tls.Config{
		"list": {Certificates: certs},
		"asked": {GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			for i := range certs {
				if hello.SupportsCertificate(&certs[i]) == nil {
					return &certs[i], nil
				}
			}
			return &certs[0], nil
		}},
		"config": {GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if hello.ServerName == "montague.example" {
				return &tls.Config{Certificates: certs[1:]}, nil
			}
			return &tls.Config{Certificates: certs[:1]}, nil
		}},
	}
	for way, cfg := range ways {
		for _, start := range []bool{false, true} {
			direct, data := cfg, (func(*echo, []byte) int)(nil)
			if start {
				direct, data = nil, startTLS(t, cfg)
			}
			s := serve(t, Config{Loops: 1}, direct, data)
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				for name, want := range map[string]string{
					"capulet.example": "capulet.example", "montague.example": "montague.example", "": "capulet.example",
				} {
					raw := dial(t, s.addr)
					if start {
						_, _ = raw.Write([]byte("starttls"))
						expect(t, raw, "proceed")
					}
					c := tls.Client(raw, &tls.Config{ServerName: name, InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
					_, _ = c.Write([]byte("x"))
					expect(t, c, "x")
					if got := c.ConnectionState().PeerCertificates[0].DNSNames[0]; got != want {
						t.Errorf("%s, starttls %v, %s, %q: the certificate of %s, want %s", way, start, tls.VersionName(version), name, got, want)
					}
				}
			}
		}
	}
}

// startTLS is a handler that starts TLS on request, and echoes input received through it.
func startTLS(t testing.TB, cfg *tls.Config) func(*echo, []byte) int {
	return func(e *echo, p []byte) int {
		switch {
		case !e.c.Secure():
			_ = e.c.Queue([]byte("proceed"))
			if err := e.c.StartTLS(cfg); err != nil {
				t.Error(err)
			}
		case e.c.Queue(p) == nil:
			e.c.Flush()
		}
		return len(p)
	}
}

// clientHello returns the first message of a client.
func clientHello(t testing.TB) []byte {
	t.Helper()
	a, b := net.Pipe()
	go func() { _ = tls.Client(a, &tls.Config{InsecureSkipVerify: true}).Handshake() }()
	_ = b.SetDeadline(time.Now().Add(waitLimit))
	head := make([]byte, 5)
	if _, err := io.ReadFull(b, head); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, int(head[3])<<8|int(head[4]))
	if _, err := io.ReadFull(b, body); err != nil {
		t.Fatal(err)
	}
	_ = b.Close()
	_ = a.Close()
	return append(head, body...)
}

// TestStalledHandshakes: clients that stop in the middle of a handshake use no more
// goroutines than the limit of handshakes, and no slot for longer than the handler's
// deadline; then others are served.
func TestStalledHandshakes(t *testing.T) {
	const limit = 4
	s := serve(t, Config{Loops: 1, Handshakes: limit}, testTLS(t), nil)
	hello := clientHello(t)
	before := runtime.NumGoroutine()
	const stalled = 50
	for range stalled {
		_, _ = dial(t, s.addr).Write(hello)
	}
	eventually(t, "all have begun", func() bool { return s.Stats().Handshake == stalled })
	if n := runtime.NumGoroutine() - before; n > limit {
		t.Errorf("%d goroutines for %d handshakes", n, limit)
	}
	for range stalled {
		e := <-s.conns
		e.c.SetDeadline(time.Second)
		s.later(3 * time.Second)
		if err := reason(t, e); err != ErrDeadline {
			t.Errorf("%v, want ErrDeadline", err)
		}
	}
	eventually(t, "no handshake is under way", func() bool { return s.Stats().Handshake == 0 })
	c := tls.Client(dial(t, s.addr), &tls.Config{InsecureSkipVerify: true})
	_, _ = c.Write([]byte("x"))
	expect(t, c, "x")
}

// TestHelloByteByByte: a ClientHello that arrives byte by byte uses no goroutine before
// it is complete, and the handler's deadline ends it.
func TestHelloByteByByte(t *testing.T) {
	s := serve(t, Config{Loops: 1}, testTLS(t), nil)
	hello := clientHello(t)
	c := dial(t, s.addr)
	e := <-s.conns
	e.c.SetDeadline(time.Minute)
	for i := range hello[:len(hello)-1] {
		before := s.Stats().Reads
		if _, err := c.Write(hello[i : i+1]); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the byte was read", func() bool { return s.Stats().Reads > before })
		if i%100 == 0 {
			s.later(time.Second)
		}
	}
	if n := s.Stats().Handshake; n != 0 {
		t.Errorf("%d handshakes were started for a partial ClientHello", n)
	}
	s.later(time.Minute)
	if err := reason(t, e); err != ErrDeadline {
		t.Errorf("%v, want ErrDeadline", err)
	}
}

// TestHugeHello: a first record longer than allowed is rejected without waiting for it.
func TestHugeHello(t *testing.T) {
	s := serve(t, Config{Loops: 1}, testTLS(t), nil)
	c := dial(t, s.addr)
	_, _ = c.Write([]byte{22, 3, 1, 0xff, 0xff})
	_, _ = io.ReadAll(c)
	_ = c.Close()
	if err := reason(t, <-s.conns); !errors.Is(err, ErrHandshake) {
		t.Errorf("%v, want ErrHandshake", err)
	}
}

// TestCutInHandshake: a peer that vanishes in the middle of its handshake leaves nothing
// in the server, whatever the state.
func TestCutInHandshake(t *testing.T) {
	s := serve(t, Config{Loops: 1, Handshakes: 2}, testTLS(t), nil)
	hello := clientHello(t)
	files, goroutines := openFiles(t), runtime.NumGoroutine()
	for i := range 60 {
		c := dial(t, s.addr)
		_, _ = c.Write(hello[:len(hello)*(i%3+1)/3])
		if i%2 == 0 {
			_ = c.SetLinger(0)
		}
		_ = c.Close()
	}
	for range 60 {
		if err := reason(t, <-s.conns); err == nil {
			t.Error("nil, want an error")
		}
	}
	eventually(t, "no handshake is under way", func() bool { return s.Stats().Handshake == 0 })
	eventually(t, "descriptors are back", func() bool { return openFiles(t) <= files })
	eventually(t, "goroutines are back", func() bool { return runtime.NumGoroutine() <= goroutines })
}
