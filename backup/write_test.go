package backup

import (
	"os"
	"path/filepath"
	"testing"
)

// TestNextBegins: a process that begins the next backup of the same name as soon as it can is not
// disturbed by the one before. Bug: that removed what the next one had begun.
func TestNextBegins(t *testing.T) {
	name := filepath.Join(t.TempDir(), "b.tar")
	var next *Writer
	defer func(f func()) { step = f }(step)
	step = func() {
		_, err := os.Stat(name)
		if _, begun := os.Stat(name + partial); err != nil || begun == nil {
			return
		}
		step = func() {}
		if next, err = Begin(name); err != nil {
			t.Error(err)
		}
	}
	if err := write(name, "first"); err != nil || next == nil {
		t.Fatalf("%v; the next one has begun: %v", err, next != nil)
	}
	defer next.Discard()
	for _, file := range []string{name, name + partial, next.DatabaseFile()} {
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}
}
