//go:build linux

package poller

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"

	"roost/poller/leantls"
)

// maxWritten limits what is kept of a handshake's output, in bytes; chains of
// certificates are shorter.
const maxWritten = 64 << 10

// captureSecrets is called by crypto/tls, once it has read a ClientHello, and returns
// where the secrets of this connection are to go.
func captureSecrets(conn net.Conn) *leantls.Secrets {
	s, ok := conn.(*tlsSocket)
	if !ok {
		return nil
	}
	s.secrets = new(leantls.Secrets)
	s.written = inputPool.Get()
	return s.secrets
}

// withChosenConfig is a configuration that works as base does, and has each connection's layer
// keep the one that was chosen for its ClientHello.
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

// leaf is our certificate in a handshake that is done, nil if it is not known. It is
// asked of the configuration that the handshake had: by now others may have another
// certificate, which this client has not seen. A session that was resumed has the
// certificate of the session before it, and that is the same if the keys of tickets
// are changed with the certificates.
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

// capture keeps what crypto/tls writes in its handshake. It is called on the
// goroutine of the handshake.
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

// discardCapture gives back what was kept of the handshake.
func (s *tlsSocket) discardCapture() {
	s.dropCapture()
	if s.secrets != nil {
		s.secrets.Wipe()
		s.secrets = nil
	}
}

// switchToLean makes a handshake that is done into a lean session, which takes the
// place of t at the bottom of the connection's record layers. It returns nil if t has to
// stay. Loop.
func (t *stdTLS) switchToLean(st *tls.ConnectionState) *leanTLS {
	p := t.c.loop.p
	if p.cfg.StdTLS || !t.server {
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
