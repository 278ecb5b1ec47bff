package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"roost/capacity"
	"roost/server"
	"roost/store"
)

// storeState examines the data directory and the store that is to be checked; ctx limits the
// integrity check.
func (c *checkCmd) storeState(ctx context.Context) (capacity.StoreState, error) {
	location, err := c.location()
	if err != nil {
		return capacity.StoreState{}, err
	}
	// If this cannot be read, neither can the database, which is reported.
	if url, err := server.StoreElsewhere(c.Data); err == nil && c.Store == "" && url != "" {
		s := directoryState(c.Data)
		s.Used = printable(url)
		return s, nil
	}
	return storeState(ctx, c.Data, location), nil
}

// directoryState examines a data directory.
func directoryState(dir string) capacity.StoreState {
	there := existing(dir)
	return capacity.StoreState{Dir: dir, Missing: there != dir, WriteErr: mayWrite(there)}
}

// storeState examines a data directory and a store; ctx limits the integrity check.
func storeState(ctx context.Context, dir string, location store.Location) capacity.StoreState {
	s := directoryState(dir)
	if local, ok := location.(store.Local); ok {
		s.Database = local.Path()
		near := existing(filepath.Dir(s.Database))
		s.FilesErr = mayWrite(near)
		s.Free, s.DiskErr = free(near)
	}
	inspector, ok := location.(store.Inspector)
	if s.Inspected = ok; !ok {
		return s
	}
	i, err := inspector.Inspect(ctx)
	s.NoDatabase = errors.Is(err, fs.ErrNotExist)
	if !s.NoDatabase {
		s.OpenErr = err
	}
	s.Version, s.Current, s.Accounts = i.Version, i.Current, i.Accounts
	s.Problems, s.Unfinished = i.Problems, i.Unfinished
	return s
}

// free returns the number of bytes available to an ordinary user on the file system of a
// directory.
func free(dir string) (int64, error) {
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		return 0, &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(disk.Bavail) * int64(disk.Bsize), nil
}

// existing returns the directory itself or, if it does not exist, its nearest existing
// ancestor, in which it would be created.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) || filepath.Dir(dir) == dir {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// mayWrite returns why a directory is not writable. It asks the kernel and does not
// change the directory.
func mayWrite(dir string) error {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		if err == nil {
			err = &fs.PathError{Op: "open", Path: dir, Err: unix.ENOTDIR}
		}
		return err
	}
	if err := unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
		return &fs.PathError{Op: "write", Path: dir, Err: err}
	}
	return nil
}
