package capacity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io/fs"
	"math/big"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

var now = time.Date(2030, 6, 1, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// authority signs certificates; the zero authority creates self-signed ones.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue creates a certificate and its key, in PEM.
func (a authority) issue(t *testing.T, from, to time.Time, isCA bool, names ...string) (made authority, certPEM, keyPEM []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: from, NotAfter: to, BasicConstraintsValid: true, IsCA: isCA,
	}
	parent, signer := template, key
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return authority{cert, key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

// pair is the files of a certificate and a key.
func pair(certPEM, keyPEM []byte, mode fs.FileMode) fstest.MapFS {
	return fstest.MapFS{
		"etc/roost/c.crt": {Data: certPEM, Mode: 0o644},
		"etc/roost/c.key": {Data: keyPEM, Mode: mode},
	}
}

func TestCertificates(t *testing.T) {
	root, rootPEM, _ := authority{}.issue(t, now.Add(-365*day), now.Add(365*day), true, "root.example")
	between, betweenPEM, _ := root.issue(t, now.Add(-365*day), now.Add(365*day), true, "between.example")
	roots := x509.NewCertPool()
	roots.AddCert(root.cert)
	const domain = "example.org"
	f := func(desc string, files fs.FS, want, wantDomains Status, text string, domains ...string) {
		t.Helper()
		p := TLSPlan{Domains: domains, Files: []string{"/etc/roost/c.crt"}, Keys: []string{"/etc/roost/c.key"}, Now: now, Roots: roots}
		checks := Certificates(files, p)
		if len(checks) != 2 {
			t.Fatalf("%s: %+v", desc, checks)
		}
		for _, c := range checks {
			complete(t, c)
		}
		if checks[0].Status != want || checks[1].Status != wantDomains {
			t.Errorf("%s: %+v, want %v and %v", desc, checks, want, wantDomains)
		}
		all := checks[0].Found + strings.Join(append(checks[0].Detail, checks[1].Detail...), "\n")
		if !strings.Contains(all, text) {
			t.Errorf("%s: %q does not say %q", desc, all, text)
		}
	}
	chain := func(from, to time.Duration) fstest.MapFS {
		_, c, k := between.issue(t, now.Add(from), now.Add(to), false, domain, "*.example.net")
		return pair(append(c, betweenPEM...), k, 0o600)
	}
	good := chain(-60*day, 30*day)
	f("good", good, OK, OK, "30 days left", domain)
	f("a wildcard", good, OK, OK, "", domain, "chat.example.net")
	f("another domain", good, OK, Fail, "example.com", domain, "example.com")
	f("near its end", chain(-60*day, 10*day), Warn, OK, "10 days left", domain)
	f("short-lived, fresh", chain(-day, 5*day), OK, OK, "5 days left", domain)
	f("short-lived, old", chain(-5*day, 30*time.Hour), Warn, OK, "1 day left", domain)
	f("expired", chain(-60*day, -day), Fail, OK, "expired 2030-05-31", domain)
	f("of the future", chain(day, 60*day), Fail, OK, "valid from 2030-06-02", domain)

	_, alone, aloneKey := between.issue(t, now.Add(-day), now.Add(60*day), false, domain)
	f("without its chain", pair(alone, aloneKey, 0o600), Warn, OK, "lacks the intermediate certificates", domain)
	f("a key for everybody", pair(append(alone, betweenPEM...), aloneKey, 0o644), Warn, OK, "every user", domain)
	stranger, strangerPEM, _ := authority{}.issue(t, now.Add(-day), now.Add(365*day), true, "stranger.example")
	_, strange, strangeKey := stranger.issue(t, now.Add(-day), now.Add(60*day), false, domain)
	f("of a stranger", pair(append(strange, strangerPEM...), strangeKey, 0o600), Warn, OK, "not trusted", domain)
	_, own, ownKey := authority{}.issue(t, now.Add(-day), now.Add(60*day), false, domain)
	f("self-signed", pair(own, ownKey, 0o600), Warn, OK, "self-signed", domain)

	f("another key", pair(alone, ownKey, 0o600), Fail, Fail, "private key does not match", domain)
	f("no PEM", pair([]byte("hello"), ownKey, 0o600), Fail, Fail, "PEM", domain)
	f("a chain upside down", pair(append(append([]byte(nil), rootPEM...), alone...), aloneKey, 0o600), Fail, Fail, "does not match", domain)
	for _, block := range []pem.Block{
		{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("secret")},
		{Type: "EC PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}, Bytes: []byte("secret")},
	} {
		f("an encrypted key", pair(alone, pem.EncodeToMemory(&block), 0o600), Fail, Fail, `openssl pkey -in "/etc/roost/c.key" -out`, domain)
	}
	f("not there", fstest.MapFS{}, Fail, Fail, "open /etc/roost/c.crt: file does not exist", domain)
	f("not for us", forbidden{}, Fail, Fail, "cannot be read", domain)
}

// forbidden is a file system that denies every access.
type forbidden struct{}

func (forbidden) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
}

// TestSelfSigned: the server's own certificate is a warning, whether it exists already or
// not, and covers all domains.
func TestSelfSigned(t *testing.T) {
	_, cert, key := authority{}.issue(t, now.Add(-day), now.Add(60*day), true, "example.org")
	f := func(desc string, files fs.FS, want, wantDomains Status, text string) {
		t.Helper()
		checks := Certificates(files, TLSPlan{Domains: []string{"example.org"}, SelfSigned: [2]string{"/etc/roost/c.crt", "/etc/roost/c.key"}, Now: now})
		if len(checks) != 2 || checks[0].Status != want || checks[1].Status != wantDomains {
			t.Errorf("%s: %+v, want %v and %v", desc, checks, want, wantDomains)
		}
		if all := checks[0].Found + strings.Join(checks[0].Detail, "\n"); !strings.Contains(all, text) {
			t.Errorf("%s: %q does not say %q", desc, all, text)
		}
	}
	f("not made yet", fstest.MapFS{}, Warn, OK, "none yet")
	f("made", pair(cert, key, 0o600), Warn, OK, "60 days left")
	f("damaged", pair(cert, []byte("x"), 0o600), Fail, OK, "cannot be used")
}

// TestObtained: certificates by ACME are warnings at most, as the server starts without them.
func TestObtained(t *testing.T) {
	root, _, _ := authority{}.issue(t, now.Add(-365*day), now.Add(365*day), true, "root.example")
	roots := x509.NewCertPool()
	roots.AddCert(root.cert)
	f := func(desc string, files fstest.MapFS, want Status, found, covered string) {
		t.Helper()
		p := TLSPlan{Domains: []string{"example.org"}, Now: now, Roots: roots, Obtained: map[string][2]string{"example.org": {"/etc/roost/c.crt", "/etc/roost/c.key"}}}
		checks := Certificates(files, p)
		if len(checks) != 2 || checks[0].Status != want || !strings.Contains(checks[0].Found, found) || checks[1].Found != covered {
			t.Errorf("%s: %+v, want %v, %q", desc, checks, want, found)
		}
		for _, c := range checks {
			if c.Status == Fail {
				t.Errorf("%s: %+v", desc, c)
			}
		}
	}
	made := func(from, to time.Duration) fstest.MapFS {
		_, c, k := root.issue(t, now.Add(from), now.Add(to), false, "example.org")
		return pair(c, k, 0o600)
	}
	f("not yet", fstest.MapFS{}, Warn, "none yet", "0")
	f("good", made(-60*day, 30*day), OK, "30 days left", "1")
	f("not renewed", made(-80*day, 10*day), Warn, "10 days left", "1")
	f("expired", made(-90*day, -day), Warn, "expired", "1")
	damaged := made(-60*day, 30*day)
	damaged["etc/roost/c.key"].Data = []byte("x")
	f("damaged", damaged, Warn, "cannot be used", "0")

	_, own, ownKey := root.issue(t, now.Add(-day), now.Add(60*day), false, "example.org")
	p := TLSPlan{Domains: []string{"example.org", "example.net"}, Files: []string{"/etc/roost/c.crt"}, Keys: []string{"/etc/roost/c.key"}, Now: now, Roots: roots,
		Obtained: map[string][2]string{"example.org": {"/none", "/none"}, "example.net": {"/none", "/none"}}}
	if checks := Certificates(pair(own, ownKey, 0o600), p); len(checks) != 3 || checks[1].Title != "example.net (ACME)" || checks[2].Found != "1" {
		t.Errorf("one of the operator: %+v", checks)
	}
}

// TestTwoCertificates: each is checked, and together they cover all domains.
func TestTwoCertificates(t *testing.T) {
	_, one, oneKey := authority{}.issue(t, now.Add(-day), now.Add(60*day), false, "example.org")
	_, two, twoKey := authority{}.issue(t, now.Add(-60*day), now.Add(-day), false, "example.net")
	files := fstest.MapFS{"1.crt": {Data: one}, "1.key": {Data: oneKey}, "2.crt": {Data: two}, "2.key": {Data: twoKey}}
	p := TLSPlan{Domains: []string{"example.org", "example.net"}, Files: []string{"/1.crt", "/2.crt"}, Keys: []string{"/1.key", "/2.key"}, Now: now}
	checks := Certificates(files, p)
	if len(checks) != 3 || checks[0].Status != Warn || checks[1].Status != Fail || checks[2].Status != OK {
		t.Errorf("%+v", checks)
	}
}
