package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/mholt/acmez/v3"
	"golang.org/x/net/netutil"
)

// Limits of the listeners for challenges. An authority connects a few times per attempt.
const (
	challengeConns  = 64
	challengeTime   = 10 * time.Second
	challengeHeader = 8 << 10 // bytes
)

// serveHTTP answers HTTP-01 challenges (RFC 8555 section 8.3) until the listener is closed.
// Everything else is not found.
func (m *Manager) serveHTTP(l net.Listener) {
	s := http.Server{
		Handler:     http.HandlerFunc(m.answerHTTP),
		ReadTimeout: challengeTime, WriteTimeout: challengeTime, MaxHeaderBytes: challengeHeader,
		ErrorLog: slog.NewLogLogger(slog.NewTextHandler(io.Discard, nil), slog.LevelDebug),
	}
	s.SetKeepAlivesEnabled(false)
	m.closers = append(m.closers, s.Close)
	m.done.Go(func() { _ = s.Serve(netutil.LimitListener(l, challengeConns)) })
}

// answerHTTP answers a request. Challenges of other nodes are found in the directory that
// the nodes share; only names of domains that are served are looked up.
func (m *Manager) answerHTTP(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if !m.serves(host) || !m.issuer.HandleHTTPChallenge(w, r) {
		http.NotFound(w, r)
	}
}

// serveTLS answers TLS-ALPN-01 challenges (RFC 8737) until the listener is closed. Other
// handshakes fail.
func (m *Manager) serveTLS(l net.Listener) {
	l = netutil.LimitListener(l, challengeConns)
	ctx, cancel := context.WithCancel(context.Background())
	m.closers = append(m.closers, func() error { cancel(); return l.Close() })
	cfg := &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if cfg := m.Challenge(hello); cfg != nil {
			return cfg, nil
		}
		return nil, errors.New("acme: not the handshake of a challenge")
	}}
	m.done.Go(func() {
		var handshakes sync.WaitGroup
		defer handshakes.Wait()
		for {
			conn, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil { // such as too many open files
				select {
				case <-ctx.Done():
					return
				case <-time.After(time.Second):
				}
				continue
			}
			handshakes.Go(func() {
				defer conn.Close()
				ctx, cancel := context.WithTimeout(ctx, challengeTime)
				defer cancel()
				_ = tls.Server(conn, cfg).HandshakeContext(ctx)
			})
		}
	})
}

// Challenge returns the configuration for a handshake by which the authority validates a
// domain (RFC 8737 section 3), nil if it is another handshake or no challenge is open. The
// connection must be closed after the handshake.
func (m *Manager) Challenge(hello *tls.ClientHelloInfo) *tls.Config {
	if !slices.Equal(hello.SupportedProtos, []string{acmez.ACMETLS1Protocol}) || !m.serves(hello.ServerName) {
		return nil
	}
	cert, err := m.magic.GetCertificate(hello)
	if err != nil || cert == nil || len(cert.Certificate) == 0 {
		return nil
	}
	if cert.Leaf == nil {
		if cert.Leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
			return nil
		}
	}
	return &tls.Config{Certificates: []tls.Certificate{*cert}, NextProtos: []string{acmez.ACMETLS1Protocol}, SessionTicketsDisabled: true}
}
