package capacity

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// TLSPlan describes the certificates that the server will use.
type TLSPlan struct {
	Domains    []string
	Files      []string             // certificate chains, PEM; absolute names
	Keys       []string             // their keys, in the same order
	SelfSigned [2]string            // certificate and key that the server creates if Files is empty
	Obtained   map[string][2]string // certificate and key that the server obtains by ACME for each domain, if no other is for it; nil: it obtains none
	Now        time.Time            // default: now
	Roots      *x509.CertPool       // authorities that clients trust; nil: the system's
}

// Certificates checks that the certificates exist, are readable, match their keys, are
// valid and trusted, and that there is one for each domain.
func Certificates(root fs.FS, p TLSPlan) []Check {
	if p.Now.IsZero() {
		p.Now = time.Now()
	}
	var all []Check
	var leaves []*x509.Certificate
	if len(p.Files) == 0 && p.Obtained == nil {
		c, leaf := selfMade(root, p)
		return append(all, c, leafCovers(p.Domains, leaf))
	}
	for i, file := range p.Files {
		c, leaf := operators(root, p, file, p.Keys[i])
		all = append(all, c)
		if leaf != nil {
			leaves = append(leaves, leaf)
		}
	}
	if p.Obtained != nil {
		more, covered := obtained(root, p, leaves)
		return append(append(all, more...), covered)
	}
	return append(all, leafCovers(p.Domains, leaves...))
}

// obtained checks the certificates that the server obtains for the domains that those of the
// operator are not for. None of them keeps the server from starting.
func obtained(root fs.FS, p TLSPlan, leaves []*x509.Certificate) (all []Check, covered Check) {
	found := 0
	for _, d := range p.Domains {
		if slices.ContainsFunc(leaves, func(leaf *x509.Certificate) bool { return leaf.VerifyHostname(d) == nil }) {
			found++
			continue
		}
		files := p.Obtained[d]
		c := Check{Name: "certificate", Area: "tls", Title: d + " (ACME)"}
		_, err := readPair(root, files[0], files[1])
		if err == nil {
			c, _ = operators(root, p, files[0], files[1])
			c.Title = d + " (ACME)"
			if c.Status != OK {
				c.Fix = []string{"roost status   # shows why it was not renewed"}
			}
			if c.Status == Fail { // the server starts, and tries to renew it
				c.Status = Warn
			}
			found++
		} else {
			c.Status, c.Found, c.Needs = Warn, "none yet", "one that clients trust"
			c.Detail = []string{"roost serve obtains it by ACME after its start, and uses a self-signed one until then"}
			if !errors.Is(err, fs.ErrNotExist) {
				c.Found, c.Detail = "cannot be used", []string{err.Error()}
			}
		}
		all = append(all, c)
	}
	covered = Check{Name: "certificate-domains", Area: "tls", Title: "domains with a certificate", Needs: number(int64(len(p.Domains))), Found: number(int64(found))}
	if found < len(p.Domains) {
		covered.Status = Warn
	}
	return all, covered
}

// readPair reads a certificate and its key.
func readPair(root fs.FS, file, key string) (tls.Certificate, error) {
	certPEM, err := readFile(root, strings.TrimPrefix(file, "/"))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	keyPEM, err := readFile(root, strings.TrimPrefix(key, "/"))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("key: %w", err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil && KeyEncrypted(keyPEM) {
		err = EncryptedKeyError(key)
	}
	return pair, err
}

// KeyEncrypted reports whether a private key in PEM is encrypted with a passphrase.
func KeyEncrypted(keyPEM []byte) bool {
	for block, rest := pem.Decode(keyPEM); block != nil; block, rest = pem.Decode(rest) {
		// PKCS #8 (RFC 5958), and the older format of OpenSSL (RFC 1421).
		if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return true
		}
	}
	return false
}

// KeyReadable reports whether the file mode allows every user of the machine to read one
// of the operator's private keys. A group may share a key.
func KeyReadable(mode fs.FileMode) bool { return mode.Perm()&0o004 != 0 }

// EncryptedKeyError explains what to do about an encrypted key file: a server that starts
// unattended cannot ask for the passphrase.
func EncryptedKeyError(file string) error {
	return fmt.Errorf("the key is encrypted with a passphrase, which a server cannot ask for; decrypt it: (umask 077; openssl pkey -in %q -out %q)", file, file+".plain")
}

// selfMade checks the self-signed certificate that the server creates.
func selfMade(root fs.FS, p TLSPlan) (Check, *x509.Certificate) {
	c := Check{Name: "certificate", Area: "tls", Title: "certificate", Needs: "one that clients trust", Status: Warn}
	c.Fix = []string{"roost serve --tls-cert FILE --tls-key FILE"}
	pair, err := readPair(root, p.SelfSigned[0], p.SelfSigned[1])
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.Found = "none yet"
		c.Detail = []string{"roost serve creates a self-signed one; clients must be configured to trust it"}
		return c, nil
	case err != nil:
		return broken(c, err), nil
	}
	c.Found = "self-signed"
	c.Detail = []string{days(pair.Leaf.NotAfter.Sub(p.Now)) + "; clients must be configured to trust " + p.SelfSigned[0]}
	return c, pair.Leaf
}

// broken is the result for a certificate that prevents the server from starting.
func broken(c Check, err error) Check {
	c.Status, c.Found, c.Detail = Fail, "cannot be used", []string{err.Error()}
	if errors.Is(err, fs.ErrPermission) {
		c.Found = "cannot be read"
		c.Fix = []string{"run roost check as the user that runs roost serve"}
	}
	return c
}

// operators checks a certificate that the operator provides.
func operators(root fs.FS, p TLSPlan, file, key string) (Check, *x509.Certificate) {
	c := Check{Name: "certificate", Area: "tls", Title: path.Base(file)}
	pair, err := readPair(root, file, key)
	if err != nil {
		c.Fix = []string{"roost serve --tls-cert FILE --tls-key FILE"}
		return broken(c, err), nil
	}
	leaf := pair.Leaf
	left, least := leaf.NotAfter.Sub(p.Now), min(expiring, leaf.NotAfter.Sub(leaf.NotBefore)/3)
	c.Found, c.Needs = days(left), days(least)
	renew := "renew " + file + ", then: systemctl reload roost"
	switch {
	case left <= 0:
		c.Status, c.Found, c.Fix = Fail, "expired "+leaf.NotAfter.Format(time.DateOnly), []string{renew}
	case p.Now.Before(leaf.NotBefore):
		c.Status, c.Found = Fail, "valid from "+leaf.NotBefore.Format(time.DateOnly)
		c.Fix = []string{"set the clock: timedatectl set-ntp true"}
	case left < least:
		c.Status, c.Fix = Warn, []string{renew}
	}
	trust(&c, p, pair, file)
	if info, err := fs.Stat(root, strings.TrimPrefix(key, "/")); err == nil && KeyReadable(info.Mode()) {
		c.warn("every user of this machine can read the key", "chmod o-r "+key)
	}
	return c, leaf
}

// warn adds a problem to a check, whose status becomes at least Warn.
func (c *Check) warn(detail, fix string) {
	c.Status = max(c.Status, Warn)
	c.Detail, c.Fix = append(c.Detail, detail), append(c.Fix, fix)
}

// trust checks that clients can verify the chain up to an authority. For a private
// authority, the result only holds for this machine.
func trust(c *Check, p TLSPlan, pair tls.Certificate, file string) {
	leaf := pair.Leaf
	if bytes.Equal(leaf.RawIssuer, leaf.RawSubject) && leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) == nil {
		c.warn("self-signed: clients must be configured to trust it", "use a certificate from an authority that clients trust")
		return
	}
	between := x509.NewCertPool()
	for _, der := range pair.Certificate[1:] {
		if cert, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(cert)
		}
	}
	// Verify at a time at which the leaf is valid: its dates are checked elsewhere.
	at := p.Now
	if at.After(leaf.NotAfter) || at.Before(leaf.NotBefore) {
		at = leaf.NotBefore
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: p.Roots, Intermediates: between, CurrentTime: at})
	if err == nil {
		return
	}
	detail := "not trusted by this machine's authorities: " + err.Error()
	if len(pair.Certificate) == 1 {
		detail = "the file lacks the intermediate certificates, which most clients need"
	}
	c.warn(detail, "put the whole chain into "+file+", the server's certificate first")
}

// leafCovers checks that there is a certificate for each domain.
func leafCovers(domains []string, leaves ...*x509.Certificate) Check {
	c := Check{Name: "certificate-domains", Area: "tls", Title: "domains with a certificate", Needs: number(int64(len(domains)))}
	var missing []string
	for _, d := range domains {
		covered := false
		for _, leaf := range leaves {
			// A certificate that does not exist yet will be created for all domains.
			covered = covered || leaf == nil || leaf.VerifyHostname(d) == nil
		}
		if !covered {
			missing = append(missing, d)
		}
	}
	c.Found = number(int64(len(domains) - len(missing)))
	if len(missing) > 0 {
		c.Status = Fail
		c.Detail = []string{"no certificate for " + strings.Join(missing, ", ")}
		c.Fix = []string{"roost serve --tls-cert FILE --tls-key FILE   # repeat both for these domains"}
	}
	return c
}

func days(d time.Duration) string {
	switch n := int64(d / (24 * time.Hour)); n {
	case 0:
		return fmt.Sprintf("%d h left", int64(d/time.Hour))
	case 1:
		return "1 day left"
	default:
		return number(n) + " days left"
	}
}
