package capacity

import (
	"crypto/x509"
	"time"
)

// expiryWarnings are the times before the end of a certificate at which to warn, in
// descending order.
var expiryWarnings = [...]time.Duration{30 * oneDay, 14 * oneDay, 7 * oneDay, oneDay}

const oneDay = 24 * time.Hour

// expiring: a certificate should have been renewed if less than this remains, or less
// than a third of its lifetime if that is short.
const expiring = 14 * oneDay

// ExpiryWarning returns the last of expiryWarnings that a certificate has passed (0 after
// its end), and whether there is one. Warning times longer than a third of the
// certificate's lifetime are omitted: a certificate for a week needs no warning in its
// first days.
func ExpiryWarning(leaf *x509.Certificate, now time.Time) (passed time.Duration, ok bool) {
	left := leaf.NotAfter.Sub(now)
	if left <= 0 {
		return 0, true
	}
	for _, w := range expiryWarnings {
		if left <= w && w <= leaf.NotAfter.Sub(leaf.NotBefore)/3 {
			passed, ok = w, true
		}
	}
	return passed, ok
}
