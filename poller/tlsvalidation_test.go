//go:build linux

package poller

import (
	"crypto/tls"
	"testing"
)

// TestValidation: a connection by which an authority validates a domain ends after the
// handshake, whatever it sends (RFC 8737 section 3); the handler never hears that it is secure,
// nor what it sends.
func TestValidation(t *testing.T) {
	cfg := testTLS(t)
	cfg.NextProtos = []string{"echo", acmeTLS}
	s := serve(t, Config{Loops: 1}, cfg, nil)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, protocol := range cfg.NextProtos {
			conn := tls.Client(dial(t, s.addr), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}, MinVersion: version, MaxVersion: version})
			if err := conn.Handshake(); err != nil {
				t.Fatalf("%x %s: %v", version, protocol, err)
			}
			e := <-s.conns
			_, _ = conn.Write([]byte("hello")) // the connection may have ended already
			if protocol == "echo" {
				expect(t, conn, "hello")
				continue
			}
			if n, err := conn.Read(make([]byte, 10)); n != 0 || err == nil {
				t.Errorf("%x: %d bytes, %v; want the end", version, n, err)
			}
			if err := reason(t, e); err != errValidated || e.secured.Load() {
				t.Errorf("%x: ended with %v; secured: %v", version, err, e.secured.Load())
			}
		}
	}
	for i, n := range s.Stats().TLSFailed {
		if n != 0 {
			t.Errorf("%d handshakes count as failed (%d)", n, i)
		}
	}
}
