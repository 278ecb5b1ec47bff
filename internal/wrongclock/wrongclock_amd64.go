package wrongclock

const supported = true

// original is the function that the runtime had called.
//
//lint:ignore U1000 the assembly uses it
var original uintptr

// shift is in wrongclock_amd64.s.
func shift()
