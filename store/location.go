package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
)

// Errors of Location.Open, returned with context: test for them with errors.Is.
var (
	ErrUnfinished = errors.New("it is an unfinished copy")
	ErrInUse      = errors.New("in use by another server") // also of writes: see Options.Use
)

// Location is the place of a store, which a URL names. Nothing is opened or created
// before Open. Further abilities of a kind of store are optional interfaces, to be found
// by type assertion: Inspector, Local, Snapshotter.
type Location interface {
	// Open opens the store, and creates it if it does not exist.
	Open(ctx context.Context, o Options) (Store, error)
}

// Inspector is a Location whose store can be examined without opening it for writing, also
// while servers use it.
type Inspector interface {
	// Inspect reads the whole store to find damage, and changes nothing. If ctx ends
	// first, it returns what it has found so far. The error wraps fs.ErrNotExist if
	// the store does not exist, and fs.ErrPermission if it may not be read.
	Inspect(ctx context.Context) (Inspection, error)
}

// Inspection is the result of Inspect.
type Inspection struct {
	Version    int      // of the tables; 0 means that there are none
	Current    int      // the version to which Open migrates them
	Accounts   int64    // number of accounts
	Problems   []string // the damage found, at most a few lines
	Unfinished bool     // the context ended before everything was read
}

// Local is a Location in a local file.
type Local interface {
	// Path returns the path of the file, which need not exist. Other files of the
	// store are in the same directory; their names begin with the file's name and "-".
	Path() string
}

// Shareable is a Location whose store servers on several machines can use at the same time.
type Shareable interface {
	// Identity returns a text that identifies the store, which must exist. It is the same for
	// every URL of the store, and for a standby that replaces it, and different for every other
	// store. It is "" if the store does not reveal it.
	Identity(ctx context.Context) (string, error)
}

// Snapshotter is a Location whose store can be copied into one file, also while servers use it.
type Snapshotter interface {
	// SnapshotName returns the name of the file in a backup, which identifies its kind.
	SnapshotName() string

	// Snapshot copies the state of the store at one moment into a file that is new or empty,
	// and checks the copy. The file is not synced. report is called with the number of bytes
	// copied so far, and their total or 0 if that is not known. The error wraps
	// fs.ErrNotExist if the store does not exist.
	Snapshot(ctx context.Context, file string, report func(done, total int64)) (SnapshotInfo, error)
}

// SnapshotInfo describes the copy that Snapshot has made.
type SnapshotInfo struct {
	Version  int   // of the tables
	Accounts int64 // number of accounts
}

// Missing reports whether a location is a file that does not exist.
func Missing(l Location) bool {
	local, ok := l.(Local)
	if !ok {
		return false
	}
	_, err := os.Stat(local.Path())
	return errors.Is(err, fs.ErrNotExist)
}
