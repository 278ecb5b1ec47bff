//go:build linux

package poller

import (
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"
)

// addresses counts the connections of each network. A place is free again with its
// last connection. A connection keeps the index of its place, which takes half
// the room of a pointer.
type addresses struct {
	limit int

	mu     sync.Mutex
	index  map[netip.Addr]peerIndex
	places []address // from 1 on
	free   []peerIndex
}

// peerIndex is a place in addresses; 0 is that of peers without a limit.
type peerIndex uint32

type address struct {
	key netip.Addr
	n   int
}

// network is what peers are counted by, and whether they are at all: an IPv4
// address, or the whole /64 that an IPv6 host has to choose from. Loopback is
// not: a proxy, or a load generator.
func network(peer netip.Addr) (_ netip.Addr, limited bool) {
	peer = peer.Unmap()
	if peer.IsLoopback() || !peer.IsValid() {
		return peer, false
	}
	if peer.Is6() {
		if p, err := peer.WithZone("").Prefix(64); err == nil {
			peer = p.Addr()
		}
	}
	return peer, true
}

// acquire counts one more connection of a network; false means that it has as
// many as it may have.
func (a *addresses) acquire(network netip.Addr) (peerIndex, bool) {
	if a.limit <= 0 {
		return 0, true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	i, ok := a.index[network]
	if !ok {
		i = a.place(network)
	}
	if a.places[i].n >= a.limit {
		return 0, false
	}
	a.places[i].n++
	return i, true
}

// place gives a network a place. Under mu.
func (a *addresses) place(network netip.Addr) (i peerIndex) {
	if a.index == nil {
		a.index = make(map[netip.Addr]peerIndex)
		a.places = make([]address, 1)
	}
	if n := len(a.free); n > 0 {
		i, a.free = a.free[n-1], a.free[:n-1]
	} else {
		i, a.places = peerIndex(len(a.places)), append(a.places, address{})
	}
	a.places[i] = address{key: network}
	a.index[network] = i
	return i
}

func (a *addresses) release(i peerIndex) {
	if i == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	e := &a.places[i]
	if e.n--; e.n == 0 {
		delete(a.index, e.key)
		a.free = append(a.free, i)
	}
}

// addrPort turns a socket address into Go's form.
func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return netip.AddrPort{}
}
