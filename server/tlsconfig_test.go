package server

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xdg-go/scram"

	"roost/internal/xmpptest"
)

// certified starts a server with direct TLS and an operator's certificate for each
// domain, the first of which is localhost. renew creates new files.
func certified(t *testing.T, domains ...string) (s *Server, renew func()) {
	t.Helper()
	var dirs, certs, keys []string
	for range domains {
		dir := t.TempDir()
		cert, key := SelfSignedFiles(dir)
		dirs, certs, keys = append(dirs, dir), append(certs, cert), append(keys, key)
	}
	renew = func() {
		t.Helper()
		for i, domain := range domains {
			_, _ = os.Remove(certs[i]), os.Remove(keys[i])
			one, _ := certConfig(t, dirs[i], domain)
			if _, err := NewCertificates(one); err != nil {
				t.Fatal(err)
			}
		}
	}
	renew()
	s = startServer(t, func(c *Config) {
		c.C2STLS, c.Session.AllowPlaintext, c.Domains, c.TLSCert, c.TLSKey = "127.0.0.1:0", false, domains, certs, keys
	})
	return s, renew
}

// anyTicket is a client that presents its last ticket for any name.
type anyTicket struct{ state *tls.ClientSessionState }

func (a *anyTicket) Get(string) (*tls.ClientSessionState, bool)  { return a.state, a.state != nil }
func (a *anyTicket) Put(_ string, state *tls.ClientSessionState) { a.state = state }

// overTLS connects a client by STARTTLS or direct TLS. The error is that of the
// handshake.
func overTLS(t *testing.T, s *Server, start bool, cfg *tls.Config) (*peer, tls.ConnectionState, error) {
	t.Helper()
	p := connect(t, s)
	if start {
		p.ask(testHeader, "</stream:features>")
		p.ask("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
	} else {
		p = dialTo(t, s.Addrs()[1].Addr.String())
	}
	cfg = cfg.Clone()
	cfg.InsecureSkipVerify = true
	conn := tls.Client(p.conn, cfg)
	p.conn = conn
	ctx, cancel := context.WithTimeout(context.Background(), xmpptest.WaitLimit)
	defer cancel()
	err := conn.HandshakeContext(ctx)
	return p, conn.ConnectionState(), err
}

func each(f func(version uint16, start bool)) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		f(version, false)
		f(version, true)
	}
}

// TestResumedAfterRenewal: a client that resumes a session uses the certificate of the
// original session (RFC 5929 section 4, https://www.rfc-editor.org/rfc/rfc5929#section-4:
// tls-server-end-point is "the hash of the TLS server's certificate"). After a renewal
// its ticket is rejected, so that its login is bound to the current certificate. Without
// a renewal it is accepted.
func TestResumedAfterRenewal(t *testing.T) {
	s, renew := certified(t, "localhost")
	client, err := scram.SHA256.NewClient("romeo", "secret", "")
	if err != nil {
		t.Fatal(err)
	}
	each(func(version uint16, start bool) {
		cfg := &tls.Config{ServerName: "localhost", MaxVersion: version, ClientSessionCache: new(anyTicket)}
		f := func(desc string, resumed bool) {
			t.Helper()
			p, state, err := overTLS(t, s, start, cfg)
			if err != nil {
				t.Fatal(err)
			}
			if state.DidResume != resumed {
				t.Errorf("TLS %x, STARTTLS %v, %s: resumed: %v", version, start, desc, state.DidResume)
			}
			endpoint, err := scram.NewTLSServerEndpointBinding(&state)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.scram(testHeader, "SCRAM-SHA-256-PLUS", client.NewConversationWithChannelBinding(endpoint)); !strings.HasPrefix(got, "<success") {
				t.Errorf("TLS %x, STARTTLS %v, %s: %s", version, start, desc, got)
			}
			_ = p.conn.Close()
		}
		reload := func() {
			t.Helper()
			if err := s.certs.Reload(); err != nil {
				t.Fatal(err)
			}
		}
		f("first", false)
		f("again", true)
		reload()
		f("after a reload of the same certificate", true)
		renew()
		reload()
		f("after a renewal", false)
		f("with the new one", true)
	})
}

// TestReloadInHandshake: reloading certificates in the middle of a client's handshake
// does not affect that handshake: tls-server-end-point is a hash of the certificate that
// the client got (RFC 5929 section 4, https://www.rfc-editor.org/rfc/rfc5929#section-4)
// or has from the session that it resumes. Bug: it was that of the new one, and the login
// failed.
func TestReloadInHandshake(t *testing.T) {
	s, renew := certified(t, "localhost")
	client, err := scram.SHA256.NewClient("romeo", "secret", "")
	if err != nil {
		t.Fatal(err)
	}
	each(func(version uint16, start bool) {
		cfg := &tls.Config{ServerName: "localhost", MaxVersion: version, ClientSessionCache: new(anyTicket)}
		for _, resumed := range []bool{false, true} {
			reloaded := cfg.Clone()
			reloaded.VerifyConnection = func(tls.ConnectionState) error { // after the server's first flight
				renew()
				return s.certs.Reload()
			}
			p, state, err := overTLS(t, s, start, reloaded)
			if err != nil {
				t.Fatal(err)
			}
			if state.DidResume != resumed {
				t.Errorf("TLS %x, STARTTLS %v: resumed: %v, want %v", version, start, state.DidResume, resumed)
			}
			endpoint, err := scram.NewTLSServerEndpointBinding(&state)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.scram(testHeader, "SCRAM-SHA-256-PLUS", client.NewConversationWithChannelBinding(endpoint)); !strings.HasPrefix(got, "<success") {
				t.Errorf("TLS %x, STARTTLS %v, resumed %v: %s", version, start, resumed, got)
			}
			_ = p.conn.Close()
			// A ticket for the current certificate.
			if p, _, err = overTLS(t, s, start, cfg); err != nil {
				t.Fatal(err)
			}
			p.ask(testHeader, "</stream:features>")
			_ = p.conn.Close()
		}
	})
}

// TestTicketsOfOtherNames: RFC 6066 section 3
// (https://www.rfc-editor.org/rfc/rfc6066#section-3): "MUST NOT accept the request to
// resume the session if the server_name extension contains a different name. Instead, it
// proceeds with a full handshake to establish a new session."
func TestTicketsOfOtherNames(t *testing.T) {
	s, _ := certified(t, "localhost", "two.example")
	each(func(version uint16, start bool) {
		cache := new(anyTicket)
		for _, tt := range []struct {
			name, shown string
			resumed     bool
		}{
			{"localhost", "localhost", false},
			{"localhost", "localhost", true},
			{"LOCALHOST", "localhost", true},
			{"two.example", "two.example", false},
			{"host.example", "localhost", false}, // the same certificate as localhost
			{"", "localhost", false},
			{"", "localhost", true},
			{"localhost", "localhost", false},
		} {
			p, state, err := overTLS(t, s, start, &tls.Config{ServerName: tt.name, MaxVersion: version, ClientSessionCache: cache})
			if err != nil {
				t.Fatal(err)
			}
			if err := state.PeerCertificates[0].VerifyHostname(tt.shown); err != nil || state.DidResume != tt.resumed {
				t.Errorf("TLS %x, STARTTLS %v, %+v: resumed %v, %v", version, start, tt, state.DidResume, err)
			}
			p.ask(testHeader, "</stream:features>") // and the ticket of TLS 1.3
			_ = p.conn.Close()
		}
	})
}

// TestALPN: XEP-0368 (https://xmpp.org/extensions/xep-0368.html#reqs): "When ALPN is
// used, the ALPN protocol MUST be 'xmpp-client'"; RFC 7301 section 3.2
// (https://www.rfc-editor.org/rfc/rfc7301#section-3.2): "In the event that the server
// supports no protocols that the client advertises, then the server SHALL respond with a
// fatal "no_application_protocol" alert." If one is selected, the session still becomes
// lean.
func TestALPN(t *testing.T) {
	s, _ := certified(t, "localhost")
	each(func(version uint16, start bool) {
		for _, tt := range []struct {
			offered []string
			want    string
			refused bool
		}{
			{nil, "", false},
			{[]string{"xmpp-client"}, "xmpp-client", false},
			{[]string{"h2", "xmpp-client", "xmpp-server"}, "xmpp-client", false},
			{[]string{"h2", "http/1.1"}, "", true},
			{[]string{"xmpp-server"}, "", true},
			{[]string{"XMPP-client"}, "", true},
		} {
			lean := s.poller.Stats().LeanTLS
			p, state, err := overTLS(t, s, start, &tls.Config{ServerName: "localhost", MaxVersion: version, NextProtos: tt.offered})
			if tt.refused {
				if err == nil || !strings.Contains(err.Error(), "no application protocol") {
					t.Errorf("TLS %x, STARTTLS %v, %q: %v", version, start, tt.offered, err)
				}
				continue
			}
			if err != nil || state.NegotiatedProtocol != tt.want {
				t.Errorf("TLS %x, STARTTLS %v, %q: selected %q, %v", version, start, tt.offered, state.NegotiatedProtocol, err)
				continue
			}
			p.login("romeo", "r")
			if n := s.poller.Stats().LeanTLS - lean; version == tls.VersionTLS13 && n != 1 {
				t.Errorf("STARTTLS %v, %q: %d lean sessions more, want 1", start, tt.offered, n)
			}
			_ = p.conn.Close()
		}
	})
}

// TestSuites: under TLS 1.2 a handshake succeeds only with suites that have ephemeral
// keys and authenticated encryption.
func TestSuites(t *testing.T) {
	for _, kind := range []string{"ECDSA", "RSA"} {
		cfg, _ := certConfig(t, t.TempDir(), "localhost")
		if kind == "RSA" {
			cfg.TLSCert, cfg.TLSKey = rsaFiles(t)
		}
		c, err := NewCertificates(cfg)
		if err != nil {
			t.Fatal(err)
		}
		accepted := 0
		for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
			if suite.SupportedVersions[0] > tls.VersionTLS12 {
				continue
			}
			want := strings.HasPrefix(suite.Name, "TLS_ECDHE_"+kind) && (strings.Contains(suite.Name, "_GCM_") || strings.Contains(suite.Name, "_CHACHA20_POLY1305_"))
			a, b := net.Pipe()
			done := make(chan error, 1)
			go func() {
				done <- tls.Client(a, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite.ID}}).Handshake()
				_ = a.Close()
			}()
			errServer := tls.Server(b, c.Config("")).Handshake()
			_ = b.Close()
			if err := <-done; (err == nil && errServer == nil) != want {
				t.Errorf("%s with a certificate of %s: %v, %v", suite.Name, kind, errServer, err)
			}
			if want {
				accepted++
			}
		}
		if accepted != 3 {
			t.Errorf("%d suites for %s, want 3", accepted, kind)
		}
	}
}

// rsaFiles returns the files of a certificate with an RSA key.
func rsaFiles(t *testing.T) (certs, keys []string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return certFiles(t, key, time.Now().Add(365*24*time.Hour))
}

// certFiles returns the files of a certificate for localhost that expires at the given
// time.
func certFiles(t *testing.T, key crypto.Signer, end time.Time) (certs, keys []string) {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"},
		NotBefore: end.Add(-366 * 24 * time.Hour), NotAfter: end}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, f := range []struct {
		name, kind string
		der        []byte
	}{{"cert.pem", "CERTIFICATE", der}, {"key.pem", "PRIVATE KEY", keyDER}} {
		if err := os.WriteFile(filepath.Join(dir, f.name), pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return []string{filepath.Join(dir, "cert.pem")}, []string{filepath.Join(dir, "key.pem")}
}
