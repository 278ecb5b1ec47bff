// Package wrongclock makes the wall clock of a process wrong, for tests. Go programs read the
// time from the kernel's shared object (vDSO), so the usual way, a preloaded library, has no
// effect.
package wrongclock

// Supported reports whether Shift works on this architecture.
func Supported() bool { return supported }

// Shift makes the wall clock of this process an hour fast from now on. The monotonic clock
// stays as it is. It may be called once.
func Shift() { shift() }
