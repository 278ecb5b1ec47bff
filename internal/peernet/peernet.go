// Package peernet maps the addresses of peers to the networks by which limits are counted, so
// that a peer cannot evade a limit by changing its address within its provider's network.
package peernet

import (
	"encoding/binary"
	"net/netip"
)

// Network is an IPv4 address, or the /64 prefix within which an IPv6 host can choose its
// address. It is the first half of an IPv6 address; IPv4 addresses are mapped to a range
// that no IPv6 network uses.
type Network uint64

// Loopback is the network of all loopback addresses, and of peers whose address is
// unknown.
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

// Distinct is like Of, but distinguishes loopback addresses. It is for resources that all
// peers share, where loopback is not exempt.
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

// Site returns the /48 prefix of an IPv6 network, which is what a customer may have with all of its
// networks, such as one who rents a server. Others share one: a mobile network gives each phone a
// /64. ok is false for IPv4 and loopback.
func (n Network) Site() (site Network, ok bool) {
	return n &^ 0xffff, n != Loopback && n>>32 != ipv4>>32
}

// String returns the address for IPv4, the prefix for IPv6, and "loopback" for Loopback.
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
