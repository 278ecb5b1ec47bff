package ownfile

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// owner returns the user and group of a file.
func owner(t *testing.T, name string) (uid, gid uint32) {
	t.Helper()
	info, err := os.Lstat(name)
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	return st.Uid, st.Gid
}

// TestOwner: files that root creates belong to the owner of the directory; existing files
// keep their owner.
func TestOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can change the owner of files")
	}
	dir := t.TempDir()
	const uid, gid = 12345, 54321
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(dir, "old")
	if err := os.WriteFile(old, []byte("root's"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(filepath.Join(dir, "opened"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	if f, err = Open(old, 0o600); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	if err := Write(filepath.Join(dir, "written"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := MkdirAll(filepath.Join(dir, "a", "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"opened", "written", "a", "a/b"} {
		if u, g := owner(t, filepath.Join(dir, name)); u != uid || g != gid {
			t.Errorf("%s belongs to %d:%d, want %d:%d", name, u, g, uid, gid)
		}
	}
	if u, _ := owner(t, old); u != 0 {
		t.Errorf("the owner of an existing file is now %d", u)
	}
}

// TestWrite: the content is replaced atomically, with the given mode, and no other files
// remain in the directory.
func TestWrite(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	for _, text := range []string{"long content", "short"} {
		if err := Write(name, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(name); err != nil || string(b) != text {
			t.Errorf("%q, %v; want %q", b, err, text)
		}
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := Write(filepath.Join(dir, "missing", "f"), nil, 0o600); err == nil {
		t.Error("no error for a directory that does not exist")
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
		t.Errorf("%v, %v", names, err)
	}
}

// TestMkdirAll: existing directories are not an error; files in their place are.
func TestMkdirAll(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		if err := MkdirAll(filepath.Join(dir, "a", "b"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "f"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := MkdirAll(filepath.Join(dir, "f", "b"), 0o700); err == nil {
		t.Error("no error for a directory below a file")
	}
}
