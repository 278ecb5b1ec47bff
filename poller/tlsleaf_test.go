//go:build linux

package poller

import (
	"crypto/tls"
	"crypto/x509"
	"sync/atomic"
	"testing"
)

// shown is a handler that keeps the certificate of its handshake.
type shown struct {
	echo
	leaf chan *x509.Certificate
}

func (h *shown) Secured(_ int, _ *tls.ConnectionState, leaf *x509.Certificate) { h.leaf <- leaf }

// TestLeafOfHandshake: the handler gets the certificate that its client has received,
// with either record layer, even if the configuration for clients changes in the middle
// of the handshake.
func TestLeafOfHandshake(t *testing.T) {
	one, two := testTLS(t), testTLS(t)
	for _, cfg := range []*tls.Config{one, two} {
		cert := &cfg.Certificates[0]
		cert.Leaf, _ = x509.ParseCertificate(cert.Certificate[0])
	}
	var now atomic.Pointer[tls.Config]
	chosen := &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return now.Load(), nil }}
	byName := &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if hello.ServerName == "two" {
			return &two.Certificates[0], nil
		}
		return &one.Certificates[0], nil
	}}
	for _, std := range []bool{false, true} {
		for _, tt := range []struct {
			desc, name string
			cfg        *tls.Config
		}{{"fixed", "", one}, {"by name", "two", byName}, {"chosen", "", chosen}} {
			seen := make(chan *x509.Certificate, 1)
			p, err := New(Config{Loops: 1, StdTLS: std, Accept: func(c *Conn, _ *Listener) Handler {
				return &shown{echo: echo{c: c, closed: make(chan error, 1)}, leaf: seen}
			}})
			if err != nil {
				t.Fatal(err)
			}
			l, err := p.Listen("127.0.0.1:0", tt.cfg)
			if err != nil {
				t.Fatal(err)
			}
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				now.Store(one)
				c := tls.Client(dial(t, l.Addr().String()), &tls.Config{InsecureSkipVerify: true, ServerName: tt.name, MaxVersion: version,
					VerifyConnection: func(tls.ConnectionState) error { now.Store(two); return nil }})
				if err := c.Handshake(); err != nil {
					t.Fatal(err)
				}
				if leaf, want := <-seen, c.ConnectionState().PeerCertificates[0]; leaf == nil || !leaf.Equal(want) {
					t.Errorf("std %v, %s, TLS %x: not the certificate that the client received", std, tt.desc, version)
				}
			}
			_ = p.Close()
		}
	}
}
