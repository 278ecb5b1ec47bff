package faultstore

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"roost/store"
)

var read, write = store.Op{Name: "Account"}, store.Op{Name: "CreateAccount", Writes: true}

// call uses the options in the way a store does.
func call(ctx context.Context, f *Faults, op store.Op) error {
	o := f.Options()
	done, err := o.Begin(ctx, op)
	if err == nil {
		done()
	}
	return err
}

// TestFaults: only the operations that must fail fail; every call is counted.
func TestFaults(t *testing.T) {
	f, ctx := new(Faults), t.Context()
	disk := errors.New("the disk is on fire")
	f.SetFault(func(op string) error {
		if op == read.Name {
			return disk
		}
		return nil
	})
	if err := call(ctx, f, read); !errors.Is(err, disk) {
		t.Error(err)
	}
	if err := call(ctx, f, write); err != nil {
		t.Error(err)
	}
	f.SetFault(nil)
	if err := call(ctx, f, read); err != nil {
		t.Error(err)
	}
	if f.Calls(read.Name) != 2 || f.Calls(write.Name) != 1 || f.Calls("LastActivity") != 0 || f.Total() != 3 || f.Active() != 0 {
		t.Errorf("%d calls, %d of %s, %d running", f.Total(), f.Calls(read.Name), read.Name, f.Active())
	}
	o := f.Options()
	done, err := o.Begin(ctx, read)
	if err != nil || f.Active() != 1 {
		t.Errorf("%d running, want 1; %v", f.Active(), err)
	}
	done()
	if f.Active() != 0 {
		t.Errorf("%d running after the end", f.Active())
	}
}

// TestWaits: calls of a stopped store wait until it is released, and those of a slow one for
// the delay, but neither longer than their context. If only writes are stopped, reads
// continue.
func TestWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := new(Faults)
		release := f.Stop()
		done := make(chan error, 1)
		go func() { done <- call(t.Context(), f, read) }()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond) // virtual
		defer cancel()
		if err := call(ctx, f, read); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		synctest.Wait()
		if n := f.Active(); n != 1 || len(done) != 0 {
			t.Errorf("%d calls of a stopped store wait, %d have returned; want one that waits", n, len(done))
		}
		release()
		release()
		if err := <-done; err != nil {
			t.Error(err)
		}

		release = f.StopWrites()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := call(ended, f, read); err != nil {
			t.Errorf("a read while writes are stopped: %v", err)
		}
		if err := call(ended, f, write); !errors.Is(err, context.Canceled) {
			t.Errorf("a write while writes are stopped: %v", err)
		}
		release()

		f.SetDelay(time.Hour)
		if err := call(ended, f, write); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		began := time.Now()
		if err := call(t.Context(), f, read); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != time.Hour {
			t.Errorf("a call took %v, want %v", took, time.Hour)
		}
	})
}
