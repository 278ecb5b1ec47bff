package paced

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestWriter: everything is written, whatever the sizes of the parts, and the end of the context
// is noticed between two steps.
func TestWriter(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx, cancel := context.WithCancel(t.Context())
	w := NewWriter(ctx, f)
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
	cancel()
	if n, err := w.Write(make([]byte, 3*StepBytes)); n > StepBytes || !errors.Is(err, context.Canceled) {
		t.Errorf("%d bytes, %v", n, err)
	}
}
