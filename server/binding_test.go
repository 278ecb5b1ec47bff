package server

import (
	"crypto/tls"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/xdg-go/scram"
)

// TestChannelBinding: a login is bound to the TLS channel that it uses. With each
// mechanism, it succeeds with the client's own channel and fails with the binding of
// another channel, as a man in the middle has (RFC 5802 section 6,
// https://www.rfc-editor.org/rfc/rfc5802#section-6; RFC 9266; RFC 5929). It also fails if
// a client that supports channel binding was not offered those mechanisms.
func TestChannelBinding(t *testing.T) {
	s := startServer(t, func(c *Config) { c.C2STLS, c.Session.AllowPlaintext = "127.0.0.1:0", false })
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		connect := func() (*peer, tls.ConnectionState) {
			conn, err := tls.Dial("tcp", s.Addrs()[1].Addr.String(), &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", MaxVersion: version})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			return &peer{t: t, conn: conn}, conn.ConnectionState()
		}
		_, other := connect()
		client, err := scram.SHA256.NewClient("romeo", "secret", "")
		if err != nil {
			t.Fatal(err)
		}
		f := func(name, want string, conv func(own tls.ConnectionState) *scram.ClientConversation) {
			t.Helper()
			p, own := connect()
			if got := p.scram(testHeader, name, conv(own)); !strings.HasPrefix(got, want) {
				t.Errorf("TLS %x, %s: %s, want %s", version, name, got, want)
			}
		}
		const plus, plain = "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"
		f(plus, "<success", func(own tls.ConnectionState) *scram.ClientConversation {
			return client.NewConversationWithChannelBinding(bindingOf(t, own))
		})
		f(plus, "<failure", func(tls.ConnectionState) *scram.ClientConversation {
			return client.NewConversationWithChannelBinding(bindingOf(t, other))
		})
		f(plain, "<success", func(tls.ConnectionState) *scram.ClientConversation { return client.NewConversation() })
		f(plain, "<failure", func(tls.ConnectionState) *scram.ClientConversation {
			return client.NewConversationAdvertisingChannelBinding()
		})
	}
}

// TestNoBindingDowngrade: an attempt with a binding type that the server does not
// support, which a man in the middle can make as well as the client, does not affect the
// next one: "y", a client's claim that no binding was offered, is rejected (RFC 5802
// section 6, https://www.rfc-editor.org/rfc/rfc5802#section-6) regardless of earlier
// attempts.
func TestNoBindingDowngrade(t *testing.T) {
	s := startServer(t, func(c *Config) { c.C2STLS, c.Session.AllowPlaintext = "127.0.0.1:0", false })
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		conn, err := tls.Dial("tcp", s.Addrs()[1].Addr.String(), &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", MaxVersion: version})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		p := &peer{t: t, conn: conn}
		p.ask(testHeader, "</stream:features>")
		auth := func(mechanism, first string) string {
			t.Helper()
			data := base64.StdEncoding.EncodeToString([]byte(first))
			p.ask("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='"+mechanism+"'>"+data+"</auth>", "<")
			return p.ask("", "</")
		}
		if got := auth("SCRAM-SHA-256-PLUS", "p=other-binding,,n=romeo,r=nonce"); !strings.HasPrefix(got, "failure") {
			t.Fatalf("TLS %x, a binding that is not offered: %s", version, got)
		}
		p.ask("", "failure>")
		if got := auth("SCRAM-SHA-256", "y,,n=romeo,r=nonce"); !strings.HasPrefix(got, "failure") {
			t.Errorf("TLS %x, then \"y\": %s, want a failure", version, got)
		}
	}
}

// bindingOf returns the binding to a channel that is unique to it.
func bindingOf(t *testing.T, state tls.ConnectionState) scram.ChannelBinding {
	t.Helper()
	if state.Version == tls.VersionTLS12 {
		return scram.NewTLSUniqueBinding(state.TLSUnique)
	}
	b, err := scram.NewTLSExporterBinding(&state)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// scram opens a stream, plays an exchange and returns the beginning of the last response.
func (p *peer) scram(header, mechanism string, conv *scram.ClientConversation) string {
	p.t.Helper()
	const ns = " xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
	step := func(challenge string) string {
		p.t.Helper()
		message, err := conv.Step(challenge)
		if err != nil {
			p.t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString([]byte(message))
	}
	features := p.ask(header, "</stream:features>")
	if !strings.Contains(features, "<mechanism>"+mechanism+"</mechanism>") {
		p.t.Fatalf("%s is not offered: %s", mechanism, features)
	}
	got := p.ask("<auth"+ns+" mechanism='"+mechanism+"'>"+step("")+"</auth>", "</")
	if !strings.HasPrefix(got, "<challenge") {
		return got
	}
	_, data, _ := strings.Cut(strings.TrimSuffix(got, "</"), ">")
	challenge, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		p.t.Fatal(err)
	}
	p.ask("", "challenge>")
	return p.ask("<response"+ns+">"+step(string(challenge))+"</response>", "</")
}
