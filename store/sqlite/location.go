package sqlite

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"

	"zombiezen.com/go/sqlite"

	"roost/store"
)

// Scheme is the scheme of the URLs of databases.
const Scheme = "sqlite"

// location is a database file with its settings.
type location struct{ cfg Config }

var (
	_ store.Location  = location{}
	_ store.Inspector = location{}
	_ store.Local     = location{}

	_ store.Snapshotter = location{}
)

// URL returns the URL of the database in a file.
func URL(path string) string {
	return Scheme + ":" + (&url.URL{Path: filepath.Clean(path)}).EscapedPath()
}

// Locate returns the location that a URL names: sqlite:PATH or sqlite:///PATH. The path is
// absolute or relative to the working directory. The parameter reserve sets
// Config.ReserveBytes; 0 means no reserve.
func Locate(u *url.URL) (store.Location, error) {
	path := u.Path
	if u.Opaque != "" { // a relative path
		var err error
		if path, err = url.PathUnescape(u.Opaque); err != nil {
			return nil, err
		}
	}
	switch {
	case u.Host != "" || u.User != nil:
		return nil, errors.New("a database is a local file, so the URL cannot have a host: write sqlite:PATH, or sqlite:///PATH with three slashes")
	case path == "":
		return nil, errors.New("the file name is missing: write sqlite:PATH")
	case path == ":memory:":
		return nil, errors.New("a database in memory is lost when the process ends: give the name of a file")
	case u.Fragment != "":
		return nil, errors.New("write %23 for # in a file name")
	}
	l := location{Config{Path: path}}
	parameters, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("the only parameter is reserve=BYTES; write %3F for ? in a file name")
	}
	for name, values := range parameters {
		if name != "reserve" {
			return nil, fmt.Errorf("unknown parameter %q: the only one is reserve", name)
		}
		n, err := strconv.ParseInt(values[0], 10, 64)
		if err != nil || n < 0 || len(values) > 1 {
			return nil, errors.New("reserve must be a number of bytes, or 0 for no reserve")
		}
		if l.cfg.ReserveBytes = n; n == 0 {
			l.cfg.ReserveBytes = -1
		}
	}
	return l, nil
}

// Open implements store.Location.
func (l location) Open(ctx context.Context, o store.Options) (store.Store, error) {
	cfg := l.cfg
	cfg.Options = o
	s, err := Open(ctx, cfg)
	if err != nil {
		return nil, err // not an interface with a nil *Store
	}
	return s, nil
}

// Inspect implements store.Inspector.
func (l location) Inspect(ctx context.Context) (store.Inspection, error) {
	return Inspect(ctx, l.cfg.Path)
}

// Path implements store.Local.
func (l location) Path() string { return l.cfg.Path }

// SnapshotName implements store.Snapshotter.
func (l location) SnapshotName() string { return FileName }

// Snapshot implements store.Snapshotter.
func (l location) Snapshot(ctx context.Context, file string, report func(done, total int64)) (store.SnapshotInfo, error) {
	info, err := snapshot(ctx, l.cfg.Path, file, report)
	if err != nil {
		switch sqlite.ErrCode(err).ToPrimary() {
		case sqlite.ResultCorrupt, sqlite.ResultNotADB:
			err = fmt.Errorf("the database is damaged (%w)", err)
		}
		err = fmt.Errorf("sqlite: copy %s: %w", l.cfg.Path, err)
	}
	return info, err
}
