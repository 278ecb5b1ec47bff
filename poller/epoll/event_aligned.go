//go:build linux && (arm64 || loong64)

package epoll

// epollEvent is aligned: data is a 64-bit number.
type epollEvent struct {
	_ uint32  // events
	_ int32   // padding
	_ [8]byte // data
}
