// Package combine lets goroutines share requests: those that ask while another request is under way
// are answered by one.
package combine

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// ErrPanic is the result of an item if the goroutine that handled it together with others had a panic.
var ErrPanic = errors.New("combine: the goroutine that handled this together with others had a panic")

// Queue handles items in batches. An item is handled at once, and alone, if no other is. Those that
// arrive in the meantime wait, and the next batch consists of all of them. So no item is delayed to make
// a batch larger; batches are large when there is much to do. If a batch takes long, others begin
// beside it.
type Queue[T any] struct {
	config Config
	handle func(batch []T)

	mu      sync.Mutex
	running int       // batches
	began   time.Time // when the last one did
	waiting []*call[T]
	late    *time.Timer // runs when something waits
}

// Config has the limits of a queue. All are required.
type Config struct {
	Batches  int           // at the same time
	Items    int           // of a batch
	Patience time.Duration // how long a batch may take before another one begins beside it
}

// call is a call of Do that waits.
type call[T any] struct {
	item T
	// ready receives the calls whose items this one is to handle, itself included, or nil when another
	// one has handled the item.
	ready chan []*call[T]
	err   error // if another call has handled the item
}

// New returns a queue whose batches are handled by handle, in one of the goroutines that wait in Do. It
// may change the slice, but must not keep it.
func New[T any](config Config, handle func(batch []T)) *Queue[T] {
	q := &Queue[T]{config: config, handle: handle}
	q.late = time.AfterFunc(config.Patience, q.hurry)
	q.late.Stop()
	return q
}

// Do returns when the item was handled. If ctx ends before that begins, it returns the error of ctx, and
// the item is not handled.
func (q *Queue[T]) Do(ctx context.Context, item T) error {
	c := &call[T]{item: item}
	calls := q.begin(c)
	if calls == nil {
		select {
		case calls = <-c.ready:
		case <-ctx.Done():
			if q.remove(c) {
				return ctx.Err()
			}
			calls = <-c.ready
		}
	}
	if calls == nil {
		return c.err
	}
	q.lead(c, calls)
	return nil
}

// Waiting returns the number of items that wait.
func (q *Queue[T]) Waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

// begin returns the calls whose items c is to handle at once, or nil if it has to wait.
func (q *Queue[T]) begin(c *call[T]) []*call[T] {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.running == 0 || len(q.waiting) == 0 && q.running < q.config.Batches && time.Since(q.began) >= q.config.Patience {
		q.running++
		q.began = time.Now()
		return []*call[T]{c}
	}
	c.ready = make(chan []*call[T], 1)
	if q.waiting = append(q.waiting, c); len(q.waiting) == 1 {
		q.late.Reset(q.config.Patience)
	}
	return nil
}

// hurry begins another batch, because items have waited for long.
func (q *Queue[T]) hurry() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) > 0 && q.running < q.config.Batches {
		q.running++
		q.handOver()
	}
}

// handOver lets the call that has waited longest handle the items of all that wait, or of as many as may
// be in a batch. The caller holds mu.
func (q *Queue[T]) handOver() {
	q.began = time.Now()
	n := min(len(q.waiting), q.config.Items)
	calls := slices.Clone(q.waiting[:n])
	if q.waiting = slices.Delete(q.waiting, 0, n); len(q.waiting) > 0 {
		q.late.Reset(q.config.Patience)
	} else {
		q.late.Stop()
	}
	calls[0].ready <- calls
}

// remove removes a call. It returns false if that does not wait any more.
func (q *Queue[T]) remove(c *call[T]) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, c)
	if i < 0 {
		return false
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	return true
}

// lead handles the items of some calls, of which c is one. Then it lets the next batch begin, and ends the
// other calls.
func (q *Queue[T]) lead(c *call[T], calls []*call[T]) {
	batch := make([]T, len(calls))
	for i, other := range calls {
		batch[i] = other.item
	}
	err := ErrPanic
	defer func() {
		q.next()
		for _, other := range calls {
			if other != c {
				other.err = err
				other.ready <- nil
			}
		}
	}()
	q.handle(batch)
	err = nil
}

// next begins the next batch, if something waits.
func (q *Queue[T]) next() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.running--
		return
	}
	q.handOver()
}
