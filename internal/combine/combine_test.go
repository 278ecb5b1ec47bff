package combine

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestBatches: an item is handled at once, and what arrives in the meantime in one batch, in order.
func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var batches [][]int
		first := make(chan struct{})
		q := New(Config{Batches: 1, Items: 3, Patience: time.Second}, func(batch []int) {
			batches = append(batches, slices.Clone(batch))
			if batch[0] == 0 {
				<-first
			}
		})
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				if err := q.Do(t.Context(), i); err != nil {
					t.Errorf("%d: %v", i, err)
				}
			})
			synctest.Wait() // it is handled, or waits
		}
		if n := q.Waiting(); n != 7 {
			t.Errorf("%d items wait, want 7", n)
		}
		close(first)
		wg.Wait()
		want := [][]int{{0}, {1, 2, 3}, {4, 5, 6}, {7}}
		if !slices.EqualFunc(batches, want, slices.Equal) {
			t.Errorf("batches: %v, want %v", batches, want)
		}
		if err := q.Do(t.Context(), 9); err != nil || !slices.Equal(batches[len(batches)-1], []int{9}) {
			t.Errorf("afterwards: %v, %v", batches, err)
		}
	})
}

// TestPatience: if a batch takes long, others begin beside it, up to the limit.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var batches [][]int
		slow := make(chan struct{})
		q := New(Config{Batches: 3, Items: 3, Patience: time.Second}, func(batch []int) {
			mu.Lock()
			batches = append(batches, slices.Clone(batch))
			mu.Unlock()
			if batch[0] < 100 {
				<-slow
			}
		})
		var wg sync.WaitGroup
		do := func(items ...int) {
			for _, item := range items {
				wg.Go(func() {
					if err := q.Do(t.Context(), item); err != nil {
						t.Errorf("%d: %v", item, err)
					}
				})
				synctest.Wait()
			}
		}
		after := func(d time.Duration, running, waiting int) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			q.mu.Lock()
			defer q.mu.Unlock()
			if q.running != running || len(q.waiting) != waiting {
				t.Errorf("%d batches run and %d items wait, want %d and %d: %v", q.running, len(q.waiting), running, waiting, batches)
			}
		}
		after(time.Minute, 0, 0)
		do(0)
		do(100, 101)
		after(time.Second-1, 1, 2)
		after(1, 1, 0) // both were handled
		do(102)
		after(0, 1, 1)
		after(time.Second, 1, 0)
		after(time.Second, 1, 0)
		do(103) // at once
		after(0, 1, 0)
		after(time.Second-1, 1, 0)
		do(1, 2, 3, 4, 5)
		after(time.Second-1, 1, 5)
		after(1, 2, 2)
		after(time.Second, 3, 0)
		do(6, 7)
		after(time.Minute, 3, 2)
		close(slow)
		wg.Wait()
		want := [][]int{{0}, {100, 101}, {102}, {103}, {1, 2, 3}, {4, 5}, {6, 7}}
		if !slices.EqualFunc(batches, want, slices.Equal) || q.running != 0 {
			t.Errorf("batches: %v, want %v; %d run", batches, want, q.running)
		}
	})
}

// TestContext: an item whose context ends before its turn is not handled; after that, Do waits.
func TestContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var handled []int
		turn := make(chan struct{})
		q := New(Config{Batches: 1, Items: 100, Patience: time.Second}, func(batch []int) {
			handled = append(handled, batch...)
			<-turn
		})
		var wg sync.WaitGroup
		do := func(ctx context.Context, item int, want error) {
			wg.Go(func() {
				if err := q.Do(ctx, item); !errors.Is(err, want) {
					t.Errorf("%d: %v, want %v", item, err, want)
				}
			})
			synctest.Wait()
		}
		ctx, cancel := context.WithCancel(t.Context())
		late, cancelLate := context.WithCancel(t.Context())
		do(t.Context(), 0, nil)
		do(late, 1, nil)
		do(ctx, 2, context.Canceled)
		do(late, 3, nil)
		cancel()
		synctest.Wait()
		turn <- struct{}{}
		synctest.Wait() // 1 and 3 are handled
		cancelLate()
		synctest.Wait()
		close(turn)
		wg.Wait()
		if !slices.Equal(handled, []int{0, 1, 3}) {
			t.Errorf("handled: %v", handled)
		}
	})
}

// TestPanic: a panic ends the calls whose items were handled together, and no others.
func TestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := make(chan struct{})
		q := New(Config{Batches: 1, Items: 3, Patience: time.Second}, func(batch []int) {
			switch batch[0] {
			case 0:
				<-first
			case 1:
				panic("a fault")
			}
		})
		var wg sync.WaitGroup
		errs := make([]error, 5)
		panics := 0
		for i := range errs {
			wg.Go(func() {
				defer func() {
					if recover() != nil {
						panics++
					}
				}()
				errs[i] = q.Do(t.Context(), i)
			})
			synctest.Wait()
		}
		close(first)
		wg.Wait()
		if panics != 1 || errs[0] != nil || !errors.Is(errs[2], ErrPanic) || !errors.Is(errs[3], ErrPanic) || errs[4] != nil {
			t.Errorf("%d panics; %v", panics, errs)
		}
	})
}

// TestMany: whatever happens at the same time, each item is handled once, unless its context ended before.
func TestMany(t *testing.T) {
	const goroutines, each = 50, 200
	counts := make([]int, goroutines*each) // each written by one batch at a time
	q := New(Config{Batches: 3, Items: 7, Patience: time.Microsecond}, func(batch []int) {
		for _, i := range batch {
			counts[i]++
		}
	})
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			for i := range each {
				if i == each/2 && g%2 == 0 {
					cancel()
				}
				item := g*each + i
				if err := q.Do(ctx, item); (err == nil) != (counts[item] == 1) || counts[item] > 1 {
					t.Errorf("item %d is handled %d times: %v", item, counts[item], err)
				}
			}
		})
	}
	wg.Wait()
}
