package xep

import (
	"net/netip"
	"time"

	"roost/internal/hourly"
	"roost/internal/peernet"
)

// limiter limits how often the clients of one network may do something in an hour.
type limiter struct {
	*hourly.Limit[peernet.Network]
}

func newLimiter() limiter { return limiter{hourly.New(^peernet.Network(0))} }

// set sets the limit to n events an hour, or to none if n is negative.
func (l limiter) set(n int) {
	if n == 0 {
		n = 1
	}
	l.Set(n)
}

// allow counts an event and reports whether it is allowed. Clients on the same machine,
// such as tests and the operator's own, are not limited.
func (l limiter) allow(from netip.Addr, now time.Time) bool {
	of := peernet.Of(from)
	return of == peernet.Loopback || l.Allow(of, now)
}
