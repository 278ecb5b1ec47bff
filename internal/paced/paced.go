// Package paced writes large files without keeping other programs from the disk.
package paced

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// StepBytes is how much to write between two calls of Rest.
const StepBytes = 1 << 20

// share is how long a writer rests after a step, as a multiple of how long the step took: the
// disk belongs to others in this time.
const share = 1

// Rest moves to the disk what was written to f, and then waits as long as has passed since
// start. If it were left to the system to write, programs that commit would wait for hundreds of
// megabytes. It returns the error of ctx if that ends.
func Rest(ctx context.Context, f *os.File, start time.Time) error {
	// Not every file system can do this, and nothing depends on it.
	_ = unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WAIT_BEFORE|unix.SYNC_FILE_RANGE_WRITE|unix.SYNC_FILE_RANGE_WAIT_AFTER)
	timer := time.NewTimer(share * time.Since(start))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Writer writes a file in steps, and rests after each.
type Writer struct {
	ctx   context.Context
	f     *os.File
	step  int // bytes since start
	start time.Time
}

// NewWriter returns a writer that fails when ctx ends.
func NewWriter(ctx context.Context, f *os.File) *Writer { return &Writer{ctx: ctx, f: f} }

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (n int, err error) {
	for len(p) > 0 && err == nil {
		if w.step == 0 {
			w.start = time.Now()
		}
		var k int
		k, err = w.f.Write(p[:min(len(p), StepBytes-w.step)])
		p, n, w.step = p[k:], n+k, w.step+k
		if err == nil && w.step == StepBytes {
			w.step = 0
			err = Rest(w.ctx, w.f, w.start)
		}
	}
	return n, err
}
