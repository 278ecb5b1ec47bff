package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// savable returns a data directory with a database, and a runner of commands for it.
func savable(t *testing.T) (dir string, f func(code int, want string, args ...string) string) {
	t.Helper()
	dir = t.TempDir()
	if _, err := runUser(t, "romeo@localhost,secret\n", "import", "-", "--create", "--data", dir); err != nil {
		t.Fatal(err)
	}
	return dir, runner(t, dir)
}

// namesIn returns the names of the files in a directory.
func namesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestBackupLeft: what a backup that was killed has left is removed before the next one needs the
// space. Bug: with the time in its name, it was removed only after a backup that was successful,
// and by --keep, so a disk on which there was no space for both had no backup any more.
func TestBackupLeft(t *testing.T) {
	_, f := savable(t)
	backups := t.TempDir()
	if err := unix.Mount("tmpfs", backups, "tmpfs", 0, "size=8m"); err == nil { // without root, the disk has space for both
		t.Cleanup(func() {
			if err := unix.Unmount(backups, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
	}
	for _, name := range []string{"roost-20260101T000000Z.tar", "b.tar"} {
		left := filepath.Join(backups, name+".partial")
		if err := errors.Join(os.WriteFile(left, nil, 0o600), os.WriteFile(left+"-database", make([]byte, 8000<<10), 0o600)); err != nil {
			t.Fatal(err)
		}
		to := backups
		if name == "b.tar" {
			to = filepath.Join(backups, name)
		}
		f(0, "of 1 account, ", "backup", to)
		all := namesIn(t, backups)
		if len(all) != 1 || !strings.HasSuffix(all[0], ".tar") {
			t.Fatalf("%s: %q", name, all)
		}
		if err := os.Remove(filepath.Join(backups, all[0])); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBackupNotNoted: old backups are deleted also if the data directory cannot be written, such as
// on a full disk. Bug: they were not, and filled the disk of the backups, too.
func TestBackupNotNoted(t *testing.T) {
	dir, f := savable(t)
	backups := t.TempDir()
	f(0, "", "backup", filepath.Join(backups, "roost-20260101T000000Z.tar"))
	// A directory that is not empty cannot be replaced by the file.
	noted := filepath.Join(dir, "last-backup")
	if err := errors.Join(os.Remove(noted), os.MkdirAll(filepath.Join(noted, "x"), 0o700)); err != nil {
		t.Fatal(err)
	}
	if out := f(1, "the backup is complete, but the server cannot show that: .*last-backup", "backup", backups, "--keep", "1"); !strings.Contains(out, "deleted "+backups+"/roost-20260101T000000Z.tar\n") {
		t.Errorf("nothing was deleted: %s", out)
	}
	if all := namesIn(t, backups); len(all) != 1 || all[0] == "roost-20260101T000000Z.tar" {
		t.Errorf("%q", all)
	}
}
