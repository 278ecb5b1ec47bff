package server

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"slices"
	"strings"
	"time"

	"roost/capacity"
)

// expiryInterval is how often the server checks the expiry of its certificates.
const expiryInterval = 24 * time.Hour

// WatchExpiry logs a warning when a certificate expires in 30, 14, 7 or 1 days, and once
// a day after it has expired, until ctx ends. Reload logs such warnings for the
// certificates that it has read.
func (c *Certificates) WatchExpiry(ctx context.Context) {
	every(ctx, expiryInterval, c.warnExpiry)
}

// warnExpiry warns about each certificate once per period, and on every call after its
// expiry.
func (c *Certificates) warnExpiry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, warned := time.Now(), make(map[[sha256.Size]byte]time.Duration)
	set := c.set.Load()
	for i, cert := range set.all {
		period, ok := capacity.ExpiryWarning(cert.Leaf, now)
		if !ok {
			continue
		}
		id := sha256.Sum256(cert.Leaf.Raw)
		before, told := c.warned[id]
		warned[id] = period
		if told && before == period && period > 0 {
			continue
		}
		file, fix := set.from[i].file, "renew the certificate; the server reads it within a minute"
		switch set.from[i].kind {
		case bySelf:
			fix = "run roost reload: it creates a new one, which clients must be configured to trust"
		case byACME:
			fix = "run roost status: it shows why the certificate has not been renewed"
		}
		message := "a certificate expires soon"
		if period == 0 {
			message = "a certificate has expired; clients refuse to connect"
		}
		c.log.Warn(message, "names", strings.Join(certNames(cert.Leaf), " "), "file", file,
			"not_after", cert.Leaf.NotAfter.UTC().Format(time.RFC3339), "days_left", int(cert.Leaf.NotAfter.Sub(now)/(24*time.Hour)), "fix", fix)
	}
	c.warned = warned
}

// certNames returns the names in a certificate.
func certNames(leaf *x509.Certificate) []string {
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}
