// Package panics says which panics end one client's stream and which the process,
// and counts and logs the former.
//
// A panic in what handles one client's input must not end all the others' sessions:
// it is recovered from where that code begins. One where something is broken that
// all of them share, or while a lock is held that nothing would release, stops the
// process all the same: Stop makes it one that nobody recovers from.
package panics

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// Fatal is the value of a panic that nobody may recover from.
type Fatal struct {
	value any
	stack []byte
}

// Error says what the panic was and where.
func (f *Fatal) Error() string {
	return fmt.Sprintf("BUG: panic in what all sessions share: %v\n%s", f.value, f.stack)
}

// Stop is deferred where a panic must stop the process.
func Stop() {
	if v := recover(); v != nil {
		panic(&Fatal{v, debug.Stack()})
	}
}

// logEvery is how often a panic is logged with its stack; those in between are only
// counted.
const logEvery = time.Minute

// Counter counts the panics that were recovered from. The zero value is ready.
type Counter struct {
	n, logged atomic.Int64 // logged: when, Unix nanoseconds; 0: never
}

// Count is the number of panics so far.
func (c *Counter) Count() int64 { return c.n.Load() }

// Recovered counts a panic with the value v and logs it, with the attributes and its
// stack, once a minute at most; so it is called by the deferred function that has
// recovered from it. With a *Fatal it panics again.
func (c *Counter) Recovered(v any, log *slog.Logger, attrs ...any) {
	if _, fatal := v.(*Fatal); fatal {
		panic(v)
	}
	n := c.n.Add(1)
	now, last := time.Now().UnixNano(), c.logged.Load()
	if last != 0 && now-last < int64(logEvery) || !c.logged.CompareAndSwap(last, now) {
		return
	}
	log.With(attrs...).Error("recovered from a panic: this is a bug", "panic", fmt.Sprint(v), "panics", n, "stack", string(debug.Stack()))
}
