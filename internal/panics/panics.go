// Package panics decides which panics end one client's stream and which end the process.
// It counts and logs the former.
//
// A panic while handling one client's input must not end all other sessions, so the entry
// points of that code recover from it. A panic that may have damaged shared state, or
// that leaves a lock held, must still end the process: Stop turns it into one that no
// deferred function recovers from.
package panics

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// Fatal is the value of a panic that must not be recovered from.
type Fatal struct {
	value any
	stack []byte
}

// Error returns the original panic value and its stack.
func (f *Fatal) Error() string {
	return fmt.Sprintf("BUG: panic in shared state: %v\n%s", f.value, f.stack)
}

// Stop, when deferred, makes a panic end the process.
func Stop() {
	if v := recover(); v != nil {
		panic(&Fatal{v, debug.Stack()})
	}
}

// logEvery is the minimum time between two logged panics. Panics in between are only
// counted.
const logEvery = time.Minute

// Counter counts recovered panics. The zero value is ready to use.
type Counter struct {
	n, logged atomic.Int64 // logged: Unix nanoseconds of the last log line; 0: none yet
}

// Count returns the number of recovered panics.
func (c *Counter) Count() int64 { return c.n.Load() }

// Recovered counts a panic with value v and logs it with attrs and the stack, at most
// once per logEvery. The deferred function that called recover must call it. If v is a
// *Fatal, Recovered panics again.
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

// Exit ends the process if v is a *Fatal, for goroutines on which something else, such as
// net/http, would recover from it.
func Exit(v any) {
	if _, fatal := v.(*Fatal); fatal {
		go panic(v)
		select {}
	}
}
