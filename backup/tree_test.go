package backup

import (
	"archive/tar"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTree: a directory in a backup cannot have files elsewhere, and is not too large.
func TestTree(t *testing.T) {
	f := func(h tar.Header) {
		t.Helper()
		var b bytes.Buffer
		out := tar.NewWriter(&b)
		if err := errors.Join(out.WriteHeader(&h), out.Close()); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := saveTree(filepath.Join(dir, "tree"), &b); !errors.Is(err, ErrDamaged) || len(files(t, dir)) != 1 || len(files(t, filepath.Join(dir, "tree"))) > 0 {
			t.Errorf("%+v: %v, %q", h, err, files(t, dir))
		}
	}
	f(tar.Header{Name: "../x", Typeflag: tar.TypeReg})
	f(tar.Header{Name: "/x", Typeflag: tar.TypeReg})
	f(tar.Header{Name: "a/../../x", Typeflag: tar.TypeReg})
	f(tar.Header{Name: "link", Linkname: "/etc", Typeflag: tar.TypeSymlink})
	f(tar.Header{Name: "dir/", Typeflag: tar.TypeDir})
	all := func(string) bool { return true }
	if _, _, err := Tree(filepath.Join(t.TempDir(), "none"), all); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	dir := t.TempDir()
	large, err := os.Create(filepath.Join(dir, "large"))
	if err == nil {
		err = errors.Join(large.Truncate(maxTree+1), large.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Tree(dir, all); err == nil || !strings.Contains(err.Error(), "have more than 64 MiB") {
		t.Error(err)
	}
}
