package xep

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// TestLimiter: the clients of a network share a limit, and loopback has none.
func TestLimiter(t *testing.T) {
	now := time.Unix(1e9, 0)
	l := newLimiter()
	l.set(6)
	f := func(address string, n, want int) {
		t.Helper()
		allowed := 0
		for range n {
			if l.allow(netip.MustParseAddr(address), now) {
				allowed++
			}
		}
		if allowed != want {
			t.Errorf("%s: %d of %d allowed, want %d", address, allowed, n, want)
		}
	}
	f("192.0.2.1", 10, 6)
	f("192.0.2.2", 1, 1)
	f("::ffff:192.0.2.1", 1, 0) // the same address in IPv6 notation

	// One customer gets a /64.
	f("2001:db8::1", 6, 6)
	f("2001:db8::ffff:1", 1, 0)
	f("2001:db8:0:1::1", 1, 1)

	// One site has many of them. What is refused to one of them does not count.
	f("2001:db8:7:1::1", 1000, 6)
	site := 6
	for i := range 1000 {
		if l.allow(netip.MustParseAddr(fmt.Sprintf("2001:db8:7:%x::1", 2+i)), now) {
			site++
		}
	}
	if site != 6*siteNetworks {
		t.Errorf("%d allowed for a site, want %d", site, 6*siteNetworks)
	}
	f("2001:db8:8:1::1", 1, 1)

	f("127.0.0.1", 1000, 1000)
	f("::1", 1000, 1000)
	l.set(-1)
	f("192.0.2.1", 1000, 1000)
}
