package acme

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
)

// answering returns a Manager that serves example.org, and answers its challenge. There is one
// of example.net, too. Both are of another node.
func answering(t *testing.T, change func(*Config), challengeType string) (*Manager, net.Addr) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(t.TempDir())
	change(&cfg)
	m, err := New(cfg, l, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	m.SetDomains([]string{"example.org"})
	for _, domain := range []string{"example.org", "example.net"} {
		text, err := json.Marshal(acme.Challenge{
			Type: challengeType, Token: "token", KeyAuthorization: "token.thumbprint", Identifier: acme.Identifier{Type: "dns", Value: domain},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.magic.Storage.Store(t.Context(), path.Join("acme", certmagic.StorageKeys.Safe(m.issuer.IssuerKey()), "challenge_tokens", domain+".json"), text); err != nil {
			t.Fatal(err)
		}
	}
	return m, l.Addr()
}

// TestHTTP: the challenge is answered and nothing else.
func TestHTTP(t *testing.T) {
	_, addr := answering(t, func(*Config) {}, acme.ChallengeTypeHTTP01)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	f := func(method, host, path string, status int, want string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr.String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != status || !strings.Contains(string(body), want) {
			t.Errorf("%s %s%s: %d %q, %v", method, host, path, resp.StatusCode, body, err)
		}
	}
	const place = "/.well-known/acme-challenge/token"
	f("GET", "example.org", place, 200, "token.thumbprint")
	f("GET", "EXAMPLE.org:80", place, 200, "token.thumbprint")
	f("GET", "example.org", place+"2", 404, "")
	f("GET", "example.net", place, 404, "")
	f("GET", "", place, 404, "")
	f("POST", "example.org", place, 404, "")
	f("GET", "example.org", "/", 404, "")
}

// TestTLSALPN: the handshake of a challenge gets its certificate (RFC 8737 section 3) and ends;
// other handshakes fail.
func TestTLSALPN(t *testing.T) {
	_, addr := answering(t, func(c *Config) { c.HTTP, c.TLS = "", "127.0.0.1:0" }, acme.ChallengeTypeTLSALPN01)
	f := func(name string, ok bool, protocols ...string) {
		t.Helper()
		conn, err := tls.Dial("tcp", addr.String(), &tls.Config{ServerName: name, NextProtos: protocols, InsecureSkipVerify: true})
		if err != nil {
			if ok {
				t.Errorf("%s %q: %v", name, protocols, err)
			}
			return
		}
		defer conn.Close()
		leaf := conn.ConnectionState().PeerCertificates[0]
		acmeIdentifier := []int{1, 3, 6, 1, 5, 5, 7, 1, 31}
		marked := false
		for _, e := range leaf.Extensions {
			marked = marked || slices.Equal(e.Id, acmeIdentifier) && e.Critical
		}
		if !ok || !marked || leaf.VerifyHostname("example.org") != nil || conn.ConnectionState().NegotiatedProtocol != "acme-tls/1" {
			t.Errorf("%s %q: %v", name, protocols, leaf.Subject)
		}
		if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("the connection goes on: %v", err)
		}
	}
	f("example.org", true, "acme-tls/1")
	f("example.net", false, "acme-tls/1")
	f("", false, "acme-tls/1")
	f("example.org", false, "xmpp-client")
	f("example.org", false, "acme-tls/1", "xmpp-client")
	f("example.org", false)
}

// TestDNSProgram: what the program is given, and what its failure looks like.
func TestDNSProgram(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "dns")
	script := "#!/bin/sh\nprintf '%s\\n' \"$@\" >>" + dir + "/args\nenv >" + dir + "/env\n[ ! -e " + dir + "/fail ] || { echo it failed >&2; exit 3; }\n"
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ROOST_STORE", "password")
	t.Setenv("DNS_TOKEN", "token")
	c := acme.Challenge{Type: acme.ChallengeTypeDNS01, KeyAuthorization: "token.thumbprint", Identifier: acme.Identifier{Type: "dns", Value: "example.org"}}
	p := dnsProgram(program)
	if err := errors.Join(p.Present(t.Context(), c), p.CleanUp(t.Context(), c)); err != nil {
		t.Fatal(err)
	}
	const value = "_acme-challenge.example.org.\n" // and the SHA-256 of the key authorization
	args, err := os.ReadFile(dir + "/args")
	want := "present\n" + value + c.DNS01KeyAuthorization() + "\ncleanup\n" + value + c.DNS01KeyAuthorization() + "\n"
	if err != nil || string(args) != want {
		t.Errorf("%v, %q", err, args)
	}
	env, err := os.ReadFile(dir + "/env")
	if err != nil || strings.Contains(string(env), "password") || !strings.Contains(string(env), "DNS_TOKEN=token") {
		t.Errorf("%v, %q", err, env)
	}
	if err := os.WriteFile(dir+"/fail", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.Present(t.Context(), c); err == nil || !strings.Contains(err.Error(), "it failed") || !strings.Contains(err.Error(), "status 3") {
		t.Errorf("%v", err)
	}
}

// TestNSUpdate: what the program in deploy gives to nsupdate.
func TestNSUpdate(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"nsupdate": "#!/bin/sh\necho \"$@\"\nexec cat\n", "conf": "KEY=/etc/roost/acme-dns.key\nSERVER=192.0.2.53\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	f := func(want string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "../deploy/acme-dns-nsupdate", args...)
		cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "ACME_DNS_CONF=" + filepath.Join(dir, "conf")}
		out, err := cmd.CombinedOutput()
		if ok := want != ""; (err == nil) != ok || ok && string(out) != want {
			t.Errorf("%q: %v, %q, want %q", args, err, out, want)
		}
	}
	const name = "_acme-challenge.example.org."
	f("-k /etc/roost/acme-dns.key\nserver 192.0.2.53\nupdate add "+name+" 60 TXT \"x_-1\"\nsend\n", "present", name, "x_-1")
	f("-k /etc/roost/acme-dns.key\nserver 192.0.2.53\nupdate delete "+name+" TXT \"x_-1\"\nsend\n", "cleanup", name, "x_-1")
	f("", "other", name, "x")
	f("", "present")
}

// TestLimitedOutput: of the output of a program only the beginning is kept.
func TestLimitedOutput(t *testing.T) {
	var l limitedBuffer
	for range 3 {
		if n, err := l.Write(make([]byte, programOutput/2+1)); n != programOutput/2+1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if len(l.b) != programOutput {
		t.Errorf("%d bytes", len(l.b))
	}
}
