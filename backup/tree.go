package backup

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"roost/internal/ownfile"
)

// treeSuffix ends the name of an entry that is a directory with all files in it, as an archive of its
// own. A restore makes the directory of it.
const treeSuffix = ".tar"

// RestoredName returns the name of what a restore makes of an entry.
func RestoredName(entry string) string { return strings.TrimSuffix(entry, treeSuffix) }

// maxTree limits what Tree reads, in bytes: everything is in memory for a moment.
const maxTree = 64 << 20

// Tree reads a directory of small files for a backup. include is called for each file and directory in
// it, with the path within dir; what it refuses is left out, with everything in it, and what vanishes
// meanwhile. Symbolic links and special files are left out, too: skipped has their paths within dir.
// Without the directory, Tree returns an error that is fs.ErrNotExist.
func Tree(dir string, include func(path string) bool) (f File, skipped []string, err error) {
	var b bytes.Buffer
	out := tar.NewWriter(&b)
	if _, err := os.Stat(dir); err != nil {
		return File{}, nil, err
	}
	root := os.DirFS(dir)
	err = fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case name != "." && !include(name):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return nil
		case !d.Type().IsRegular():
			skipped = append(skipped, name)
			return nil
		}
		info, err := d.Info()
		var data []byte
		if err == nil && int64(b.Len())+info.Size() > maxTree {
			return fmt.Errorf("the files in %s have more than %d MiB", dir, maxTree>>20)
		}
		if err == nil {
			data, err = fs.ReadFile(root, name)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(data)), Format: tar.FormatPAX}); err != nil {
			return err
		}
		_, err = out.Write(data)
		return err
	})
	if err == nil {
		err = out.Close()
	}
	return File{Name: filepath.Base(dir) + treeSuffix, Data: b.Bytes()}, skipped, err
}

// errTree means that an archive in a backup is none of Tree.
var errTree = fmt.Errorf("%w: a directory in it is not as it was saved", ErrDamaged)

// saveTree makes a directory of an archive of Tree.
func saveTree(dir string, data io.Reader) error {
	if err := ownfile.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	in := tar.NewReader(data)
	made := map[string]bool{".": true}
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg || !fs.ValidPath(h.Name) || h.Name == "." {
			return errTree
		}
		parent := path.Dir(h.Name)
		if !made[parent] {
			if err := ownfile.MkdirAll(filepath.Join(dir, filepath.FromSlash(parent)), 0o700); err != nil {
				return err
			}
		}
		for ; !made[parent]; parent = path.Dir(parent) {
			made[parent] = true
		}
		if err := save(filepath.Join(dir, filepath.FromSlash(h.Name)), in); err != nil {
			return err
		}
	}
	for parent := range made {
		if err := syncDir(filepath.Join(dir, filepath.FromSlash(parent))); err != nil {
			return err
		}
	}
	_, err := io.Copy(io.Discard, data)
	return err
}
