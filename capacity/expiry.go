package capacity

import (
	"crypto/x509"
	"time"
)

// expiryWarnings are how long before a certificate ends somebody should hear of
// it, in falling order.
var expiryWarnings = [...]time.Duration{30 * oneDay, 14 * oneDay, 7 * oneDay, oneDay}

const oneDay = 24 * time.Hour

// expiring: a certificate with less than this left, or less than a third of its
// life where that is short, should have been renewed.
const expiring = 14 * oneDay

// ExpiryWarning returns the last of expiryWarnings that a certificate has passed, 0
// after its end, and whether there is one. Those longer than a third of its life are
// left out: a certificate for a week is not news in its first days.
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
