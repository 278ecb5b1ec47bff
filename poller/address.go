//go:build linux

package poller

import (
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"
)

// addresses counts the connections of each peer. An entry is gone with its last
// connection.
type addresses struct {
	limit int
	mu    sync.Mutex
	m     map[netip.Addr]*address
}

type address struct {
	key netip.Addr
	n   int
}

// acquire counts one more connection of a peer; false means that it has as many
// as it may have. An IPv6 host has a whole /64 to choose from.
func (a *addresses) acquire(peer netip.Addr) (*address, bool) {
	peer = peer.Unmap()
	if a.limit <= 0 || peer.IsLoopback() || !peer.IsValid() {
		return nil, true
	}
	if peer.Is6() {
		if p, err := peer.WithZone("").Prefix(64); err == nil {
			peer = p.Addr()
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.m[peer]
	if e == nil {
		if a.m == nil {
			a.m = make(map[netip.Addr]*address)
		}
		e = &address{key: peer}
		a.m[peer] = e
	}
	if e.n >= a.limit {
		return nil, false
	}
	e.n++
	return e, true
}

func (a *addresses) release(e *address) {
	if e == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if e.n--; e.n == 0 {
		delete(a.m, e.key)
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
