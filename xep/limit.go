package xep

import (
	"net/netip"
	"time"

	"roost/internal/hourly"
	"roost/internal/peernet"
)

// limiter limits how often the clients of one network may do something in an hour, and those of an
// IPv6 site, who may have 65,536 networks.
type limiter struct {
	networks, sites *hourly.Limit[peernet.Network]
}

// siteNetworks is how many networks' events a site may cause.
const siteNetworks = 16

func newLimiter() limiter {
	return limiter{hourly.New(^peernet.Network(0)), hourly.New(^peernet.Network(0))}
}

// set sets the limit to n events an hour, or to none if n is negative.
func (l limiter) set(n int) {
	if n == 0 {
		n = 1
	}
	l.networks.Set(n)
	l.sites.Set(n * siteNetworks)
}

// allow counts an event and reports whether it is allowed. Clients on the same machine,
// such as tests and the operator's own, are not limited.
func (l limiter) allow(from netip.Addr, now time.Time) bool {
	of := peernet.Of(from)
	if of == peernet.Loopback {
		return true
	}
	// What is refused to a network does not count for its neighbors.
	if site, ok := of.Site(); ok && (l.networks.Refuses(of, now) || !l.sites.Allow(site, now)) {
		return false
	}
	return l.networks.Allow(of, now)
}
