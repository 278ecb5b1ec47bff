package session

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"testing"
)

// newLeaf returns a certificate, signed with SHA-256.
func newLeaf(t *testing.T, serial int64) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x := &x509.Certificate{SerialNumber: big.NewInt(serial)}
	der, err := x509.CreateCertificate(rand.Reader, x, x, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

// TestEndpoints: tls-server-end-point is the hash of the certificate of this connection ([RFC
// 5929 section 4]), whichever certificate the connection before it had.
//
// [RFC 5929 section 4]: https://www.rfc-editor.org/rfc/rfc5929#section-4
func TestEndpoints(t *testing.T) {
	var e endpoints
	a, b := newLeaf(t, 1), newLeaf(t, 2)
	for i, leaf := range []*x509.Certificate{a, a, b, a, nil, b} {
		c := e.bindingsOf(&tls.ConnectionState{Version: tls.VersionTLS12, TLSUnique: []byte("unique")}, leaf)
		if leaf == nil {
			if c.endpoint.IsSupported() {
				t.Errorf("connection %d has a binding to no certificate", i)
			}
			continue
		}
		if sum := sha256.Sum256(leaf.Raw); !bytes.Equal(c.endpoint.Data, sum[:]) || c.endpoint.Type != "tls-server-end-point" {
			t.Errorf("connection %d has the binding %s %x, want %x", i, c.endpoint.Type, c.endpoint.Data, sum)
		}
	}
	if n := testing.AllocsPerRun(10, func() { e.of(b) }); n > 0 {
		t.Errorf("the binding of the last certificate is computed again, with %v allocations", n)
	}
}
