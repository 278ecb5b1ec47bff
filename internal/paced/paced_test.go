package paced

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestWriter: everything is written, whatever the sizes of the parts. Remove removes that file
// and no other.
func TestWriter(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := NewWriter(t.Context(), f)
	var want []byte
	for i, size := range []int{0, 1, StepBytes - 1, StepBytes, 2*StepBytes + 7, 5} {
		part := bytes.Repeat([]byte{byte('a' + i)}, size)
		if n, err := w.Write(part); n != size || err != nil {
			t.Fatalf("%d of %d bytes, %v", n, size, err)
		}
		want = append(want, part...)
	}
	if got, err := os.ReadFile(f.Name()); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes were written, want %d; %v", len(got), len(want), err)
	}
	other := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, want, 0o600); err != nil {
		t.Fatal(err)
	}
	f.Close()
	for _, link := range []func(string, string) error{os.Symlink, os.Link} {
		name := filepath.Join(t.TempDir(), "link")
		if err := errors.Join(link(other, name), Remove(name)); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the name is left: %v", err)
		}
		if got, err := os.ReadFile(other); err != nil || len(got) != len(want) {
			t.Errorf("the other file has %d bytes: %v", len(got), err)
		}
	}
	if err := Remove(other); err != nil {
		t.Error(err)
	}
	if err := Remove(other); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that does not exist: %v", err)
	}
}

// TestShrink: the space of a large file is given back in parts, with a rest after each, until
// nothing is left or a rest ends early.
func TestShrink(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const size = 10*StepBytes + 1
	errEnds := errors.New("ends")
	for rests, want := range map[int][]int64{10: {6*StepBytes + 1, 2*StepBytes + 1, 0}, 2: {6*StepBytes + 1, 2*StepBytes + 1}} {
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		var got []int64
		err := shrink(f, size, func(time.Time) error {
			info, err := f.Stat()
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, info.Size()); len(got) == rests {
				return errEnds
			}
			return nil
		})
		if !slices.Equal(got, want) || (err != nil) != (rests == len(want)) {
			t.Errorf("the sizes are %d, want %d; %v", got, want, err)
		}
	}
}

// TestWriterEnds: the end of the context is noticed between two steps.
func TestWriterEnds(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx, cancel := context.WithCancel(t.Context())
	w := NewWriter(ctx, f)
	cancel()
	if n, err := w.Write(make([]byte, 3*StepBytes)); n > StepBytes || !errors.Is(err, context.Canceled) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// TestReader: everything is read, unless the context ends.
func TestReader(t *testing.T) {
	want := bytes.Repeat([]byte("0123456"), StepBytes/2)
	got, err := io.ReadAll(NewReader(t.Context(), bytes.NewReader(want)))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes were read, want %d; %v", len(got), len(want), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := NewReader(ctx, bytes.NewReader(want))
	if n, err := io.ReadFull(r, got[:StepBytes]); err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	cancel()
	if n, err := r.Read(got); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of the context: %d bytes, %v", n, err)
	}
}

// TestReserve: the file has the space, and stays empty.
func TestReserve(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, 1); err != nil {
		t.Skip("this file system does not reserve space: ", err)
	}
	Reserve(f, 5*StepBytes)
	var stat unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &stat); err != nil || stat.Size != 0 || stat.Blocks*512 < 5*StepBytes {
		t.Errorf("the file has %d bytes and %d blocks; %v", stat.Size, stat.Blocks, err)
	}
}

// TestSync: what was written is there, whether Sync is to hurry or not; it asks once for each part
// and does not rest any more when it has to.
func TestSync(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	const dirty = 5 * syncBytes
	if err := f.Truncate(20 * StepBytes); err != nil { // five parts
		t.Fatal(err)
	}
	for after, want := range map[int]int{100: 5, 2: 3, 0: 1} {
		asked := 0
		if err := Sync(f, dirty, func() bool { asked++; return asked > after }); err != nil || asked != want {
			t.Errorf("asked %d times, want %d; %v", asked, want, err)
		}
	}
	// Little in a large file is no reason for many rests, and no part is small.
	for dirty, want := range map[int64]int{0: 1, 2*syncBytes + 1: 2, 1000 * syncBytes: 5} {
		asked := 0
		if err := Sync(f, dirty, func() bool { asked++; return false }); err != nil || asked != want {
			t.Errorf("%d bytes: asked %d times, want %d; %v", dirty, asked, want, err)
		}
	}
	f.Close()
	if Sync(f, dirty, func() bool { return false }) == nil {
		t.Error("a closed file is no error")
	}
}
