package server

import (
	"bytes"
	"crypto/tls"
	"slices"
	"strings"
	"sync"

	"roost/jid"
)

// alpn is the protocol of XEP-0368 for clients, as ALPN names it (RFC 7301).
const alpn = "xmpp-client"

// suitesTLS12 are the cipher suites of TLS 1.2 that are offered: ephemeral keys
// and authenticated encryption (RFC 9325 section 4.2). Suites in CBC mode with
// HMAC-SHA1 are left out, and so is TLS_RSA_*, which has no forward secrecy. The
// suites of TLS 1.3 are not configurable in crypto/tls and all of this kind.
var suitesTLS12 = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// certSet is all certificates at one time. It is immutable but for the
// configurations, which are made when they are first needed.
type certSet struct {
	byDomain map[string]*tls.Certificate
	all      []*tls.Certificate // the first is for clients that ask for no domain

	mu      sync.Mutex
	configs map[configKey]*tls.Config
}

// configKey is what a configuration is made for.
type configKey struct {
	minTLS uint16
	domain string
}

// Config is a TLS configuration that shows these certificates. domain is the one
// that the client has named in clear, "" if TLS comes first. Each connection
// takes all that it needs from one set of certificates, that of its ClientHello:
// a ticket issued after a reload never is one of a session that saw an older
// certificate.
//
// A client that offers protocols by ALPN must offer xmpp-client among them, with
// STARTTLS as well: XEP-0368 defines that name for the protocol, not for the port,
// and RFC 9325 section 3.7 advises to enforce RFC 7301 strictly, so that what was
// meant for a server of another protocol is never taken for XMPP.
func (c *Certificates) Config(minTLS uint16, domain string) *tls.Config {
	key := configKey{minTLS, domain}
	return &tls.Config{
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return c.set.Load().config(key), nil
		},
	}
}

// config is the configuration of the connections that are shown this set.
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
	// crypto/tls makes the keys of this configuration's tickets, changes them
	// daily and forgets them after a week. A new set of certificates has new keys:
	// a session that is resumed has the certificate of the session before it, and
	// tls-server-end-point (RFC 5929 section 4) is a hash of that.
	tickets := new(tls.Config)
	return &tls.Config{
		MinVersion:   key.minTLS,
		CipherSuites: suitesTLS12,
		NextProtos:   []string{alpn},
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

// ticketName is the entry of a ticket that ties it to the name asked for by SNI.
// RFC 6066 section 3: "A server that implements this extension MUST NOT accept the
// request to resume the session if the server_name extension contains a different
// name. Instead, it proceeds with a full handshake". TLS 1.3 has no such rule for
// servers (RFC 8446 section 4.2.11), but the name chooses the certificate here.
func ticketName(conn tls.ConnectionState) []byte {
	return []byte("roost sni " + strings.ToLower(conn.ServerName))
}

// pick prefers the name that the client has asked for by SNI. That may be the name
// of a host that stands for many domains, or missing: then the domain to which the
// stream was opened decides (RFC 6120 section 13.7.1.2 has certificates name
// domains, not hosts).
func (s *certSet) pick(serverName, domain string) *tls.Certificate {
	if cert := s.byDomain[strings.ToLower(serverName)]; cert != nil {
		return cert
	}
	if cert := s.byDomain[jid.DNSName(domain)]; cert != nil {
		return cert
	}
	return s.all[0]
}

// sameCertificates reports whether these are the certificates of the set, in the same
// order: then tickets of its sessions can still be used.
func (s *certSet) sameCertificates(certs []*tls.Certificate) bool {
	return slices.EqualFunc(s.all, certs, func(a, b *tls.Certificate) bool {
		return slices.EqualFunc(a.Certificate, b.Certificate, bytes.Equal)
	})
}
