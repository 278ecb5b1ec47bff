// Package faultstore makes stores slow or faulty, for tests: a slow or failing disk must not
// affect clients that do not need it.
package faultstore

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"roost/store"
)

// Faults delays, stops or fails the calls of a store that was opened with Options. Its
// methods may be called at any time, from any goroutine. The zero value only counts calls.
type Faults struct {
	delay  atomic.Int64
	fault  atomic.Pointer[func(op string) error]
	calls  sync.Map // name of the operation: *atomic.Int64
	active atomic.Int64

	mu     sync.Mutex
	gate   chan struct{} // nil or closed: calls may pass
	writes bool          // only writes wait for the gate
}

// Options returns the options with which to open the store.
func (f *Faults) Options() store.Options { return store.Options{Intercept: f.intercept} }

// SetDelay delays every call.
func (f *Faults) SetDelay(d time.Duration) { f.delay.Store(int64(d)) }

// SetFault sets a function that is called before every operation, with its name. If it
// returns an error, the operation fails with that. nil removes the function.
func (f *Faults) SetFault(fault func(op string) error) {
	if fault == nil {
		f.fault.Store(nil)
		return
	}
	f.fault.Store(&fault)
}

// Stop makes all calls wait until release is called, which may happen more than once, or
// until their context ends.
func (f *Faults) Stop() (release func()) { return f.stop(false) }

// StopWrites is Stop for writes only, as if another process had locked the database.
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

// Calls returns the number of calls of an operation.
func (f *Faults) Calls(op string) int64 {
	if n, ok := f.calls.Load(op); ok {
		return n.(*atomic.Int64).Load()
	}
	return 0
}

// Total returns the number of calls of all operations.
func (f *Faults) Total() (total int64) {
	f.calls.Range(func(_, n any) bool {
		total += n.(*atomic.Int64).Load()
		return true
	})
	return total
}

// Active returns the number of running calls.
func (f *Faults) Active() int64 { return f.active.Load() }

// intercept counts a call, and delays it or makes it fail.
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
