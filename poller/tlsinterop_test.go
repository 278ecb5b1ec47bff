//go:build linux && interop

package poller

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// program is another implementation's TLS client that uses its standard input and output.
type program struct {
	t    *testing.T
	in   io.WriteCloser
	out  syncBuffer
	seen int
	cmd  *exec.Cmd
}

func start(t *testing.T, name string, args ...string) *program {
	t.Helper()
	p := &program{t: t, cmd: exec.Command(name, args...)}
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in = in
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("%v: scripts/deps.sh installs it", err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	})
	return p
}

// await waits for text in the program's output after the part already examined.
func (p *program) await(text string) {
	p.t.Helper()
	defer func() {
		if p.t.Failed() {
			p.t.Logf("it printed:\n%s", p.out.String())
		}
	}()
	eventually(p.t, text, func() bool {
		all := p.out.String()
		i := strings.Index(all[p.seen:], text)
		if i >= 0 {
			p.seen += i + len(text)
		}
		return i >= 0
	})
}

func (p *program) say(line string) {
	p.t.Helper()
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		p.t.Fatal(err)
	}
}

// talk sends a line and waits for its echo.
func (p *program) talk(line string) {
	p.t.Helper()
	p.say(line)
	p.await(line)
}

// xmppStart is a handler that implements enough of RFC 6120 for STARTTLS, then echoes.
func xmppStart(t *testing.T, cfg *tls.Config) func(e *echo, p []byte) int {
	return func(e *echo, p []byte) int {
		switch {
		case e.c.Secure():
			_ = e.c.Queue(p)
		case bytes.Contains(p, []byte("<starttls")):
			_ = e.c.Queue([]byte("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"))
			if err := e.c.StartTLS(cfg); err != nil {
				t.Error(err)
			}
		case bytes.Contains(p, []byte("stream:stream")):
			_ = e.c.Queue([]byte("<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='1' version='1.0'>" +
				"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"))
		}
		e.c.Flush()
		return len(p)
	}
}

// pemFiles writes a certificate and its key for a client.
func pemFiles(t *testing.T, c tls.Certificate) (cert, key string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(t.TempDir(), "cert"), filepath.Join(t.TempDir(), "key")
	for file, b := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: c.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// secure is a server with this way to start TLS.
func secure(t *testing.T, cfg *tls.Config, starttls bool) (s *testServer, port string) {
	t.Helper()
	if starttls {
		s = serve(t, Config{Loops: 1}, nil, xmppStart(t, cfg))
	} else {
		s = serve(t, Config{Loops: 1}, cfg, nil)
	}
	_, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	return s, port
}

// TestOpenSSL: s_client with three suites, key updates in both directions, resumption,
// HelloRetryRequest, a client certificate and STARTTLS.
func TestOpenSSL(t *testing.T) {
	for _, suite := range []string{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"} {
		for _, variant := range []string{"plain", "retry", "certificate", "starttls"} {
			t.Run(suite+"/"+variant, func(t *testing.T) {
				cfg := testTLS(t)
				args := []string{"s_client", "-tls1_3", "-ciphersuites", suite}
				switch variant {
				case "retry":
					cfg.CurvePreferences = []tls.CurveID{tls.CurveP384}
					args = append(args, "-groups", "X25519:P-384")
				case "certificate":
					cfg.ClientAuth = tls.RequireAnyClientCert
					cert, key := pemFiles(t, cfg.Certificates[0])
					args = append(args, "-cert", cert, "-key", key)
				case "starttls":
					args = append(args, "-starttls", "xmpp")
				}
				s, port := secure(t, cfg, variant == "starttls")
				session := filepath.Join(t.TempDir(), "session")
				args = append(args, "-connect", "127.0.0.1:"+port)
				openSSL(t, append(args, "-sess_out", session), "New, TLSv1.3, Cipher is "+suite)
				openSSL(t, append(args, "-sess_in", session), "Reused, TLSv1.3, Cipher is "+suite)
				for range 2 {
					if err := reason(t, <-s.conns); err != io.EOF {
						t.Errorf("ended with %v", err)
					}
				}
				if got := s.Stats().LeanTLS; got != 2 {
					t.Errorf("%d lean sessions, want 2; refused %v", got, s.Stats().LeanRefused)
				}
			})
		}
	}
}

func openSSL(t *testing.T, args []string, want string) {
	t.Helper()
	p := start(t, "openssl", args...)
	p.await(want)
	p.talk("before any update")
	for i := range 3 {
		p.say("K") // updates its keys and requests an update of ours
		p.await("KEYUPDATE")
		p.talk(fmt.Sprint("after both updates ", i))
		p.say("k") // updates its keys only
		p.await("KEYUPDATE")
		p.talk(fmt.Sprint("after its update ", i))
	}
	long := strings.Repeat("0123456789", 800)
	p.talk(long + " is long")
	p.say("Q")
}

// TestGnuTLS: a third implementation, with three suites, key updates in both directions,
// resumption and STARTTLS.
func TestGnuTLS(t *testing.T) {
	for _, cipher := range []string{"AES-128-GCM", "AES-256-GCM", "CHACHA20-POLY1305"} {
		for _, variant := range []string{"plain", "retry", "resume", "starttls"} {
			t.Run(cipher+"/"+variant, func(t *testing.T) {
				cfg := testTLS(t)
				groups := ""
				if variant == "retry" {
					cfg.CurvePreferences = []tls.CurveID{tls.CurveP384}
					groups = ":-GROUP-ALL:+GROUP-X25519:+GROUP-SECP384R1"
				}
				s, port := secure(t, cfg, variant == "starttls")
				args := []string{"--insecure", "--inline-commands", "--port", port,
					"--priority", "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+" + cipher + groups}
				want, sessions := "TLS1.3", int64(1)
				switch variant {
				case "starttls":
					args = append(args, "--starttls-proto=xmpp")
				case "resume":
					args, want, sessions = append(args, "--resume", "--waitresumption"), "This is a resumed session", 2
				}
				p := start(t, "gnutls-cli", append(args, "localhost")...)
				p.await(want)
				p.await("Simple Client Mode")
				p.talk("before any update")
				for i := range 3 {
					p.say("^rekey^") // updates its keys and requests an update of ours
					p.talk(fmt.Sprint("after both updates ", i))
					p.say("^rekey1^") // updates its keys only
					p.talk(fmt.Sprint("after its update ", i))
				}
				_ = p.in.Close()
				for range sessions {
					if err := reason(t, <-s.conns); err != io.EOF {
						t.Errorf("ended with %v", err)
					}
				}
				if got := s.Stats().LeanTLS; got != sessions {
					t.Errorf("%d lean sessions, want %d; refused %v", got, sessions, s.Stats().LeanRefused)
				}
			})
		}
	}
}
