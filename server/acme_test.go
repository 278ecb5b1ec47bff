package server

import (
	"crypto/tls"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"roost/acme"
	"roost/admin/api"
	"roost/internal/ownfile"
	"roost/internal/xmpptest"
)

// unreachable is the directory of an authority that nobody can reach.
const unreachable = "https://127.0.0.1:1/dir"

// obtain puts a new certificate where those that are obtained are.
func obtain(t *testing.T, cfg *Config, domain string) {
	t.Helper()
	dir := t.TempDir()
	made, _ := certConfig(t, dir, domain)
	if _, err := NewCertificates(made); err != nil {
		t.Fatal(err)
	}
	madeCert, madeKey := SelfSignedFiles(dir)
	cert, key := cfg.ACME.Files(domain)
	if err := ownfile.MkdirAll(filepath.Dir(cert), 0o700); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{madeKey: key, madeCert: cert} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
}

// origins returns where the certificate of each domain comes from.
func origins(c *Certificates) string {
	set := c.set.Load()
	names := []string{byOperator: "operator", bySelf: "self", byACME: "acme"}
	var all []string
	for _, d := range set.source.domains {
		i := slices.Index(set.all, set.byDomain[d])
		all = append(all, d+" "+names[set.from[i].kind])
	}
	return strings.Join(all, ", ")
}

// TestObtainedCertificates: until a certificate is obtained a self-signed one is used; one that
// is damaged changes nothing; the operator's come first.
func TestObtainedCertificates(t *testing.T) {
	cfg, log := certConfig(t, t.TempDir(), "a.example", "b.example")
	cfg.ACME = acme.Config{Directory: unreachable, Dir: filepath.Join(cfg.DataDir, "acme")}
	c, err := NewCertificates(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var needs []string
	c.obtainBy(func(domains []string) { needs = domains })
	check := func(desc, want, obtained string) {
		t.Helper()
		if got := origins(c); got != want || strings.Join(needs, " ") != obtained {
			t.Errorf("%s: %s, obtains %q; want %s", desc, got, needs, want)
		}
	}
	check("none yet", "a.example self, b.example self", "a.example b.example")
	if c.SelfSigned() == "" || log.Len() != 0 {
		t.Errorf("self-signed %q, log %s", c.SelfSigned(), log)
	}
	obtain(t, cfg, "b.example")
	c.checkFiles() // as when another node has obtained it
	check("one", "a.example self, b.example acme", "a.example b.example")
	obtain(t, cfg, "a.example")
	if err := c.Reload(); err != nil {
		t.Fatal(err)
	}
	check("both", "a.example acme, b.example acme", "a.example b.example")
	if c.SelfSigned() != "" {
		t.Error("a self-signed certificate is still there")
	}

	first := leafOf(c, "a.example")
	_, key := cfg.ACME.Files("a.example")
	if err := os.WriteFile(key, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	log.Reset()
	if err := c.Reload(); err != nil {
		t.Fatal(err)
	}
	if !leafOf(c, "a.example").Equal(first) || strings.Count(log.String(), "cannot be used") != 1 {
		t.Errorf("a damaged key: log %s", log)
	}
	fresh, err := NewCertificates(cfg)
	if err != nil || origins(fresh) != "a.example self, b.example acme" {
		t.Errorf("a start with a damaged key: %v", err)
	}

	given, _ := certConfig(t, t.TempDir(), "a.example")
	if _, err := NewCertificates(given); err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := SelfSignedFiles(given.DataDir)
	cfg.TLSCert, cfg.TLSKey = []string{certFile}, []string{keyFile}
	set, err := newCertSource(cfg).load(c.set.Load())
	if err != nil {
		t.Fatal(err)
	}
	c.use(set, nil)
	check("one of the operator", "a.example operator, b.example acme", "b.example")
}

// TestACMEMistakes: what the server itself checks.
func TestACMEMistakes(t *testing.T) {
	f := func(want string, change func(*Config)) {
		t.Helper()
		c := Config{C2S: ":5222", DataDir: "data", Domains: []string{"localhost"}, ACME: acme.Config{Directory: unreachable, Agree: true, TLS: acme.Clients}}
		change(&c)
		err := c.Validate()
		var field *FieldError
		if want == "" && err == nil || want != "" && errors.As(err, &field) && field.Field == want {
			return
		}
		t.Errorf("%v, want a mistake in %q", err, want)
	}
	f("ACME.TLS", func(*Config) {})
	f("", func(c *Config) { c.C2STLS = ":5223" })
	f("", func(c *Config) { c.WebSocket.Addr = ":443" })
	f("ACME.TLS", func(c *Config) { c.ACME.TLS = "443" })
	f("ACME.HTTP", func(c *Config) { c.ACME.TLS, c.ACME.HTTP = "", ":nothing" })
	f("ACME.Agree", func(c *Config) { c.C2STLS, c.ACME.Agree = ":5223", false })
	f("", func(c *Config) { c.C2STLS, c.Admin.Addr = ":5223", "192.0.2.1:5280" }) // there will be a certificate
}

// TestACMEOnListeners: the listeners for clients answer TLS-ALPN-01 challenges while they serve
// clients, and a failure is shown.
func TestACMEOnListeners(t *testing.T) {
	s := startServer(t, func(c *Config) {
		c.C2STLS, c.WebSocket.Addr = "127.0.0.1:0", "127.0.0.1:0"
		c.ACME = acme.Config{Directory: unreachable, Agree: true, TLS: acme.Clients}
	})
	cfg := s.config()
	client := adminOf(t, s)
	xmpptest.Eventually(t, "the failure is shown", func() bool {
		var status api.Status
		if err := client.Get(t.Context(), api.PathStatus, nil, &status); err != nil {
			t.Fatal(err)
		}
		if len(status.Certificates) != 1 || !status.Certificates[0].SelfSigned || len(status.Renewals) != 1 {
			t.Fatalf("%+v", status)
		}
		r := status.Renewals[0]
		return r.Domain == "localhost" && r.Failures > 0 && r.NotAfter == nil && r.FailedAt != nil && strings.Contains(r.Reason, "connection refused")
	})

	cert, _ := cfg.ACME.Files("localhost")
	tokens := filepath.Join(cfg.ACME.Dir, "acme", filepath.Base(filepath.Dir(filepath.Dir(cert))), "challenge_tokens")
	if err := os.MkdirAll(tokens, 0o700); err != nil {
		t.Fatal(err)
	}
	const challenge = `{"type":"tls-alpn-01","token":"t","keyAuthorization":"t.x","identifier":{"type":"dns","value":"localhost"}}`
	if err := os.WriteFile(filepath.Join(tokens, "localhost.json"), []byte(challenge), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, a := range s.clientAddrs()[1:] {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			conn, err := tls.Dial("tcp", a.Addr.String(), &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", NextProtos: []string{"acme-tls/1"}, MinVersion: version, MaxVersion: version})
			if err != nil {
				t.Fatalf("%s, version %x: %v", a.Name, version, err)
			}
			marked := false
			for _, e := range conn.ConnectionState().PeerCertificates[0].Extensions {
				marked = marked || e.Id.String() == "1.3.6.1.5.5.7.1.31"
			}
			if !marked || conn.ConnectionState().NegotiatedProtocol != "acme-tls/1" {
				t.Errorf("%s, version %x: not the certificate of the challenge", a.Name, version)
			}
			if n, err := conn.Read(make([]byte, 100)); n != 0 || !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s, version %x: %d bytes, %v after the handshake", a.Name, version, n, err)
			}
			conn.Close()
		}
	}
	if _, err := tls.Dial("tcp", s.clientAddrs()[1].Addr.String(), &tls.Config{InsecureSkipVerify: true, ServerName: "other.example", NextProtos: []string{"acme-tls/1"}}); err == nil {
		t.Error("a handshake for a domain that is not served succeeds")
	}
	directTLS(t, s, tls.VersionTLS13).login("romeo", "a")
	xmpptest.Eventually(t, "the authority's connections have ended", func() bool { return s.poller.Stats().Conns == 1 })
	failed := int64(0)
	for _, n := range s.poller.Stats().TLSFailed {
		failed += n
	}
	if failed != 1 {
		t.Errorf("%d handshakes have failed, want that for another domain", failed)
	}
}
