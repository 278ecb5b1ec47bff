package server

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func certConfig(t *testing.T, dir string, domains ...string) (*Config, *lockedLog) {
	t.Helper()
	log := new(lockedLog)
	return &Config{DataDir: dir, Domains: domains, Logger: slog.New(slog.NewTextHandler(log, nil))}, log
}

// leafOf returns the certificate for clients that send an SNI name, or none.
func leafOf(c *Certificates, name string) *x509.Certificate {
	return c.set.Load().pick(name, "").Leaf
}

// TestSelfSigned: a certificate is created once and kept, with a key that only the owner
// can read; it is replaced when the domains change.
func TestSelfSigned(t *testing.T) {
	dir := t.TempDir()
	cfg, log := certConfig(t, dir, "localhost", "example.org")
	c, err := NewCertificates(cfg)
	if err != nil {
		t.Fatal(err)
	}
	first := leafOf(c, "example.org")
	for _, name := range []string{"localhost", "example.org", "127.0.0.1"} {
		if err := first.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	info, err := os.Stat(filepath.Join(dir, selfSignedKey))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's mode is %v, %v; want 0600", info.Mode(), err)
	}
	if again, err := NewCertificates(cfg); err != nil || !leafOf(again, "").Equal(first) {
		t.Errorf("the certificate is not kept: %v", err)
	}
	if log.Len() != 0 {
		t.Errorf("log: %s", log)
	}
	cfg, log = certConfig(t, dir, "example.net")
	other, err := NewCertificates(cfg)
	if err != nil || leafOf(other, "").VerifyHostname("example.net") != nil {
		t.Errorf("not replaced for other domains: %v", err)
	}
	if !strings.Contains(log.String(), "creating a new self-signed certificate") {
		t.Errorf("log: %s", log)
	}
	// Such as after a crash between the two. Bug: the error did not say which files are wrong.
	if err := os.WriteFile(filepath.Join(dir, selfSignedKey), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewCertificates(cfg); err == nil || !strings.Contains(err.Error(), dir+"/"+selfSignedCert+" with key "+dir+"/"+selfSignedKey+": ") || !strings.Contains(err.Error(), "delete both") {
		t.Errorf("%v", err)
	}
}

// TestCertificatePerDomain: SNI decides, then the domain of the stream. A client that
// names no served domain gets the certificate for the name in SNI, or the first one.
func TestCertificatePerDomain(t *testing.T) {
	var certs, keys []string
	for _, domain := range []string{"one.example", "two.example", "chat.example"} {
		dir := t.TempDir()
		cfg, _ := certConfig(t, dir, domain)
		if _, err := NewCertificates(cfg); err != nil {
			t.Fatal(err)
		}
		certs = append(certs, filepath.Join(dir, selfSignedCert))
		keys = append(keys, filepath.Join(dir, selfSignedKey))
	}
	cfg, log := certConfig(t, t.TempDir(), "one.example", "two.example", "three.example")
	cfg.TLSCert, cfg.TLSKey = certs, keys
	c, err := NewCertificates(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if c.SelfSigned() != "" {
		t.Error("a self-signed certificate is reported although others are configured")
	}
	for _, tt := range []struct{ asked, to, want string }{
		{"one.example", "", "one.example"},
		{"TWO.example", "", "two.example"},
		{"two.example", "one.example", "two.example"},
		{"", "two.example", "two.example"},
		{"host.example", "two.example", "two.example"},
		{"host.example", "other.example", "one.example"},
		{"host.example", "", "one.example"},
		{"CHAT.example", "", "chat.example"},
		{"chat.example", "two.example", "two.example"},
		{"chat.example", "other.example", "chat.example"},
		{"", "", "one.example"},
	} {
		hello := &tls.ClientHelloInfo{ServerName: tt.asked}
		config, err := c.Config(tt.to).GetConfigForClient(hello)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := config.GetCertificate(hello)
		if err != nil || cert.Leaf.VerifyHostname(tt.want) != nil {
			t.Errorf("%+v: wrong certificate", tt)
		}
	}
	if !strings.Contains(log.String(), "three.example") {
		t.Errorf("no warning of a domain without a certificate: %s", log)
	}
	encrypted := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")})
	if err := os.WriteFile(keys[1], encrypted, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.Reload(); err == nil || !strings.Contains(err.Error(), "openssl pkey -in") {
		t.Errorf("%v, want an error that says how to decrypt the key", err)
	}
	// A reload that fails leaves the old set complete.
	if err := os.WriteFile(keys[1], []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.Reload(); err == nil || !strings.Contains(err.Error(), keys[1]) {
		t.Errorf("%v, want an error that names the key's file", err)
	}
	if leafOf(c, "two.example").VerifyHostname("two.example") != nil {
		t.Error("a failed reload has changed the certificates")
	}
}

// TestNamesOfCertificates: an internationalized domain is in ASCII in certificates and in
// SNI; a domain that is an IP address is found as such. Both are created once.
func TestNamesOfCertificates(t *testing.T) {
	dir := t.TempDir()
	cfg, log := certConfig(t, dir, "example.org", "bücher.example", "192.0.2.1", "[2001:db8::1]")
	c, err := NewCertificates(cfg)
	if err != nil {
		t.Fatal(err)
	}
	leaf := leafOf(c, "xn--bcher-kva.example")
	for _, name := range []string{"example.org", "xn--bcher-kva.example", "192.0.2.1", "2001:db8::1"} {
		if err := leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	if again, err := NewCertificates(cfg); err != nil || !leafOf(again, "").Equal(leaf) {
		t.Errorf("the certificate is not kept: %v", err)
	}
	// The operator's certificate.
	cfg.Domains = []string{"example.org", "bücher.example"}
	for _, domain := range cfg.Domains {
		dir := t.TempDir()
		one, _ := certConfig(t, dir, domain)
		if _, err := NewCertificates(one); err != nil {
			t.Fatal(err)
		}
		cfg.TLSCert = append(cfg.TLSCert, filepath.Join(dir, selfSignedCert))
		cfg.TLSKey = append(cfg.TLSKey, filepath.Join(dir, selfSignedKey))
	}
	if c, err = NewCertificates(cfg); err != nil {
		t.Fatal(err)
	}
	if err := leafOf(c, "xn--bcher-kva.example").VerifyHostname("xn--bcher-kva.example"); err != nil {
		t.Error(err)
	}
	if log.Len() != 0 {
		t.Errorf("log: %s", log)
	}
}

// TestSecret: created once, kept, and readable by the owner only.
func TestSecret(t *testing.T) {
	dir := t.TempDir()
	a, err := loadSecret(dir)
	if err != nil || len(a) != 32 {
		t.Fatal(len(a), err)
	}
	if b, err := loadSecret(dir); err != nil || !bytes.Equal(a, b) {
		t.Error("the secret is not kept", err)
	}
	if info, err := os.Stat(filepath.Join(dir, secretFile)); err != nil || info.Mode().Perm() != fs.FileMode(0o600) {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	// One that an operator has made is not replaced. Bug: one that was too short was, and clients
	// needed their passwords again.
	name := filepath.Join(dir, secretFile)
	for text, want := range map[string]string{"too short": name + " has 9 bytes, and must have at least 32: ", "": ""} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := loadSecret(dir)
		if want == "" && (err != nil || len(b) != 32) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %d bytes, %v", text, len(b), err)
		}
		if got, err := os.ReadFile(name); err != nil || want != "" && string(got) != text {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}
