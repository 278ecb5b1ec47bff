// Package acme obtains certificates for a server's domains from a certificate authority by
// ACME (RFC 8555, https://www.rfc-editor.org/rfc/rfc8555), and renews them. It is the only
// package that uses certmagic, which implements the protocol, the storage in files, and the
// locks between nodes that share the files. This package decides when to try, so that the
// reason for a failure and the time of the next attempt are known.
package acme

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
)

// Config says which authority issues certificates, and how it can verify that the domains
// belong to the server. The zero value obtains none.
type Config struct {
	// Directory is the URL of the authority's directory, LetsEncrypt or
	// LetsEncryptStaging; empty: no certificates are obtained.
	Directory string `reload:"no: the account and the addresses are opened at the start"`

	// Agree says that the operator agrees to the authority's terms of service; required.
	Agree bool `reload:"no: the account is opened at the start"`

	// Email is an address for the account at the authority; may be empty.
	Email string `reload:"no: the account is opened at the start"`

	// EABKeyID and EABKeyFile bind the account that the server creates to one that the operator
	// has at the authority (external account binding, RFC 8555 section 7.3.4). The file contains
	// the MAC key in base64url. Both or neither.
	EABKeyID   string `reload:"no: the account is opened at the start"`
	EABKeyFile string `reload:"no: the account is opened at the start"`

	// One of HTTP, TLS and DNS is required.
	//
	// HTTP is the address that answers HTTP-01 challenges; the authority connects to port 80
	// of the domain. TLS is the address that answers TLS-ALPN-01 challenges, or Clients; the
	// authority connects to port 443. DNS is a program that adds and removes TXT records, for
	// DNS-01 challenges.
	HTTP string `reload:"no: the address is opened at the start"`
	TLS  string `reload:"no: the address is opened at the start"`
	DNS  string `reload:"no: it is found at the start"`

	// Roots is a PEM file of the authorities that may sign the directory's own certificate;
	// empty: the system's.
	Roots string `reload:"no: it is read at the start"`

	// Dir is the directory of accounts, certificates and keys; nodes may share it.
	Dir string `reload:"no: what is in it is used at the start"`
}

// Values of Config.Directory and of Config.TLS that are not what they say there.
const (
	LetsEncrypt        = "letsencrypt"         // the authority at letsencrypt.org
	LetsEncryptStaging = "letsencrypt-staging" // the same for tests: no client trusts its certificates
	Clients            = "clients"             // the listeners for clients answer the challenges
)

func init() { certmagic.UserAgent = "roost" }

// DirName is the usual name of Config.Dir in the data directory.
const DirName = "acme"

// Enabled reports whether certificates are obtained.
func (c *Config) Enabled() bool { return c.Directory != "" }

// url returns the URL of the directory.
func (c *Config) url() string {
	switch c.Directory {
	case LetsEncrypt:
		return certmagic.LetsEncryptProductionCA
	case LetsEncryptStaging:
		return certmagic.LetsEncryptStagingCA
	}
	return c.Directory
}

// Validate calls mistake for each mistake in the configuration, with the name of the field.
// The domains are written as in certificates.
func (c *Config) Validate(domains []string, mistake func(field, format string, args ...any)) {
	if !c.Enabled() {
		return
	}
	u, err := url.Parse(c.url())
	if err != nil || u.Scheme != "https" || u.Host == "" {
		mistake("Directory", "%q is not the URL of an ACME directory: it begins with https://, or is %s or %s", c.Directory, LetsEncrypt, LetsEncryptStaging)
	}
	if !c.Agree {
		mistake("Agree", "an authority gives certificates to those who agree to its terms of service: read those of %s, and say that you agree", c.Directory)
	}
	if c.Email != "" {
		if a, err := mail.ParseAddress(c.Email); err != nil || a.Address != c.Email {
			mistake("Email", "%q is not an e-mail address such as admin@example.org", c.Email)
		}
	}
	if _, err := c.binding(); err != nil {
		mistake("EABKeyFile", "%w", err)
	}
	ways := 0
	for _, way := range []string{c.HTTP, c.TLS, c.DNS} {
		if way != "" {
			ways++
		}
	}
	if ways != 1 {
		mistake("HTTP", "%d ways are given in which the authority can see that the domains are yours: it must be one, an address for HTTP, an address for TLS, or a program for the DNS", ways)
	}
	if _, err := c.roots(); err != nil {
		mistake("Roots", "%w", err)
	}
	if c.DNS != "" {
		if info, err := os.Stat(c.DNS); err != nil {
			mistake("DNS", "%w", err)
		} else if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
			mistake("DNS", "%s is not a program that can be run: see its mode", c.DNS)
		}
	}
	for _, d := range domains {
		switch {
		case net.ParseIP(strings.Trim(d, "[]")) != nil:
			mistake("Directory", "%s is an address; certificates are obtained for names of domains", d)
		case c.Directory != c.url() && !certmagic.SubjectQualifiesForPublicCert(d):
			mistake("Directory", "%s is a name for local use, for which no public authority gives certificates", d)
		}
	}
}

// roots returns the authorities of Config.Roots, nil if there is no such file.
func (c *Config) roots() (*x509.CertPool, error) {
	if c.Roots == "" {
		return nil, nil
	}
	text, err := os.ReadFile(c.Roots)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificates in PEM", c.Roots)
	}
	return pool, nil
}

// binding returns the external account of Config.EABKeyID, nil if there is none.
func (c *Config) binding() (*acme.EAB, error) {
	switch {
	case c.EABKeyID == "" && c.EABKeyFile == "":
		return nil, nil
	case c.EABKeyID == "" || c.EABKeyFile == "":
		return nil, errors.New("the key ID of an external account and the file with its key belong together: the authority gives both")
	}
	text, err := os.ReadFile(c.EABKeyFile)
	if err != nil {
		return nil, err
	}
	// RFC 8555 section 7.3.4 (https://www.rfc-editor.org/rfc/rfc8555#section-7.3.4): "The MAC key SHOULD
	// be provided in base64url-encoded form". Some authorities show it in the usual form of base64.
	key := strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(strings.TrimSpace(string(text)), "="))
	if raw, err := base64.RawURLEncoding.DecodeString(key); err != nil || len(raw) == 0 {
		return nil, fmt.Errorf("%s does not have the key of an external account, in base64, and nothing else", c.EABKeyFile)
	}
	return &acme.EAB{KeyID: c.EABKeyID, MACKey: key}, nil
}

// Files returns the files in which the certificate of a domain and its key are, or will be.
// The domain is written as in certificates.
func (c *Config) Files(domain string) (cert, key string) {
	by := (&certmagic.ACMEIssuer{CA: c.url()}).IssuerKey()
	file := func(name string) string { return filepath.Join(c.Dir, filepath.FromSlash(name)) }
	return file(certmagic.StorageKeys.SiteCert(by, domain)), file(certmagic.StorageKeys.SitePrivateKey(by, domain))
}
