package server

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// parseProxies parses the addresses of proxies, each an IP address or a network in CIDR
// notation.
func parseProxies(all []string) ([]netip.Prefix, error) {
	var proxies []netip.Prefix
	for _, text := range all {
		proxy, err := parseProxy(strings.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("%q is not the address of a proxy; it looks like 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32", text)
		}
		proxies = append(proxies, proxy)
	}
	return proxies, nil
}

func parseProxy(text string) (netip.Prefix, error) {
	if strings.Contains(text, "/") {
		p, err := netip.ParsePrefix(text)
		if p.Addr().Is4In6() {
			return p, errors.New("an IPv4 network as IPv6") // would contain no peer address
		}
		return p, err
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	addr = addr.Unmap()
	return addr.WithZone("").Prefix(addr.BitLen())
}
