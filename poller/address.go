//go:build linux

package poller

import (
	"net/netip"
	"sync"

	"roost/internal/peernet"
)

// network is the unit for which peers are counted: an IPv4 address or an IPv6 /64.
type network = peernet.Network

// networkOf returns the network of a peer and whether it is limited. Loopback is not: it
// is a proxy or a load generator.
func networkOf(peer netip.Addr) (_ network, limited bool) {
	n := peernet.Of(peer)
	return n, n != peernet.Loopback
}

// addresses counts the connections of each network. An entry is freed with its last
// connection. A connection stores the index of its entry, which takes half the space of a
// pointer and gives the garbage collector nothing to follow.
type addresses struct {
	mu     sync.Mutex
	limit  int // 0 or less: none, and nothing is counted
	index  map[network]peerIndex
	places []address // index 0 is not used
	free   []peerIndex
}

// peerIndex is the index of an entry in addresses; 0 stands for peers without a limit.
type peerIndex uint32

type address struct {
	key network
	n   uint32
}

// setLimit sets the limit; 0 or less is none.
func (a *addresses) setLimit(limit int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.limit = limit
}

// acquire counts one more connection of a network; false means that it has reached its
// limit.
func (a *addresses) acquire(from network) (peerIndex, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.limit <= 0 {
		return 0, true
	}
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

// place adds an entry for a network. Under mu.
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
	if len(a.index) == 0 { // free what many connections needed
		a.index, a.places, a.free = nil, nil, nil
	}
}
