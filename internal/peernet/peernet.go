// Package peernet groups peers by the network that they come from, for limits
// that one customer of a provider must not evade by changing the address.
package peernet

import (
	"encoding/binary"
	"net/netip"
)

// Network is an IPv4 address, or the /64 that an IPv6 host has to choose from. It
// is the first half of an IPv6 address, and for IPv4 one that no IPv6 network
// has.
type Network uint64

// Loopback is the network of all loopback addresses, and of a peer whose address
// is not known.
const Loopback Network = 0

// ipv4 is 0:ffff::/32, which is reserved.
const ipv4 Network = 0xffff << 32

// Of returns the network of a peer.
func Of(peer netip.Addr) Network {
	peer = peer.Unmap()
	if peer.IsLoopback() {
		return Loopback
	}
	return Distinct(peer)
}

// Distinct is as Of, but tells the addresses of loopback apart: for shares of
// what all peers have to divide, from which nobody is exempt.
func Distinct(peer netip.Addr) Network {
	peer = peer.Unmap()
	if !peer.IsValid() {
		return Loopback
	}
	if peer.Is4() {
		b := peer.As4()
		return ipv4 | Network(binary.BigEndian.Uint32(b[:]))
	}
	b := peer.As16()
	return Network(binary.BigEndian.Uint64(b[:]))
}

// String returns the address for IPv4, the prefix for IPv6, and "loopback".
func (n Network) String() string {
	switch {
	case n == Loopback:
		return "loopback"
	case n>>32 == ipv4>>32:
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(n))
		return netip.AddrFrom4(b).String()
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	return netip.PrefixFrom(netip.AddrFrom16(b), 64).String()
}
