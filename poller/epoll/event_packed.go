//go:build linux && amd64

package epoll

// epollEvent is packed on amd64 alone: the kernel keeps the layout that 32-bit
// programs have.
type epollEvent struct {
	_ uint32  // events
	_ [8]byte // data
}
