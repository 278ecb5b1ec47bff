//go:build linux

package poller

import (
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"

	"roost/internal/peernet"
)

// network is what peers are counted by: an IPv4 address, or an IPv6 /64.
type network = peernet.Network

// networkOf is the network of a peer, and whether it is limited at all. Loopback
// is not: a proxy, or a load generator.
func networkOf(peer netip.Addr) (_ network, limited bool) {
	n := peernet.Of(peer)
	return n, n != peernet.Loopback
}

// addresses counts the connections of each network. A place is free again with its
// last connection. A connection keeps the index of its place, which takes half
// the room of a pointer. There is no pointer for the collector to follow, however
// many there are.
type addresses struct {
	limit int

	mu     sync.Mutex
	index  map[network]peerIndex
	places []address // from 1 on
	free   []peerIndex
}

// peerIndex is a place in addresses; 0 is that of peers without a limit.
type peerIndex uint32

type address struct {
	key network
	n   uint32
}

// acquire counts one more connection of a network; false means that it has as
// many as it may have.
func (a *addresses) acquire(from network) (peerIndex, bool) {
	if a.limit <= 0 {
		return 0, true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	i, ok := a.index[from]
	if !ok {
		i = a.place(from)
	}
	if int(a.places[i].n) >= a.limit {
		return 0, false
	}
	a.places[i].n++
	return i, true
}

// place gives a network a place. Under mu.
func (a *addresses) place(from network) (i peerIndex) {
	if a.index == nil {
		a.index = make(map[network]peerIndex)
		a.places = make([]address, 1)
	}
	if n := len(a.free); n > 0 {
		i, a.free = a.free[n-1], a.free[:n-1]
	} else {
		i, a.places = peerIndex(len(a.places)), append(a.places, address{})
	}
	a.places[i] = address{key: from}
	a.index[from] = i
	return i
}

func (a *addresses) release(i peerIndex) {
	if i == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	e := &a.places[i]
	if e.n--; e.n > 0 {
		return
	}
	delete(a.index, e.key)
	a.free = append(a.free, i)
	if len(a.index) == 0 { // what a crowd needed is given back
		a.index, a.places, a.free = nil, nil, nil
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
