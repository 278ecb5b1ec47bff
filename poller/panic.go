//go:build linux

package poller

import (
	"fmt"
	"runtime/debug"
	"time"
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

// logPanics is how often a panic is logged with its stack.
const logPanics = time.Minute

// recovered counts a panic that ended one connection, and logs it. It is called by
// the deferred function, while the stack is there.
func (p *Poller) recovered(v any) {
	if _, fatal := v.(*fatalPanic); fatal {
		panic(v)
	}
	n := p.stats.panics.Add(1)
	now, last := time.Now().UnixNano(), p.panicLogged.Load()
	if last != 0 && now-last < int64(logPanics) || !p.panicLogged.CompareAndSwap(last, now) {
		return
	}
	p.cfg.Logger.Error("recovered from a panic in a TLS handshake: this is a bug", "panic", fmt.Sprint(v), "panics", n, "stack", string(debug.Stack()))
}

// mustNotPanic is deferred where a panic must stop the process.
func mustNotPanic() {
	if v := recover(); v != nil {
		panic(&fatalPanic{v, debug.Stack()})
	}
}
