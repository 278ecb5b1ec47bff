package ownfile

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
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

// TestWriteToDisk: the content is on the disk before the name leads to it, and then the name is; if the
// content cannot be written there, the file stays as it was. Bug: after a power failure, a new file
// could be empty, such as a key.
func TestWriteToDisk(t *testing.T) {
	defer func(f func(*os.File) error) { toDisk = f }(toDisk)
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	if err := os.WriteFile(name, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := func(name string) string {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
	broken := errors.New("the disk is broken")
	for _, fails := range []bool{true, false} {
		var steps []string
		toDisk = func(f *os.File) error {
			if f.Name() == dir {
				steps = append(steps, "directory, "+text(name))
				return syscall.EINVAL // as of some file systems
			}
			steps = append(steps, text(f.Name())+", "+text(name))
			if fails {
				return broken
			}
			return nil
		}
		err, want := Write(name, []byte("new"), 0o600), []string{"new, old", "directory, new"}
		if fails {
			want = want[:1]
		}
		if errors.Is(err, broken) != fails || err != nil && !fails || !slices.Equal(steps, want) {
			t.Errorf("fails: %v; %v; steps %q, want %q", fails, err, steps, want)
		}
		if names, err := os.ReadDir(dir); err != nil || len(names) != 1 || text(name) != map[bool]string{true: "old", false: "new"}[fails] {
			t.Errorf("fails: %v; %v, %v, %q", fails, names, err, text(name))
		}
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

// TestGive: a socket and a symbolic link are given away; a file that their directory's owner
// has put in their place stays root's.
func TestGive(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	dir := t.TempDir()
	const uid, gid = 12345, 54321
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"socket", "linked"} {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: in(name), Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	err := errors.Join(os.WriteFile(in("root's"), nil, 0o600), os.Symlink("root's", in("symbolic")), os.Link(in("root's"), in("hard")), os.Link(in("linked"), in("linked too")))
	if err != nil {
		t.Fatal(err)
	}
	for name, given := range map[string]bool{"socket": true, "symbolic": true, "hard": false, "root's": false, "linked": false} {
		if err := Give(in(name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if u, g := owner(t, in(name)); (u == uid && g == gid) != given {
			t.Errorf("%s belongs to %d:%d", name, u, g)
		}
	}
	if u, _ := owner(t, in("root's")); u != 0 {
		t.Errorf("root's file belongs to %d", u)
	}
	// A link is not followed, and a file is not appended to by way of one.
	if f, err := Append(in("symbolic"), 0o600); err == nil {
		_ = f.Close()
		t.Error("a symbolic link is followed")
	}
	f, err := Append(in("appended"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	if u, _ := owner(t, in("appended")); u != uid {
		t.Errorf("a new file belongs to %d", u)
	}
}
