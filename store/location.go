package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
)

// A Location is where a store is, as a URL names it. Nothing is opened or made
// before Open. What a kind of store can do besides is an interface of its own,
// found by type assertion: Inspector, Local.
type Location interface {
	// Open opens the store, and makes it where there is none.
	Open(ctx context.Context, o Options) (Store, error)
}

// Inspector is a Location whose store can be examined without opening it for
// writing, while servers use it or not.
type Inspector interface {
	// Inspect reads the whole store to find damage, and changes nothing. If ctx
	// ends first, it returns what is known by then. The error is fs.ErrNotExist
	// where there is no store yet, and fs.ErrPermission where it may not be read.
	Inspect(ctx context.Context) (Inspection, error)
}

// Inspection is what Inspect found in a store.
type Inspection struct {
	Version    int      // of its tables; 0: there are none yet
	Current    int      // version that Open brings them to
	Accounts   int64    // in it
	Problems   []string // damage that was found, at most a few lines
	Unfinished bool     // the context ended before everything was read
}

// Local is a Location in a file of this machine.
type Local interface {
	// Path is the file, which need not exist. Other files of the store are beside
	// it; their names begin with this one's and "-".
	Path() string
}

// Missing reports whether a location is a file that is not there.
func Missing(l Location) bool {
	local, ok := l.(Local)
	if !ok {
		return false
	}
	_, err := os.Stat(local.Path())
	return errors.Is(err, fs.ErrNotExist)
}
