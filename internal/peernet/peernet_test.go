package peernet

import (
	"net/netip"
	"testing"
)

// TestOf: which addresses form one network, and the network's name.
func TestOf(t *testing.T) {
	same := func(a, b string, want bool) {
		t.Helper()
		if x, y := Of(netip.MustParseAddr(a)), Of(netip.MustParseAddr(b)); (x == y) != want || x == Loopback || y == Loopback {
			t.Errorf("%s and %s: %v and %v, counted as one: want %v", a, b, x, y, want)
		}
	}
	same("192.0.2.7", "192.0.2.7", true)
	same("192.0.2.7", "192.0.2.8", false)
	same("192.0.2.7", "::ffff:192.0.2.7", true)
	same("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::", true)
	same("2001:db8:1:2::1", "2001:db8:1:3::1", false)
	same("fe80::1%eth0", "fe80::2%eth1", true)
	same("0.0.0.7", "2001:db8::7", false)

	a, b, c := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("192.0.2.7")
	if Of(a) != Of(b) || Distinct(a) == Distinct(b) || Distinct(a) == Distinct(c) || Distinct(c) != Of(c) || Distinct(netip.Addr{}) != Loopback {
		t.Error("Of has one network for all of loopback, Distinct one for each address")
	}

	name := func(addr, want string) {
		t.Helper()
		if got := Of(netip.MustParseAddr(addr)).String(); got != want {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
	}
	name("192.0.2.7", "192.0.2.7")
	name("::ffff:192.0.2.7", "192.0.2.7")
	name("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64")
	name("0.0.0.0", "0.0.0.0")
	for _, addr := range []string{"127.0.0.1", "127.9.8.7", "::1", "::ffff:127.0.0.1"} {
		name(addr, "loopback")
	}
	if Of(netip.Addr{}) != Loopback {
		t.Error("an unknown address has a network of its own")
	}
}

// TestSite: the networks of a /48 are one site, and IPv4 addresses have none.
func TestSite(t *testing.T) {
	f := func(address, want string) {
		t.Helper()
		site, ok := Of(netip.MustParseAddr(address)).Site()
		got := ""
		if ok {
			got = site.String()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
	f("2001:db8:1:2:3::4", "2001:db8:1::/64")
	f("2001:db8:1:ffff::", "2001:db8:1::/64")
	f("2001:db8:2:1::", "2001:db8:2::/64")
	f("192.0.2.7", "")
	f("::ffff:192.0.2.7", "")
	f("::1", "")
}
