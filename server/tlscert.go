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

	"roost/acme"
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
	log *slog.Logger
	set atomic.Pointer[certSet]

	mu     sync.Mutex                          // held while the set is replaced
	seen   []fileStamp                         // of the files when they were last read, or tried
	warned map[[sha256.Size]byte]time.Duration // the warning given for a leaf, 0: that it has ended
	needs  func(domains []string)              // is told for which domains certificates are to be obtained; nil: nobody

	challenge func(*tls.ClientHelloInfo) *tls.Config // for handshakes that validate a domain, nil for others; nil: there are none. Immutable once clients connect
}

// certSource is where a set of certificates comes from, and what it is for.
type certSource struct {
	certFiles, keyFiles []string    // none: the server makes a certificate itself, unless all are obtained
	acme                acme.Config // how certificates are obtained for domains that those of the files are not for
	domains             []string    // as certificates have them
	dir                 string      // of the certificate that the server makes
	minTLS              uint16
	log                 *slog.Logger
}

// origin is where a certificate comes from.
type origin struct {
	file string
	kind originKind
}

type originKind uint8

const (
	byOperator originKind = iota
	bySelf                // self-signed
	byACME
)

func newCertSource(cfg *Config) certSource {
	s := certSource{certFiles: cfg.TLSCert, keyFiles: cfg.TLSKey, acme: cfg.ACME, dir: cfg.DataDir, minTLS: cfg.MinTLS, log: cfg.Logger}
	for _, d := range cfg.Domains {
		s.domains = append(s.domains, jid.DNSName(d))
	}
	return s
}

// SelfSignedFiles returns the names of the certificate and the key that the server
// creates in its data directory when none are configured.
func SelfSignedFiles(dataDir string) (cert, key string) {
	return filepath.Join(dataDir, selfSignedCert), filepath.Join(dataDir, selfSignedKey)
}

// NewCertificates reads the operator's certificates. If there are none, it creates and
// stores a self-signed one in the data directory.
func NewCertificates(cfg *Config) (*Certificates, error) {
	c := &Certificates{log: cfg.Logger}
	set, err := newCertSource(cfg).load(nil)
	if err != nil {
		return nil, err
	}
	c.use(set, nil)
	return c, nil
}

// SelfSigned returns the file of the self-signed certificate, or "" if none is in use.
func (c *Certificates) SelfSigned() string {
	for _, from := range c.set.Load().from {
		if from.kind == bySelf {
			return from.file
		}
	}
	return ""
}

// Reload reads all certificates again. On an error, the old ones stay in use. Earlier
// sessions can only be resumed if nothing has changed.
func (c *Certificates) Reload() error {
	old := c.set.Load()
	set, err := old.source.load(old)
	if err != nil {
		return err
	}
	c.use(set, old)
	return nil
}

// use makes a set the one that new connections are shown, unless from is not nil and is not
// in use any more: then another one was read meanwhile.
func (c *Certificates) use(set, from *certSet) {
	c.mu.Lock()
	old := c.set.Load()
	if from != nil && from != old {
		c.mu.Unlock()
		return
	}
	if old == nil || !old.same(set) {
		c.set.Store(set)
	}
	c.seen, c.warned = set.files, nil // whoever reloads wants to hear it again
	if c.needs != nil {
		c.needs(set.obtain)
	}
	c.mu.Unlock()
	for _, domain := range set.uncovered {
		c.log.Warn("no certificate covers this domain; clients will reject the connection", "domain", domain)
	}
	c.warnExpiry()
}

// load reads the certificates and finds one for each domain. It changes nothing that is in
// use, but may make a certificate in the data directory. An obtained certificate that cannot
// be read is taken from the set in use, which may be nil.
func (s certSource) load(inUse *certSet) (*certSet, error) {
	set := &certSet{source: s, byDomain: make(map[string]*tls.Certificate), files: s.stamps()} // the files first: what changes meanwhile is noticed later
	if err := set.read(inUse); err != nil {
		return nil, err
	}
	for _, domain := range s.domains {
		cert := certFor(set.all, domain)
		if cert == nil {
			set.uncovered = append(set.uncovered, domain)
			cert = set.all[0]
		}
		set.byDomain[domain] = cert
	}
	return set, nil
}

// certFor returns the first certificate that is for a domain, nil if none is.
func certFor(all []*tls.Certificate, domain string) *tls.Certificate {
	i := slices.IndexFunc(all, func(cert *tls.Certificate) bool { return cert.Leaf.VerifyHostname(domain) == nil })
	if i < 0 {
		return nil
	}
	return all[i]
}

// read reads the certificates: those of the operator, those that were obtained, and if there
// is a domain without one and the operator has given none, a self-signed one.
func (set *certSet) read(inUse *certSet) error {
	s := &set.source
	given, err := loadPairs(s.certFiles, s.keyFiles)
	if err != nil {
		return err
	}
	for i, cert := range given {
		set.add(cert, s.certFiles[i], byOperator)
	}
	complete := true
	for _, domain := range s.domains {
		if certFor(given, domain) != nil {
			continue
		}
		if s.acme.Enabled() {
			set.obtain = append(set.obtain, domain)
			set.addObtained(domain, inUse)
		}
		complete = complete && certFor(set.all, domain) != nil
	}
	if len(given) > 0 || complete {
		return nil
	}
	cert, err := s.selfSigned()
	if err != nil {
		return fmt.Errorf("server: self-signed certificate: %w", err)
	}
	file, _ := SelfSignedFiles(s.dir)
	set.add(cert, file, bySelf)
	return nil
}

func (set *certSet) add(cert *tls.Certificate, file string, kind originKind) {
	set.all, set.from = append(set.all, cert), append(set.from, origin{file, kind})
}

// addObtained adds the certificate that was obtained for a domain, if there is one.
func (set *certSet) addObtained(domain string, inUse *certSet) {
	certFile, keyFile := set.source.acme.Files(domain)
	cert, err := loadPair(certFile, keyFile)
	if err == nil {
		err = cert.Leaf.VerifyHostname(domain)
	}
	if err == nil {
		set.add(cert, certFile, byACME)
		return
	}
	if !errors.Is(err, fs.ErrNotExist) {
		set.source.log.Warn("a certificate that was obtained cannot be used", "domain", domain, "err", err)
	}
	if inUse == nil {
		return
	}
	if i := slices.Index(inUse.from, origin{certFile, byACME}); i >= 0 {
		set.add(inUse.all[i], certFile, byACME)
	}
}

// CheckCertificates reads the certificates and keys that a configuration names. Each that
// cannot be used is a *FieldError, joined. Otherwise uncovered are the domains that none of
// them is for; a certificate that the server makes itself is for all.
func CheckCertificates(cfg Config) (uncovered []string, err error) {
	all, err := loadPairs(cfg.TLSCert, cfg.TLSKey)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	for _, domain := range cfg.Domains {
		if !cfg.ACME.Enabled() && certFor(all, jid.DNSName(domain)) == nil {
			uncovered = append(uncovered, domain)
		}
	}
	return uncovered, nil
}

func loadPairs(certFiles, keyFiles []string) (certs []*tls.Certificate, err error) {
	for i, file := range certFiles {
		cert, e := loadPair(file, keyFiles[i])
		if e != nil {
			err = errors.Join(err, &FieldError{"TLSCert", e})
			continue
		}
		certs = append(certs, cert)
	}
	return certs, err
}

// loadPair reads a certificate and its key.
func loadPair(certFile, keyFile string) (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		if key, e := os.ReadFile(keyFile); e == nil && capacity.KeyEncrypted(key) {
			err = capacity.EncryptedKeyError(keyFile)
		}
		return nil, fmt.Errorf("server: certificate %s with key %s: %w", certFile, keyFile, err)
	}
	return &cert, nil
}

// selfSigned reads the certificate in the data directory. It creates a new one if that is
// missing, does not match the domains, or expires soon.
func (s *certSource) selfSigned() (*tls.Certificate, error) {
	certFile, keyFile := SelfSignedFiles(s.dir)
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	switch {
	case err == nil && s.fits(cert.Leaf):
		return &cert, nil
	case err == nil:
		s.log.Info("creating a new self-signed certificate: the domains have changed, or the old one expires soon")
	case errors.Is(err, fs.ErrNotExist):
	case errors.As(err, new(*fs.PathError)): // it names the file
		return nil, err
	default:
		return nil, fmt.Errorf("%s with key %s: %w: delete both, and the server makes new ones", certFile, keyFile, err)
	}
	certPEM, keyPEM, err := s.newSelfSigned()
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
func (s *certSource) fits(leaf *x509.Certificate) bool {
	for _, d := range s.domains {
		if leaf.VerifyHostname(d) != nil {
			return false
		}
	}
	return time.Until(leaf.NotAfter) > selfSignedRenew
}

func (s *certSource) newSelfSigned() (certPEM, keyPEM []byte, err error) {
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
		Subject:               pkix.Name{CommonName: s.domains[0]},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(selfSignedLife),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true, // so that users can add it to a client as an authority
	}
	for _, d := range s.domains {
		if ip := net.ParseIP(strings.Trim(d, "[]")); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, d)
		}
	}
	if slices.Contains(s.domains, "localhost") {
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
