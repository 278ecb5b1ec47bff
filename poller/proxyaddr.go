//go:build linux

package poller

import (
	"net/netip"
	"sync"
)

// proxied contains the addresses of clients whose connections came through a proxy, by
// descriptor. A Conn has no space for an address; without a proxy, the socket knows it.
// An entry takes 20 bytes.
type proxied struct {
	mu     sync.Mutex
	chunks []*proxiedChunk
}

// proxiedChunk contains the addresses of consecutive descriptors.
type proxiedChunk struct {
	used  int
	addrs [chunkSize]proxiedAddr
}

const chunkSize = 256

type proxiedAddr struct {
	ip   [16]byte
	port uint16
	used bool
}

// set stores the client's address of an open descriptor.
func (x *proxied) set(fd int, client netip.AddrPort) {
	x.mu.Lock()
	defer x.mu.Unlock()
	i := fd / chunkSize
	for len(x.chunks) <= i {
		x.chunks = append(x.chunks, nil)
	}
	if x.chunks[i] == nil {
		x.chunks[i] = new(proxiedChunk)
	}
	chunk := x.chunks[i]
	a := &chunk.addrs[fd%chunkSize]
	if !a.used {
		chunk.used++
	}
	*a = proxiedAddr{client.Addr().As16(), client.Port(), true}
}

// get returns the client's address of an open descriptor.
func (x *proxied) get(fd int) netip.AddrPort {
	x.mu.Lock()
	defer x.mu.Unlock()
	a := &x.chunks[fd/chunkSize].addrs[fd%chunkSize]
	return netip.AddrPortFrom(netip.AddrFrom16(a.ip).Unmap(), a.port)
}

// remove removes a descriptor's address, before the descriptor is closed.
func (x *proxied) remove(fd int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	chunk := x.chunks[fd/chunkSize]
	chunk.addrs[fd%chunkSize] = proxiedAddr{}
	if chunk.used--; chunk.used == 0 {
		x.chunks[fd/chunkSize] = nil
	}
}
