package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"roost/capacity"
	"roost/internal/ownfile"
	"roost/jid"
)

// Files of the self-signed certificate in the data directory.
const (
	selfSignedCert = "selfsigned.crt"
	selfSignedKey  = "selfsigned.key"
)

// Lifetime of a self-signed certificate, and how long before its end it is replaced.
const (
	selfSignedLife  = 5 * 365 * 24 * time.Hour
	selfSignedRenew = 30 * 24 * time.Hour
)

// Certificates holds the server's certificates, one for each domain. A reload replaces
// the whole set at once: no connection sees a mix of old and new certificates.
type Certificates struct {
	certFiles, keyFiles []string
	domains             []string // in the form used in certificates
	dir                 string
	log                 *slog.Logger
	set                 atomic.Pointer[certSet]

	mu     sync.Mutex
	warned map[[sha256.Size]byte]time.Duration // last warning given for a leaf; 0: that it has expired
}

// SelfSignedFiles returns the names of the certificate and the key that the server
// creates in its data directory when none are configured.
func SelfSignedFiles(dataDir string) (cert, key string) {
	return filepath.Join(dataDir, selfSignedCert), filepath.Join(dataDir, selfSignedKey)
}

// NewCertificates reads the operator's certificates. If there are none, it creates and
// stores a self-signed one in the data directory.
func NewCertificates(cfg *Config) (*Certificates, error) {
	c := &Certificates{certFiles: cfg.TLSCert, keyFiles: cfg.TLSKey, dir: cfg.DataDir, log: cfg.Logger}
	for _, d := range cfg.Domains {
		c.domains = append(c.domains, jid.DNSName(d))
	}
	return c, c.Reload()
}

// SelfSigned returns the file of the self-signed certificate, or "" if the operator
// provides certificates.
func (c *Certificates) SelfSigned() string {
	if len(c.certFiles) > 0 {
		return ""
	}
	return filepath.Join(c.dir, selfSignedCert)
}

// Reload reads all certificates again. On an error, the old ones stay in use. Earlier
// sessions can only be resumed if nothing has changed.
func (c *Certificates) Reload() error {
	certs, err := c.load()
	if err != nil {
		return err
	}
	set := c.newSet(certs)
	if old := c.set.Load(); old == nil || !old.sameCertificates(certs) {
		c.set.Store(set)
	}
	c.mu.Lock()
	c.warned = nil // warn again after an explicit reload
	c.mu.Unlock()
	c.warnExpiry()
	return nil
}

// newSet selects a certificate for each domain.
func (c *Certificates) newSet(certs []*tls.Certificate) *certSet {
	set := &certSet{byDomain: make(map[string]*tls.Certificate), all: certs}
	for _, domain := range c.domains {
		i := slices.IndexFunc(certs, func(cert *tls.Certificate) bool { return cert.Leaf.VerifyHostname(domain) == nil })
		if i < 0 {
			c.log.Warn("no certificate covers this domain; clients will reject the connection", "domain", domain)
			set.byDomain[domain] = certs[0]
			continue
		}
		set.byDomain[domain] = certs[i]
	}
	return set
}

func (c *Certificates) load() ([]*tls.Certificate, error) {
	if len(c.certFiles) == 0 {
		cert, err := c.selfSigned()
		if err != nil {
			return nil, fmt.Errorf("server: self-signed certificate: %w", err)
		}
		return []*tls.Certificate{cert}, nil
	}
	var certs []*tls.Certificate
	for i, file := range c.certFiles {
		cert, err := tls.LoadX509KeyPair(file, c.keyFiles[i])
		if err != nil {
			if key, e := os.ReadFile(c.keyFiles[i]); e == nil && capacity.KeyEncrypted(key) {
				err = capacity.EncryptedKeyError(c.keyFiles[i])
			}
			return nil, fmt.Errorf("server: certificate %s with key %s: %w", file, c.keyFiles[i], err)
		}
		certs = append(certs, &cert)
	}
	return certs, nil
}

// selfSigned reads the certificate in the data directory. It creates a new one if that is
// missing, does not match the domains, or expires soon.
func (c *Certificates) selfSigned() (*tls.Certificate, error) {
	certFile, keyFile := SelfSignedFiles(c.dir)
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	switch {
	case err == nil && c.fits(cert.Leaf):
		return &cert, nil
	case err == nil:
		c.log.Info("creating a new self-signed certificate: the domains have changed, or the old one expires soon")
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	certPEM, keyPEM, err := c.newSelfSigned()
	if err != nil {
		return nil, err
	}
	// Write the key first: a certificate without its key would be an error.
	if err := ownfile.Write(keyFile, keyPEM, 0o600); err != nil {
		return nil, err
	}
	if err := ownfile.Write(certFile, certPEM, 0o644); err != nil {
		return nil, err
	}
	cert, err = tls.X509KeyPair(certPEM, keyPEM)
	return &cert, err
}

// fits reports whether a self-signed certificate remains usable.
func (c *Certificates) fits(leaf *x509.Certificate) bool {
	for _, d := range c.domains {
		if leaf.VerifyHostname(d) != nil {
			return false
		}
	}
	return time.Until(leaf.NotAfter) > selfSignedRenew
}

func (c *Certificates) newSelfSigned() (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: c.domains[0]},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(selfSignedLife),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true, // so that users can add it to a client as an authority
	}
	for _, d := range c.domains {
		if ip := net.ParseIP(strings.Trim(d, "[]")); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, d)
		}
	}
	if slices.Contains(c.domains, "localhost") {
		template.IPAddresses = append(template.IPAddresses, net.IPv4(127, 0, 0, 1), net.IPv6loopback)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	certPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	return certPEM, keyPEM, nil
}
