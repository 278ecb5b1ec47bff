package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xdg-go/scram"

	"roost/internal/xmpptest"
)

// TestSTARTTLS tests RFC 6120 section 5
// (https://www.rfc-editor.org/rfc/rfc6120#section-5).
func TestSTARTTLS(t *testing.T) {
	s := startServer(t, func(c *Config) { c.Session.AllowPlaintext = false })
	p := connect(t, s)
	// 5.3.1: while TLS is required, no other feature is offered.
	got := p.ask(testHeader, "</stream:features>")
	if !strings.HasSuffix(got, "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>") {
		t.Errorf("features: %s", got)
	}
	// 6.3.4: no login before TLS.
	got = p.ask("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AHJvbWVvAHNlY3JldA==</auth>", "</failure>")
	if !strings.Contains(got, "encryption-required") {
		t.Errorf("PLAIN in clear: %s", got)
	}
	p.ask("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
	p.conn = tls.Client(p.conn, &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"})
	got = p.ask(testHeader, "</stream:features>")
	// 5.4.3.3: not offered again.
	if strings.Contains(got, "starttls") || !strings.Contains(got, "SCRAM-SHA-256-PLUS") || !strings.Contains(got, "tls-exporter") {
		t.Errorf("features over TLS: %s", got)
	}
	p.ask("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AHJvbWVvAHNlY3JldA==</auth>", "<success")
	p.ask(testHeader, "</stream:features>")
	p.ask("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>", "</iq>")
}

// TestExchangeBeforeTLS: RFC 6120 section 5.4.3.3
// (https://www.rfc-editor.org/rfc/rfc6120#section-5.4.3.3): all state from before TLS is
// discarded, including an authentication in progress.
func TestExchangeBeforeTLS(t *testing.T) {
	s := startServer(t, nil)
	p := connect(t, s)
	p.ask(testHeader, "</stream:features>")
	p.ask("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'/>", "<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'></challenge>")
	p.ask("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
	p.conn = tls.Client(p.conn, &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"})
	p.ask(testHeader, "</stream:features>")
	got := p.ask("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>AHJvbWVvAHNlY3JldA==</response>", "/>")
	if !strings.HasSuffix(got, "<malformed-request/>") {
		t.Errorf("an exchange from before TLS continues: %s", got)
	}
}

// TestSTARTTLSInjection: RFC 6120 section 5.4.2.3
// (https://www.rfc-editor.org/rfc/rfc6120#section-5.4.2.3) and the attack that it
// prevents: cleartext after <starttls/> is never processed as input.
func TestSTARTTLSInjection(t *testing.T) {
	s := startServer(t, func(c *Config) { c.Session.AllowPlaintext = false })
	p := connect(t, s)
	p.ask(testHeader, "</stream:features>")
	got := p.ask("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"+testHeader, "</stream:stream>")
	if !strings.Contains(got, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>") || strings.Contains(got, "proceed") {
		t.Errorf("in one piece: %s", got)
	}
	// White space, which some clients send after their elements, is not input.
	p = connect(t, s)
	p.ask(testHeader, "</stream:features>")
	p.ask("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>\r\n", "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
	p.conn = tls.Client(p.conn, &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"})
	p.ask(testHeader, "</stream:features>")
	// As a separate piece, it is the start of a TLS handshake that fails. 5.4.3.2: TCP
	// ends without a closing tag.
	p = connect(t, s)
	p.ask(testHeader, "</stream:features>")
	p.ask("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
	_, _ = io.WriteString(p.conn, testHeader)
	_ = p.conn.SetReadDeadline(time.Now().Add(xmpptest.WaitLimit))
	if rest, err := io.ReadAll(p.conn); strings.Contains(string(rest), "stream") || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after a failed handshake: %q, %v", rest, err)
	}
}

// TestDirectTLS tests XEP-0368 (https://xmpp.org/extensions/xep-0368.html).
func TestDirectTLS(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s := startServer(t, func(c *Config) { c.C2STLS, c.Session.AllowPlaintext = "127.0.0.1:0", false })
		conn, err := tls.Dial("tcp", s.Addrs()[1].Addr.String(), &tls.Config{
			InsecureSkipVerify: true, ServerName: "localhost", MaxVersion: version,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		p := &peer{t: t, conn: conn}
		p.login("romeo", "r").available()
		p.ask("<message to='romeo@localhost/r' id='m'><body>x</body></message>", "<body>x</body></message>")
	}
}

// TestSTARTTLSDomain: a client that sends no SNI, or the name of a host that serves many
// domains, gets the certificate of the domain of its stream, and a login can be bound to
// that certificate.
func TestSTARTTLSDomain(t *testing.T) {
	domains := []string{"localhost", "two.example"}
	s := startServer(t, func(c *Config) {
		c.Session.AllowPlaintext, c.Domains = false, domains
		for _, domain := range domains {
			dir := t.TempDir()
			one, _ := certConfig(t, dir, domain)
			if _, err := NewCertificates(one); err != nil {
				t.Fatal(err)
			}
			c.TLSCert = append(c.TLSCert, filepath.Join(dir, selfSignedCert))
			c.TLSKey = append(c.TLSKey, filepath.Join(dir, selfSignedKey))
		}
	})
	if err := xmpptest.AddAccounts(context.Background(), s.store, "two.example"); err != nil {
		t.Fatal(err)
	}
	client, err := scram.SHA256.NewClient("romeo", "secret", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ to, asked, want string }{
		{"localhost", "", "localhost"},
		{"two.example", "", "two.example"},
		{"two.example", "host.example", "two.example"},
		{"two.example", "two.example", "two.example"},
		{"localhost", "host.example", "localhost"},
	} {
		p := connect(t, s)
		header := strings.Replace(testHeader, "localhost", tt.to, 1)
		p.ask(header, "</stream:features>")
		p.ask("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
		conn := tls.Client(p.conn, &tls.Config{InsecureSkipVerify: true, ServerName: tt.asked})
		if err := conn.Handshake(); err != nil {
			t.Fatal(err)
		}
		leaf := conn.ConnectionState().PeerCertificates[0]
		if err := leaf.VerifyHostname(tt.want); err != nil {
			t.Errorf("%+v: %v", tt, err)
		}
		p.conn = conn
		endpoint, err := scram.NewTLSServerEndpointBinding(&tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.scram(header, "SCRAM-SHA-256-PLUS", client.NewConversationWithChannelBinding(endpoint)); !strings.HasPrefix(got, "<success") {
			t.Errorf("%+v: a login bound to the certificate: %s", tt, got)
		}
	}
}
