// Package paced reads and writes large files without keeping other programs from the disk.
package paced

import (
	"context"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// StepBytes is how much to write between two calls of Rest.
const StepBytes = 1 << 20

// share is how long to rest after a step, as a multiple of how long the step took: the disk and
// the processor belong to others in this time.
const share = 3

// syncRange has the system write a range of a file, and waits for it.
const syncRange = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER

// Rest moves to the disk what was written to f, and then waits three times as long as has passed
// since start. If it were left to the system to write, programs that commit would wait for hundreds of
// megabytes. It returns the error of ctx if that ends.
func Rest(ctx context.Context, f *os.File, start time.Time) error {
	// Not every file system can do this, and nothing depends on it.
	_ = unix.SyncFileRange(int(f.Fd()), 0, 0, syncRange)
	return rest(ctx, start)
}

// restLimit limits a rest after a step that took very long, such as on a disk that hung: while a
// database is copied, its log grows.
const restLimit = 10 * time.Second

func rest(ctx context.Context, start time.Time) error {
	timer := time.NewTimer(min(share*time.Since(start), restLimit))
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

// Reader reads in steps. After each step, it rests three times as long as the step took, which
// includes what its caller does with the bytes.
type Reader struct {
	ctx   context.Context
	r     io.Reader
	step  int // bytes since start
	start time.Time
}

// NewReader returns a reader that fails when ctx ends.
func NewReader(ctx context.Context, r io.Reader) *Reader { return &Reader{ctx: ctx, r: r} }

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (n int, err error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	if r.step >= StepBytes {
		if err := rest(r.ctx, r.start); err != nil {
			return 0, err
		}
		r.step = 0
	}
	if r.step == 0 {
		r.start = time.Now()
	}
	n, err = r.r.Read(p)
	r.step += n
	return n, err
}

// Reserve makes the file system reserve the space for size bytes of an empty file. Otherwise, each
// commit of another program on the same disk would wait for what was written to the file before it.
func Reserve(f *os.File, size int64) {
	// Not every file system can do this, and nothing depends on it.
	if unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, size) != nil {
		_ = f.Truncate(0) // gives back what was reserved before the disk was full
	}
}

// Sync moves what was written anywhere in f, about dirty bytes, to the disk: in parts of the file
// with rests between them, until hurry returns true, then the remainder without rests.
func Sync(f *os.File, dirty int64, hurry func() bool) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	parts := min(max(dirty/syncBytes, 1), syncParts)
	part := max(4*StepBytes, (info.Size()+parts-1)/parts)
	for at := int64(0); at < info.Size() && !hurry(); at += part {
		start := time.Now()
		if unix.SyncFileRange(int(f.Fd()), at, part, syncRange) != nil {
			break
		}
		<-time.After(min(time.Since(start), maxRest)) // as long as it took: the log grows meanwhile
	}
	return unix.Fdatasync(int(f.Fd()))
}

// syncBytes is about how many bytes Sync writes between two rests, if the dirty ones are spread over
// the file: few enough not to delay the commits of others.
const syncBytes = 256 << 10

// maxRest limits a rest of Sync, during which it does not ask whether to hurry.
const maxRest = 100 * time.Millisecond

// syncParts is into how many parts Sync divides a file at most.
const syncParts = 512

// Remove removes a file, whose space it gives back in parts with rests between them. Of a file
// that has another name, too, or is not a regular one, it removes the name only.
func Remove(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return os.Remove(name)
	}
	defer f.Close()
	var stat unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &stat); err != nil {
		return err
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFREG || stat.Nlink != 1 {
		return os.Remove(name)
	}
	if err := shrink(f, stat.Size, func(start time.Time) error { return Rest(context.Background(), f, start) }); err != nil {
		return err
	}
	return os.Remove(name)
}

// removeBytes is a part of Remove. A commit waits for all of what is freed at once.
const removeBytes = 4 * StepBytes

// shrink gives back the space of a file of this size, and calls rested after each part with the
// time at which it began.
func shrink(f *os.File, size int64, rested func(start time.Time) error) error {
	for size > 0 {
		start := time.Now()
		size = max(0, size-removeBytes)
		if err := f.Truncate(size); err != nil {
			return err
		}
		if err := rested(start); err != nil {
			return err
		}
	}
	return nil
}
