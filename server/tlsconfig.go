package server

import (
	"bytes"
	"crypto/tls"
	"slices"
	"strings"
	"sync"

	"roost/jid"
)

// alpn is the ALPN protocol name for XMPP clients
// (https://xmpp.org/extensions/xep-0368.html#reqs).
const alpn = "xmpp-client"

// suitesTLS12 are the TLS 1.2 cipher suites that the server offers: ephemeral keys and
// authenticated encryption (RFC 9325 section 4.2,
// https://www.rfc-editor.org/rfc/rfc9325#section-4.2). It offers neither CBC suites with
// HMAC-SHA1 nor TLS_RSA_*, which lacks forward secrecy. The suites of TLS 1.3 all
// qualify; crypto/tls does not let them be configured.
var suitesTLS12 = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// certSet is the set of all certificates at one time. It is immutable except for the
// configurations, which are created on first use.
type certSet struct {
	source    certSource
	files     []fileStamp // of the operator's files when they were read
	byDomain  map[string]*tls.Certificate
	uncovered []string           // domains that no certificate is for
	obtain    []string           // domains for which certificates are obtained, whether there is one or not
	all       []*tls.Certificate // the first is for clients that name no known domain
	from      []origin           // of each of them

	mu      sync.Mutex
	configs map[configKey]*tls.Config
}

// configKey selects a configuration.
type configKey struct{ domain, alpn string }

// alpnWeb is the ALPN protocol name for WebSocket clients, whose first request is one of
// HTTP/1.1 (RFC 6455 section 4.1).
const alpnWeb = "http/1.1"

// WebConfig is Config for WebSocket clients.
func (c *Certificates) WebConfig() *tls.Config { return c.forProtocol("", alpnWeb) }

// Config returns a TLS configuration with these certificates. domain is the domain that
// the client has named before TLS, "" with direct TLS. Each connection uses the set that
// is current at its ClientHello for everything: a ticket issued after a reload never
// belongs to a session with an older certificate.
//
// A client that uses ALPN must offer xmpp-client, also with STARTTLS: XEP-0368 defines
// that name for the protocol, not for the port, and RFC 9325 section 3.7
// (https://www.rfc-editor.org/rfc/rfc9325#section-3.7) recommends enforcing RFC 7301
// strictly, so that data for a server of another protocol is never interpreted as XMPP.
func (c *Certificates) Config(domain string) *tls.Config { return c.forProtocol(domain, alpn) }

func (c *Certificates) forProtocol(domain, alpn string) *tls.Config {
	return &tls.Config{
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if domain == "" && c.challenge != nil {
				if cfg := c.challenge(hello); cfg != nil {
					return cfg, nil
				}
			}
			return c.set.Load().config(configKey{domain, alpn}), nil
		},
	}
}

// config returns the configuration for connections that use this set.
func (s *certSet) config(key configKey) *tls.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	cfg := s.configs[key]
	if cfg == nil {
		cfg = s.newConfig(key)
		if s.configs == nil {
			s.configs = make(map[configKey]*tls.Config)
		}
		s.configs[key] = cfg
	}
	return cfg
}

func (s *certSet) newConfig(key configKey) *tls.Config {
	// crypto/tls creates the ticket keys of this configuration, rotates them daily and
	// discards them after a week. A new set of certificates gets new keys: a resumed
	// session uses the certificate of the original session, and tls-server-end-point (RFC
	// 5929 section 4, https://www.rfc-editor.org/rfc/rfc5929#section-4) is a hash of it.
	tickets := new(tls.Config)
	return &tls.Config{
		MinVersion:   s.source.minTLS,
		CipherSuites: suitesTLS12,
		NextProtos:   []string{key.alpn},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return s.pick(hello.ServerName, key.domain), nil
		},
		WrapSession: func(conn tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
			session.Extra = append(session.Extra, ticketName(conn))
			return tickets.EncryptTicket(conn, session)
		},
		UnwrapSession: func(ticket []byte, conn tls.ConnectionState) (*tls.SessionState, error) {
			session, err := tickets.DecryptTicket(ticket, conn)
			if err != nil || session == nil || !slices.ContainsFunc(session.Extra, func(name []byte) bool {
				return bytes.Equal(name, ticketName(conn))
			}) {
				return nil, err
			}
			return session, nil
		},
	}
}

// ticketName returns the entry that binds a ticket to the SNI name. RFC 6066 section 3
// (https://www.rfc-editor.org/rfc/rfc6066#section-3): "A server that implements this
// extension MUST NOT accept the request to resume the session if the server_name
// extension contains a different name. Instead, it proceeds with a full handshake". TLS
// 1.3 has no such rule for servers (RFC 8446 section 4.2.11,
// https://www.rfc-editor.org/rfc/rfc8446#section-4.2.11), but here the name selects the
// certificate.
func ticketName(conn tls.ConnectionState) []byte {
	return []byte("roost sni " + strings.ToLower(conn.ServerName))
}

// pick prefers the SNI name. It may be missing, or name a host that serves many domains;
// then the domain of the stream decides, since RFC 6120 section 13.7.1.2 has certificates
// name domains, not hosts (https://www.rfc-editor.org/rfc/rfc6120#section-13.7.1.2). Clients
// that have not named a domain may ask for a host for which there is a certificate, such as
// that of WebSocket.URL.
func (s *certSet) pick(serverName, domain string) *tls.Certificate {
	if cert := s.byDomain[strings.ToLower(serverName)]; cert != nil {
		return cert
	}
	if cert := s.byDomain[jid.DNSName(domain)]; cert != nil {
		return cert
	}
	if cert := certFor(s.all, serverName); cert != nil {
		return cert
	}
	return s.all[0]
}

// same reports whether another set has the same certificates, in the same order, for the
// same domains and versions of TLS: then tickets of this one's sessions can still be used.
func (s *certSet) same(other *certSet) bool {
	return s.source.minTLS == other.source.minTLS && slices.Equal(s.source.domains, other.source.domains) &&
		slices.Equal(s.source.certFiles, other.source.certFiles) && slices.Equal(s.source.keyFiles, other.source.keyFiles) &&
		slices.EqualFunc(s.all, other.all, func(a, b *tls.Certificate) bool {
			return slices.EqualFunc(a.Certificate, b.Certificate, bytes.Equal)
		})
}
