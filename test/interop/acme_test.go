//go:build interop

package interop

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// lifetime of the certificates that the authority of these tests gives.
const lifetime = 12 * time.Second

// pebble is the authority that Let's Encrypt has made for tests.
type pebble struct {
	dir        string
	config     string
	address    string // of its directory
	management string
	root       string // PEM file: who has signed its own certificate
	httpPort   string // where it asks domains
	tlsPort    string
	dns        string // address of the server that it asks
	records    string // file with TXT records: the arguments of the program for DNS-01
	process    *exec.Cmd
	log        *logBuffer
}

func newPebble(t *testing.T) *pebble {
	t.Helper()
	p := &pebble{dir: t.TempDir(), address: freeAddress(t), management: freeAddress(t), log: new(logBuffer)}
	_, p.httpPort, _ = net.SplitHostPort(freeAddress(t))
	_, p.tlsPort, _ = net.SplitHostPort(freeAddress(t))
	p.root, p.records, p.config = filepath.Join(p.dir, "root.pem"), filepath.Join(p.dir, "records"), filepath.Join(p.dir, "config.json")
	p.dns = serveNames(t, p.records)
	key := p.certify(t)
	text := fmt.Sprintf(`{"pebble": {"listenAddress": %q, "managementListenAddress": %q, "certificate": %q, "privateKey": %q, "httpPort": %s, "tlsPort": %s,
		"certificateValidityPeriod": %d, "domainBlocklist": ["refused.example"]}}`, p.address, p.management, p.root, key, p.httpPort, p.tlsPort, int(lifetime.Seconds()))
	if err := os.WriteFile(p.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p.start(t)
	return p
}

// certify makes the certificate of the authority's directory.
func (p *pebble) certify(t *testing.T) (keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	keyFile = filepath.Join(p.dir, "key.pem")
	for name, block := range map[string]*pem.Block{p.root: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "EC PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return keyFile
}

func (p *pebble) start(t *testing.T) {
	t.Helper()
	p.process = exec.Command("pebble", "-config", p.config, "-dnsserver", p.dns)
	p.process.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_AUTHZREUSE=0")
	p.process.Stdout, p.process.Stderr = p.log, p.log
	p.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	s := server{ended: make(chan error, 1)}
	for _, address := range []string{p.address, p.management} {
		if err := s.await(address); err != nil {
			t.Fatalf("%v\n%s", err, p.log.tail())
		}
	}
}

func (p *pebble) stop() {
	if p.process != nil {
		_ = p.process.Process.Kill()
		_ = p.process.Wait()
		p.process = nil
	}
}

// trust returns the authorities that clients of its certificates trust.
func (p *pebble) trust(t *testing.T) *x509.CertPool {
	t.Helper()
	own, err := os.ReadFile(p.root)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(own)
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
	resp, err := client.Get("https://" + p.management + "/roots/0")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatalf("%v: %q", err, text)
	}
	return pool
}

// serveNames is a DNS server: every name has the address 127.0.0.1, and the TXT records of a
// file.
func serveNames(t *testing.T, records string) (address string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { conn.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			answerName(&m, records)
			if text, err := m.Pack(); err == nil {
				_, _ = conn.WriteTo(text, from)
			}
		}
	}()
	return conn.LocalAddr().String()
}

func answerName(m *dnsmessage.Message, records string) {
	q := m.Questions[0]
	m.Header.Response, m.Header.Authoritative, m.Additionals = true, true, nil
	head := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1}
	switch q.Type {
	case dnsmessage.TypeA:
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}}})
	case dnsmessage.TypeTXT:
		text, _ := os.ReadFile(records)
		present := make(map[string]bool)
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) == 3 && strings.EqualFold(f[1], q.Name.String()) {
				present[f[2]] = f[0] == "present"
			}
		}
		for value, is := range present {
			if is {
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.TXTResource{TXT: []string{value}}})
			}
		}
	}
}

// customer starts roost, which gets the certificate of a domain from the authority.
func (p *pebble) customer(t *testing.T, domain string, flags ...string) (s *server, data string) {
	t.Helper()
	binary := buildRoost(t)
	data = t.TempDir()
	s = &server{domain: domain, starttls: freeAddress(t), direct: freeAddress(t), log: new(logBuffer)}
	for i, f := range flags {
		if f == "--c2s-tls" {
			s.direct = flags[i+1]
		}
	}
	s.command = func() *exec.Cmd {
		return exec.Command(binary, append([]string{"serve", "--domain", domain, "--c2s", s.starttls, "--c2s-tls", s.direct, "--data", data,
			"--acme", "https://" + p.address + "/dir", "--acme-agree", "--acme-roots", p.root}, flags...)...)
	}
	s.start(t)
	return s, data
}

// awaitLine waits until the log has a text so many times.
func (s *server) awaitLine(t *testing.T, text string, times int) {
	t.Helper()
	deadline := time.Now().Add(startTime)
	for strings.Count(s.log.tail(), text) < times {
		if time.Now().After(deadline) {
			t.Fatalf("the log does not have %q %d times:\n%s", text, times, s.log.tail())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

const (
	gotOne  = "a certificate was obtained by ACME"
	gotNone = "no certificate could be obtained by ACME"
	noNew   = "a certificate could not be renewed by ACME"
)

// shown returns the certificate that clients with direct TLS and with STARTTLS are shown.
func (s *server) shown(t *testing.T) *x509.Certificate {
	t.Helper()
	cfg := &tls.Config{ServerName: s.domain, InsecureSkipVerify: true} // the test verifies it
	direct, err := tls.Dial("tcp", s.direct, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close()
	plain, err := net.Dial("tcp", s.starttls)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	_ = plain.SetDeadline(time.Now().Add(startTime))
	fmt.Fprintf(plain, "<stream:stream to='%s' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", s.domain)
	var read []byte
	for !bytes.Contains(read, []byte("<proceed")) || !bytes.HasSuffix(read, []byte(">")) {
		b := make([]byte, 4096)
		n, err := plain.Read(b)
		if err != nil {
			t.Fatalf("%v after %q", err, read)
		}
		read = append(read, b[:n]...)
	}
	upgraded := tls.Client(plain, cfg)
	if err := upgraded.Handshake(); err != nil {
		t.Fatal(err)
	}
	leaf := direct.ConnectionState().PeerCertificates[0]
	if !leaf.Equal(upgraded.ConnectionState().PeerCertificates[0]) {
		t.Error("direct TLS and STARTTLS show different certificates")
	}
	return leaf
}

// TestACME: certificates are obtained in all three ways, renewed, and stay in use while that
// fails, which the status explains.
func TestACME(t *testing.T) {
	p := newPebble(t)
	trust := p.trust(t)
	genuine := func(t *testing.T, s *server) *x509.Certificate {
		t.Helper()
		s.awaitLine(t, gotOne, 1)
		leaf := s.shown(t)
		conn, err := tls.Dial("tcp", s.direct, &tls.Config{ServerName: s.domain, RootCAs: trust})
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		return leaf
	}
	t.Run("tls-alpn", func(t *testing.T) {
		s, _ := p.customer(t, "tls.example", "--acme-tls", "clients", "--c2s-tls", "127.0.0.1:"+p.tlsPort)
		genuine(t, s)
	})
	t.Run("tls-alpn of its own", func(t *testing.T) {
		s, _ := p.customer(t, "tls.example", "--acme-tls", "127.0.0.1:"+p.tlsPort)
		genuine(t, s)
	})
	t.Run("dns", func(t *testing.T) {
		program := filepath.Join(p.dir, "dns")
		if err := os.WriteFile(program, []byte("#!/bin/sh\necho \"$@\" >>"+p.records+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		s, _ := p.customer(t, "dns.example", "--acme-dns", program)
		genuine(t, s)
		text, err := os.ReadFile(p.records)
		if lines := strings.Fields(string(text)); err != nil || len(lines)%6 != 0 || lines[3] != "cleanup" {
			t.Errorf("%v, records %q", err, text)
		}
	})
	t.Run("refused", func(t *testing.T) {
		s, data := p.customer(t, "refused.example", "--acme-http", "127.0.0.1:"+p.httpPort)
		s.awaitLine(t, gotNone, 1)
		if leaf := s.shown(t); !bytes.Equal(leaf.RawIssuer, leaf.RawSubject) {
			t.Errorf("it shows a certificate of %v", leaf.Issuer)
		}
		s.wantReason(t, data, "rejectedIdentifier")
	})
	t.Run("http, renewed, and not renewed", func(t *testing.T) {
		s, data := p.customer(t, "http.example", "--acme-http", "127.0.0.1:"+p.httpPort)
		first := genuine(t, s)
		s.awaitLine(t, gotOne, 2)
		second := s.shown(t)
		if second.Equal(first) {
			t.Error("it still shows the first certificate")
		}
		p.stop()
		s.awaitLine(t, noNew, 1)
		if !s.shown(t).Equal(second) {
			t.Error("it does not show the second certificate any more")
		}
		s.wantReason(t, data, "connection refused")
		// The authority is back, and has forgotten the account. A restart tries at once.
		p.start(t)
		trust = p.trust(t)
		s.stop(t)
		s.log = new(logBuffer)
		s.start(t)
		genuine(t, s)
	})
	t.Run("external account", func(t *testing.T) {
		p.stop()
		text, err := os.ReadFile(p.config)
		if err != nil {
			t.Fatal(err)
		}
		const key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
		text = bytes.Replace(text, []byte(`"domainBlocklist"`), []byte(`"externalAccountBindingRequired": true, "externalAccountMACKeys": {"kid-1": "`+key+`"}, "domainBlocklist"`), 1)
		file := filepath.Join(p.dir, "eab")
		for name, text := range map[string][]byte{p.config: text, file: []byte(key + "\n")} {
			if err := os.WriteFile(name, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		p.start(t)
		trust = p.trust(t)
		way := []string{"--acme-http", "127.0.0.1:" + p.httpPort}
		without, data := p.customer(t, "external.example", way...)
		without.awaitLine(t, gotNone, 1)
		without.wantReason(t, data, "externalAccountRequired")
		without.stop(t)
		s, _ := p.customer(t, "external.example", append(way, "--acme-eab-key-id", "kid-1", "--acme-eab-key-file", file)...)
		genuine(t, s)
	})
}

// wantReason checks that the status says why there is no certificate.
func (s *server) wantReason(t *testing.T, data, reason string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, buildRoost(t), "status", "--json", "--data", data).Output()
	var status struct {
		Renewals []struct {
			Domain, Reason string
			Failures       int
			NextTry        time.Time `json:"next_try"`
		}
	}
	if err == nil {
		err = json.Unmarshal(out, &status)
	}
	if err != nil || len(status.Renewals) != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	r := status.Renewals[0]
	if r.Domain != s.domain || r.Failures != 1 || !strings.Contains(r.Reason, reason) || !r.NextTry.After(time.Now()) {
		t.Errorf("%+v, want %q", r, reason)
	}
	text, err := exec.CommandContext(ctx, buildRoost(t), "status", "--data", data).Output()
	if err != nil || !bytes.Contains(text, []byte(reason)) {
		t.Errorf("%v: %s", err, text)
	}
}
