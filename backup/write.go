package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"roost/internal/paced"
)

// Names of what is not complete yet, after the name of the backup.
const (
	partial  = ".partial"
	database = ".partial-database" // exists only while the former does
)

// step is called between the steps of writing and restoring, for tests.
var step = func() {}

// Writer writes a backup.
type Writer struct {
	name string
	file *os.File // locked, so that it is known that somebody writes it
}

// Begin begins a backup that will have this file name. An older backup of that name stays
// until Finish replaces it; another file is not replaced. What a former process has left
// when it was killed is removed. Symbolic links are not followed.
func Begin(name string) (*Writer, error) {
	info, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode().Type() == fs.ModeSymlink:
		return nil, errLink(name)
	case !info.Mode().IsRegular() || info.Size() > 0 && !isBackup(name):
		return nil, fmt.Errorf("%s exists, and is not a backup of roost: choose another name", name)
	}
	if err := removePartial(name); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(name+partial, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	w := &Writer{name, f}
	step()
	if err := lock(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	step()
	// Another process may have taken it for a leftover before it was locked.
	mine, err := f.Stat()
	if there, e := os.Lstat(f.Name()); err != nil || e != nil || !os.SameFile(mine, there) {
		return nil, errors.Join(errWriting(name), f.Close())
	}
	// A copy without its .partial is nobody's. O_EXCL follows no link.
	if err = removeDatabase(name, removePaced); err == nil {
		var db *os.File
		if db, err = os.OpenFile(w.DatabaseFile(), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			err = db.Close()
		}
	}
	if err != nil {
		w.Discard()
		return nil, err
	}
	step()
	return w, nil
}

// errWriting is the error of a second Begin for the same name.
type errWriting string

func (e errWriting) Error() string { return "another roost backup is writing " + string(e) }

// errLink returns the error for a symbolic link, which may lead to a file that has nothing to
// do with backups.
func errLink(name string) error {
	return fmt.Errorf("%s is a symbolic link, which roost backup does not follow: delete it, or choose another name", name)
}

// lock locks a file unless another process has done so.
func lock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errWriting(strings.TrimSuffix(f.Name(), partial))
	}
	return err
}

// removePartial removes what a process has left that was killed while it wrote a backup.
func removePartial(name string) error {
	// Nonblocking, in case that it is a pipe.
	f, err := os.OpenFile(name+partial, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, unix.ELOOP):
		return errLink(name + partial)
	case err != nil:
		return err
	}
	if err = lock(f); err == nil {
		err = errors.Join(removeDatabase(name, removePaced), os.Remove(name+partial))
	}
	return errors.Join(err, f.Close())
}

// removeDatabase removes the copy of the database, and what SQLite may have left beside it.
func removeDatabase(name string, remove func(string) error) (err error) {
	for _, suffix := range []string{"-journal", "-wal", "-shm", ""} {
		if e := remove(name + database + suffix); !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// DatabaseFile returns the name of the file into which the database is to be copied before
// Finish. It exists and is empty.
func (w *Writer) DatabaseFile() string { return w.name + database }

// removePaced is paced.Remove; tests replace it.
var removePaced = paced.Remove

// Discard removes what was written, unless Finish has been successful. It does so at once: whoever
// has interrupted a backup waits for it.
func (w *Writer) Discard() {
	if w.file == nil {
		return
	}
	_ = removeDatabase(w.name, os.Remove) // the next Begin tries again
	_ = os.Remove(w.name + partial)
	_ = w.file.Close()
	w.file = nil
}

// Finish writes the archive, reads it again and gives it its name. It sets m.Format and
// m.Entries. report is called with the number of bytes that are written and checked, and
// with their total. It returns the size of the archive.
func (w *Writer) Finish(ctx context.Context, m *Manifest, files []File, report func(done, total int64)) (size int64, err error) {
	defer w.Discard()
	db, err := os.Open(w.DatabaseFile())
	if err != nil {
		return 0, err
	}
	defer db.Close()
	info, err := db.Stat()
	if err != nil {
		return 0, err
	}
	done, total := int64(0), 3*info.Size()
	progress := func(n int) { done += int64(n); report(min(done, total), total) }

	m.Format, m.Entries = format, []Entry{{Name: m.Database.Entry, Size: info.Size()}}
	sum := sha256.New()
	if _, err := io.Copy(sum, paced.NewReader(ctx, &progressReader{db, progress})); err != nil {
		return 0, err
	}
	m.Entries[0].SHA256 = hex.EncodeToString(sum.Sum(nil))
	for _, f := range files {
		m.Entries = append(m.Entries, Entry{Name: f.Name, Size: int64(len(f.Data)), SHA256: fmt.Sprintf("%x", sha256.Sum256(f.Data))})
	}
	if err := m.check(); err != nil {
		return 0, err
	}
	if _, err := db.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	if err := w.archive(ctx, m, &progressReader{db, progress}, files); err != nil {
		return 0, err
	}
	if err := w.file.Sync(); err != nil {
		return 0, err
	}
	step()
	if err := w.verify(ctx, progress); err != nil {
		return 0, err
	}
	if err := removeDatabase(w.name, removePaced); err != nil {
		return 0, err
	}
	step()
	if info, err = w.file.Stat(); err != nil {
		return 0, err
	}
	if err := os.Rename(w.name+partial, w.name); err != nil {
		return 0, err
	}
	err = w.file.Close()
	w.file = nil // what has the other names from here on is of the next process, and not discarded
	step()
	return info.Size(), errors.Join(err, syncDir(filepath.Dir(w.name)))
}

// archive writes the archive. db is the database.
func (w *Writer) archive(ctx context.Context, m *Manifest, db io.Reader, files []File) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	paced.Reserve(w.file, m.Entries[0].Size)
	out := tar.NewWriter(paced.NewWriter(ctx, w.file)) // a server may use the same disk
	add := func(name string, size int64, data io.Reader) error {
		h := tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: m.Created, Format: tar.FormatPAX}
		if err := out.WriteHeader(&h); err != nil {
			return err
		}
		_, err := io.Copy(out, data)
		return err
	}
	sum := sumLine(text)
	err = add(manifestName, int64(len(text)), bytes.NewReader(text))
	if err == nil {
		err = add(sumName, int64(len(sum)), bytes.NewReader(sum))
	}
	if err == nil {
		err = add(m.Entries[0].Name, m.Entries[0].Size, db)
	}
	for _, f := range files {
		if err == nil {
			err = add(f.Name, int64(len(f.Data)), bytes.NewReader(f.Data))
		}
	}
	if err == nil {
		err = out.Close()
	}
	return err
}

// verify reads the archive again.
func (w *Writer) verify(ctx context.Context, progress func(n int)) error {
	if _, err := w.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return Check(ctx, paced.NewReader(ctx, &progressReader{w.file, progress}))
}

// Check reads a backup and returns an error if it is damaged.
func Check(ctx context.Context, r io.Reader) error {
	_, err := Read(ctx, r, func(*Manifest) error { return nil }, func(_ *Entry, data io.Reader) error {
		_, err := io.Copy(io.Discard, data)
		return err
	})
	return err
}

// isBackup reports whether a file begins as a backup does.
func isBackup(name string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	_, err = readManifest(tar.NewReader(f))
	return err == nil || errors.Is(err, errNewer)
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// progressReader reports what is read.
type progressReader struct {
	r        io.Reader
	progress func(n int)
}

// Read implements io.Reader.
func (p *progressReader) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.progress(n)
	return n, err
}
