package backup

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"roost/internal/ownfile"
)

// Unfinished is the file in a data directory that tells that a backup is being restored there,
// or that this was interrupted. It has the manifest. A server does not start with such a data
// directory.
const Unfinished = "restore.partial"

// filesDir is the directory in a data directory that has the files until all are checked.
const filesDir = "restore.files"

// emptyNames are what an empty data directory may have: the lock that the caller of Restore
// holds, the directory that file systems have at their root, and those of this package.
var emptyNames = []string{"lock", "lost+found", Unfinished, filesDir}

// IsUnfinished reports whether a data directory has an unfinished restore.
func IsUnfinished(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, Unfinished))
	return err == nil
}

// CheckEmpty returns an error unless a data directory can be restored to: it does not exist,
// is empty, or has an unfinished restore.
func CheckEmpty(dir string) error {
	names, err := namesIn(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	restored := movedBefore(dir)
	for _, name := range names {
		if !slices.Contains(emptyNames, name) && !slices.Contains(restored, name) {
			return fmt.Errorf("%s is not empty, it has %s: restore into an empty directory, then replace the other by it", dir, name)
		}
	}
	return nil
}

func namesIn(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// movedBefore returns the names of the files that an interrupted restore may have moved to
// their places.
func movedBefore(dir string) (names []string) {
	text, err := os.ReadFile(filepath.Join(dir, Unfinished))
	if err != nil {
		return nil
	}
	m := new(Manifest)
	if json.Unmarshal(text, m) != nil || m.check() != nil {
		return nil
	}
	for _, e := range m.Entries {
		names = append(names, RestoredName(e.Name))
	}
	return names
}

// Restore makes a data directory from a backup. The caller has locked the directory, which
// is as CheckEmpty wants it. accept may refuse the backup by its manifest. Files appear
// under their names when all of them were read and checked.
func Restore(ctx context.Context, r io.Reader, dir string, accept func(*Manifest) error) (*Manifest, error) {
	if err := CheckEmpty(dir); err != nil {
		return nil, err
	}
	if err := removeRestored(dir); err != nil {
		return nil, err
	}
	m, err := extract(ctx, r, dir, accept)
	if err != nil {
		return nil, errors.Join(err, removeRestored(dir))
	}
	// From here on, an interruption leaves what the next Restore removes.
	files := filepath.Join(dir, filesDir)
	for _, e := range m.Entries {
		name := RestoredName(e.Name)
		if err := os.Rename(filepath.Join(files, name), filepath.Join(dir, name)); err != nil {
			return nil, err
		}
		step()
	}
	if err := errors.Join(os.Remove(files), syncDir(dir)); err != nil {
		return nil, err
	}
	step()
	return m, errors.Join(os.Remove(filepath.Join(dir, Unfinished)), syncDir(dir))
}

// removeRestored removes what an interrupted restore has left.
func removeRestored(dir string) error {
	for _, name := range movedBefore(dir) {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
		step()
	}
	if err := os.RemoveAll(filepath.Join(dir, filesDir)); err != nil {
		return err
	}
	step()
	return os.RemoveAll(filepath.Join(dir, Unfinished))
}

// extract reads the entries of a backup into filesDir.
func extract(ctx context.Context, r io.Reader, dir string, accept func(*Manifest) error) (*Manifest, error) {
	files := filepath.Join(dir, filesDir)
	return Read(ctx, r, func(m *Manifest) error {
		if err := accept(m); err != nil {
			return err
		}
		text, err := json.Marshal(m)
		if err == nil {
			err = save(filepath.Join(dir, Unfinished), bytes.NewReader(text))
		}
		step()
		if err == nil {
			err = ownfile.MkdirAll(files, 0o700)
		}
		if err == nil {
			err = syncDir(dir)
		}
		step()
		return err
	}, func(e *Entry, data io.Reader) error {
		defer step()
		name := filepath.Join(files, RestoredName(e.Name))
		if strings.HasSuffix(e.Name, treeSuffix) {
			return saveTree(name, data)
		}
		return save(name, data)
	})
}

// save writes a file that is on the disk when save returns.
func save(name string, data io.Reader) error {
	f, err := ownfile.OpenNoFollow(name, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
