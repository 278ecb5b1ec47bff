//go:build linux

package poller

import (
	"fmt"
	"runtime/debug"
)

// fatalPanic is the value of a panic in what handlers call of a connection: its lock
// may be held, and bytes of somebody else's stream half written. A handler that
// recovers from its own panics is asked to let those with a method Fatal go on, so
// that they stop the process.
type fatalPanic struct {
	value any
	stack []byte
}

// Fatal marks a panic that nobody may recover from.
func (p *fatalPanic) Fatal() {}

// Error says what the panic was and where.
func (p *fatalPanic) Error() string {
	return fmt.Sprintf("poller: BUG: panic in a connection: %v\n%s", p.value, p.stack)
}

// mustNotPanic is deferred where a panic must stop the process.
func mustNotPanic() {
	if v := recover(); v != nil {
		panic(&fatalPanic{v, debug.Stack()})
	}
}
