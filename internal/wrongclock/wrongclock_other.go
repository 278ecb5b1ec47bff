//go:build !amd64

package wrongclock

const supported = false

func shift() { panic("wrongclock: not on this architecture") }
