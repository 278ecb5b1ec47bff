//go:build linux && amd64

package epoll

// epollEvent is packed only on amd64, where the kernel uses the layout of 32-bit
// programs.
type epollEvent struct {
	_ uint32  // events
	_ [8]byte // data
}
