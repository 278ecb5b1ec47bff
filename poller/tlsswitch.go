//go:build linux

package poller

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"

	"roost/poller/leantls"
)

// maxWritten limits the bytes kept of a handshake's output; certificate chains are
// shorter.
const maxWritten = 64 << 10

// acmeTLS is the protocol of a handshake by which a certification authority validates a
// domain, if the configuration agrees to it.
const acmeTLS = "acme-tls/1"

// errValidated ends the connection after such a handshake.
var errValidated = errors.New("poller: the connection was the validation of a domain")

// validated ends a connection of an authority. RFC 8737 section 3
// (https://www.rfc-editor.org/rfc/rfc8737#section-3): "Once the TLS handshake has been
// completed, the connection MUST be immediately closed and no further data should be
// exchanged." Loop.
func (t *stdTLS) validated() error {
	(*tlsSocket)(t).discardCapture()
	t.mu.Lock()
	t.phase = tlsFailed
	t.mu.Unlock()
	return errValidated
}

// captureSecrets is called by crypto/tls once it has read a ClientHello, and returns the
// Secrets that receive this connection's secrets.
func captureSecrets(conn net.Conn) *leantls.Secrets {
	s, ok := conn.(*tlsSocket)
	if !ok {
		return nil
	}
	s.secrets = new(leantls.Secrets)
	s.written = inputPool.Get()
	return s.secrets
}

// withChosenConfig returns a configuration equivalent to base that also stores, in each
// connection's layer, the configuration chosen for its ClientHello.
func withChosenConfig(base *tls.Config) *tls.Config {
	if base.GetConfigForClient == nil {
		return base
	}
	c := base.Clone()
	c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		chosen, err := base.GetConfigForClient(hello)
		if s, ok := hello.Conn.(*tlsSocket); ok && chosen != nil {
			s.cfg = chosen
		}
		return chosen, err
	}
	return c
}

// leaf returns our certificate in a completed handshake, nil if it is not known. It uses
// the configuration of that handshake, because the certificate may have been replaced
// since, and this client has not seen the new one. A resumed session has the certificate
// of the earlier session; that is the same one if ticket keys are replaced together with
// certificates.
func (t *stdTLS) leaf(st *tls.ConnectionState) *x509.Certificate {
	switch {
	case !t.server:
	case t.cfg.GetCertificate != nil:
		if cert, err := t.cfg.GetCertificate(&tls.ClientHelloInfo{ServerName: st.ServerName}); err == nil && cert != nil {
			return cert.Leaf
		}
	case len(t.cfg.Certificates) == 1:
		return t.cfg.Certificates[0].Leaf
	}
	return nil
}

// capture keeps the bytes that crypto/tls writes during its handshake. It is called on
// the handshake's goroutine.
func (s *tlsSocket) capture(p []byte) {
	if s.written == nil {
		return
	}
	if len(s.written.B)+len(p) > maxWritten {
		s.dropCapture()
		return
	}
	_, _ = s.written.Write(p)
}

func (s *tlsSocket) dropCapture() {
	if s.written != nil {
		inputPool.Put(s.written)
		s.written = nil
	}
}

// discardCapture frees the captured bytes and secrets of the handshake.
func (s *tlsSocket) discardCapture() {
	s.dropCapture()
	if s.secrets != nil {
		s.secrets.Wipe()
		s.secrets = nil
	}
}

// switchToLean replaces t, after its handshake, with a lean session at the bottom of the
// connection's record layers. It returns nil if t has to stay. Loop.
func (t *stdTLS) switchToLean(st *tls.ConnectionState) *leanTLS {
	p := t.c.loop.p
	if p.config().StdTLS || !t.server {
		return nil
	}
	lean := &leanTLS{c: t.c}
	if err := t.start(lean, st); err != nil {
		var why leantls.Refusal
		if errors.As(err, &why) {
			p.stats.leanRefused[why].Add(1)
		}
		return nil
	}
	p.stats.lean.Add(1)
	t.c.setBottom(lean)
	t.mu.Lock()
	t.phase = tlsSwitched
	t.mu.Unlock()
	return lean
}

func (t *stdTLS) start(lean *leanTLS, st *tls.ConnectionState) error {
	switch {
	case st.Version != tls.VersionTLS13:
		return leantls.RefusedVersion
	case t.c.loop.p.lean.failed:
		return leantls.RefusedSelfTest
	case t.secrets == nil:
		return leantls.RefusedSecrets
	case t.written == nil:
		return leantls.RefusedWrites
	case !t.boundary.Whole():
		return leantls.RefusedReads
	}
	return lean.st.Start(st, t.secrets, t.written.B)
}
