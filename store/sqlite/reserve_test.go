package sqlite

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// TestReserveTaken: a reserve that another process has truncated or removed is restored
// without any write. Bug: the store did not notice.
func TestReserveTaken(t *testing.T) {
	for what, take := range map[string]func(string) error{
		"emptied":  func(name string) error { return os.Truncate(name, 0) },
		"cut":      func(name string) error { return os.Truncate(name, 1<<16) },
		"removed":  os.Remove,
		"replaced": func(name string) error { return os.Rename(name, name+"-old") },
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				s, err := Open(t.Context(), Config{Path: filepath.Join(dir, FileName), ReserveBytes: 1 << 20})
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				if err := take(s.reserve.path); err != nil {
					t.Fatal(err)
				}
				time.Sleep(reserveCheck) // virtual
				synctest.Wait()
				if size := fileSize(t, s.reserve.path); size != 1<<20 {
					t.Errorf("the reserve has %d bytes", size)
				}
			})
		})
	}
}

// TestReserveLink: a symbolic link in the place of the reserve is not followed.
func TestReserveLink(t *testing.T) {
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := reserve{path: filepath.Join(dir, "reserve"), size: 1 << 20}
	if !r.fill() {
		t.Skip("no space")
	}
	if err := os.Remove(r.path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, r.path); err != nil {
		t.Fatal(err)
	}
	if r.check(); r.fill() {
		t.Error("a link is used as the reserve")
	}
	r.release(filepath.Join(dir, "log"))
	if size := fileSize(t, victim); size != 8 {
		t.Errorf("the target of the link has %d bytes", size)
	}
}
