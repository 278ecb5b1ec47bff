package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"roost/store/sqlite"
)

// dataFlags name the data directory, for all commands that need it.
type dataFlags struct {
	Data string `default:"roost-data" env:"ROOST_DATA" placeholder:"DIR" type:"path" help:"Directory of the database, the certificates and all else that is kept (default: ${default})."`
}

// open opens the database in the data directory; both are made when they are
// missing.
func (f *dataFlags) open(ctx context.Context) (*sqlite.Store, error) {
	return sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(f.Data, sqlite.FileName)})
}

// openExisting opens the database in the data directory, and makes none: whoever
// changes what is there has mistyped the directory where nothing is.
func (f *dataFlags) openExisting(ctx context.Context) (*sqlite.Store, error) {
	name := filepath.Join(f.Data, sqlite.FileName)
	if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no database in %s: name the server's data directory with --data", f.Data)
	}
	return f.open(ctx)
}

// defaultData is the data directory when none is named.
func defaultData() string {
	dir, err := filepath.Abs("roost-data")
	if err != nil {
		return "roost-data"
	}
	return dir
}
