// Package faultstore gives stores latency and faults, for tests: a slow or
// failing disk must not stop clients that do not wait for it.
package faultstore

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"roost/store"
)

// Faults makes a store slow, stops it, or makes it fail at any time, from any
// goroutine. A store has them when it is opened with Options. The zero value does
// nothing but count calls.
type Faults struct {
	delay  atomic.Int64
	fault  atomic.Pointer[func(op string) error]
	calls  sync.Map // name of the operation: *atomic.Int64
	active atomic.Int64

	mu     sync.Mutex
	gate   chan struct{} // closed when open; nil: open
	writes bool          // only writes wait for the gate
}

// Options are those of a store that is to have the faults.
func (f *Faults) Options() store.Options { return store.Options{Intercept: f.intercept} }

// SetDelay makes every call wait so long before it is done.
func (f *Faults) SetDelay(d time.Duration) { f.delay.Store(int64(d)) }

// SetFault has fault asked in every call, with the name of the operation, whether
// it is to fail, and how. nil takes that back.
func (f *Faults) SetFault(fault func(op string) error) {
	if fault == nil {
		f.fault.Store(nil)
		return
	}
	f.fault.Store(&fault)
}

// Stop makes all calls wait until the function it returns is called (once or
// more), or until their context ends.
func (f *Faults) Stop() (release func()) { return f.stop(false) }

// StopWrites is Stop for calls that write, as when another process has locked the
// database or the disk does not take more.
func (f *Faults) StopWrites() (release func()) { return f.stop(true) }

func (f *Faults) stop(writes bool) (release func()) {
	gate := make(chan struct{})
	f.mu.Lock()
	f.gate, f.writes = gate, writes
	f.mu.Unlock()
	return sync.OnceFunc(func() {
		f.mu.Lock()
		if f.gate == gate {
			f.gate = nil
		}
		f.mu.Unlock()
		close(gate)
	})
}

// Calls is how often an operation was begun.
func (f *Faults) Calls(op string) int64 {
	if n, ok := f.calls.Load(op); ok {
		return n.(*atomic.Int64).Load()
	}
	return 0
}

// Total is how often any operation was begun.
func (f *Faults) Total() (total int64) {
	f.calls.Range(func(_, n any) bool {
		total += n.(*atomic.Int64).Load()
		return true
	})
	return total
}

// Active is the number of calls under way.
func (f *Faults) Active() int64 { return f.active.Load() }

// intercept counts a call and lets it wait or fail.
func (f *Faults) intercept(ctx context.Context, op store.Op) (done func(), err error) {
	n, ok := f.calls.Load(op.Name)
	if !ok {
		n, _ = f.calls.LoadOrStore(op.Name, new(atomic.Int64))
	}
	n.(*atomic.Int64).Add(1)
	f.active.Add(1)
	if err := f.wait(ctx, op); err != nil {
		f.done()
		return nil, err
	}
	return f.done, nil
}

func (f *Faults) done() { f.active.Add(-1) }

func (f *Faults) wait(ctx context.Context, op store.Op) error {
	f.mu.Lock()
	gate, writes := f.gate, f.writes
	f.mu.Unlock()
	if gate != nil && (op.Writes || !writes) {
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if d := time.Duration(f.delay.Load()); d > 0 {
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if fault := f.fault.Load(); fault != nil {
		return (*fault)(op.Name)
	}
	return nil
}
