// Package backup writes and reads backups. A backup is one file, a tar archive, with a copy of
// the database, other files of a server's data directory, and a manifest.
//
// The first entry of the archive is the manifest. It has the SHA-256 sum of each of the
// others, which follow in its order; the second entry is the sum of the manifest itself. An
// archive is not compressed: most messages are encrypted, and programs that store only the
// differences between backups work better with uncompressed ones.
//
// # Interruption
//
// If a process is killed, it leaves nothing that looks complete. A backup is written under a
// temporary name, and gets its own name when it is on the disk and was read again. A restored
// directory has an entry Unfinished until it is complete, and no server starts there.
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
	"regexp"
	"slices"
	"time"
)

// The first entries of an archive.
const (
	manifestName = "manifest.json"
	sumName      = manifestName + ".sha256" // as sha256sum reads it
)

// format is the version of archives.
const format = 1

// Limits of what is read, so that a file that is no backup does no harm.
const (
	maxManifest = 1 << 20 // bytes
	maxEntries  = 1000
)

// Manifest describes a backup.
type Manifest struct {
	Format   int       `json:"format"` // of the archive; set by Finish
	Roost    string    `json:"roost"`  // version of the program
	Created  time.Time `json:"created"`
	Domains  []string  `json:"domains"` // those that the server serves
	Store    string    `json:"store"`   // URL of the database, without a password
	Database Database  `json:"database"`
	Entries  []Entry   `json:"entries"` // all but the manifest; set by Finish
}

// Database describes the copy of the database.
type Database struct {
	Entry    string `json:"entry"`   // its name; roost.db is a database of SQLite
	Version  int    `json:"version"` // of its tables
	Accounts int64  `json:"accounts"`
}

// Entry is a file in a backup.
type Entry struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// File is a small file for a backup.
type File struct {
	Name string
	Data []byte
}

// Errors of reading.
var (
	ErrNoBackup = errors.New("it is not a backup of roost")
	ErrDamaged  = errors.New("the backup is damaged")
	errNewer    = errors.New("the backup was made by a newer version of roost: restore it with that version")
)

// entryName is what an entry may be called: a file name that cannot leave its directory.
var entryName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,99}$`)

// check returns an error if a manifest is not one of this program.
func (m *Manifest) check() error {
	if m.Format > format {
		return errNewer
	}
	known := m.Format == format && len(m.Entries) <= maxEntries
	var names []string
	for _, e := range m.Entries {
		known = known && entryName.MatchString(e.Name) && e.Name != manifestName && e.Name != sumName && e.Size >= 0
		known = known && !slices.Contains(names, RestoredName(e.Name)) && !slices.Contains(emptyNames, RestoredName(e.Name))
		names = append(names, RestoredName(e.Name))
	}
	if !known || !slices.Contains(names, m.Database.Entry) {
		return fmt.Errorf("%w: its manifest is wrong", ErrDamaged)
	}
	return nil
}

// Read reads a backup and checks it. accept is called with the manifest; an error of it ends
// the reading. save is called for each entry and reads all of data, before it is known that
// the data is right; what it has made is worthless if Read returns an error.
func Read(ctx context.Context, r io.Reader, accept func(*Manifest) error, save func(e *Entry, data io.Reader) error) (*Manifest, error) {
	in := tar.NewReader(&interruptible{ctx, r})
	m, err := readManifest(in)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	if err := accept(m); err != nil {
		return nil, err
	}
	for i := range m.Entries {
		e := &m.Entries[i]
		if err := next(in, e.Name, e.Size); err != nil {
			return nil, damaged(ctx, err)
		}
		sum := sha256.New()
		if err := save(e, io.TeeReader(in, sum)); err != nil {
			return nil, damaged(ctx, err)
		}
		if hex.EncodeToString(sum.Sum(nil)) != e.SHA256 {
			return nil, fmt.Errorf("%w: %s is not what was saved", ErrDamaged, e.Name)
		}
	}
	if _, err := in.Next(); !errors.Is(err, io.EOF) {
		return nil, damaged(ctx, errors.Join(errors.New("more entries than in the manifest"), err))
	}
	return m, nil
}

// damaged returns the error of reading an entry. That of a file that ends too early, or is
// no archive from somewhere on, means that the backup is damaged.
func damaged(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: the file is too short", ErrDamaged)
	}
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, errEntry) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// errEntry means that an entry is not the expected one.
var errEntry = errors.New("an entry is not the one of the manifest")

// next goes to the next entry, which has this name and size.
func next(in *tar.Reader, name string, size int64) error {
	h, err := in.Next()
	if err != nil {
		return err
	}
	if h.Name != name || h.Size != size || h.Typeflag != tar.TypeReg {
		return errEntry
	}
	return nil
}

// readManifest reads the first two entries.
func readManifest(in *tar.Reader) (*Manifest, error) {
	h, err := in.Next()
	if err != nil || h.Name != manifestName || h.Typeflag != tar.TypeReg || h.Size > maxManifest {
		return nil, ErrNoBackup
	}
	text, err := io.ReadAll(in)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	want := sumLine(text)
	sum := make([]byte, len(want))
	if err = next(in, sumName, int64(len(want))); err == nil {
		_, err = io.ReadFull(in, sum)
	}
	if err != nil || !bytes.Equal(sum, want) {
		return nil, fmt.Errorf("%w: its manifest is not what was saved", ErrDamaged)
	}
	m := new(Manifest)
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("%w: its manifest cannot be read: %w", ErrDamaged, err)
	}
	return m, m.check()
}

// sumLine is the content of the second entry.
func sumLine(manifest []byte) []byte {
	return fmt.Appendf(nil, "%x  %s\n", sha256.Sum256(manifest), manifestName)
}

// interruptible is a reader that ends with a context.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (i *interruptible) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(p)
}
