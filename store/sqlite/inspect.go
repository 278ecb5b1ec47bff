package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// Inspection is what Inspect found in a database.
type Inspection struct {
	Version    int      // of its tables; 0: there are none yet
	Current    int      // version that Open brings them to
	Accounts   int64    // in it
	Problems   []string // what the integrity check found, at most a few
	Unfinished bool     // the context ended before the integrity check did
}

// maxProblems is how many problems an integrity check looks for.
const maxProblems = 5

// Inspect reads a database without changing it, while servers use it or not. It
// checks that the file is whole, which reads all of it; when ctx ends first, what
// is known by then is returned. The error is fs.ErrNotExist where there is no
// database, and fs.ErrPermission where it may not be read.
func Inspect(ctx context.Context, path string) (Inspection, error) {
	i, err := inspect(ctx, path)
	if err != nil {
		return i, fmt.Errorf("sqlite: inspect: %w", err)
	}
	return i, nil
}

func inspect(ctx context.Context, path string) (i Inspection, err error) {
	// SQLite's own error for a file that cannot be opened does not say why.
	f, err := os.Open(path)
	if err != nil {
		return i, err
	}
	if err := f.Close(); err != nil {
		return i, err
	}
	scripts, err := migrations()
	if err != nil {
		return i, err
	}
	i.Current = len(scripts)
	// Not read-only: the last one to close a database takes its log away, and may
	// not where it cannot write.
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		return i, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	c.SetBusyTimeout(Config{}.withDefaults().BusyTimeout)
	if err := sqlitex.ExecuteTransient(c, "PRAGMA query_only = ON", nil); err != nil {
		return i, err
	}
	if err := i.read(c); err != nil {
		return i, err
	}
	return i, i.check(ctx, c)
}

// read reads what the tables say of themselves.
func (i *Inspection) read(c *sqlite.Conn) error {
	tables, err := number(c, "SELECT count(*) FROM sqlite_schema")
	if err != nil || tables == 0 {
		return err
	}
	id, err := number(c, "PRAGMA application_id")
	if err != nil {
		return err
	}
	if id != appID {
		return errForeign
	}
	version, err := number(c, "PRAGMA user_version")
	if err != nil {
		return err
	}
	i.Version = int(version)
	i.Accounts, err = number(c, "SELECT count(*) FROM account")
	return err
}

// check reads the whole file, as far as ctx lets it.
func (i *Inspection) check(ctx context.Context, c *sqlite.Conn) error {
	c.SetInterrupt(ctx.Done())
	err := sqlitex.ExecuteTransient(c, fmt.Sprintf("PRAGMA quick_check(%d)", maxProblems), &sqlitex.ExecOptions{
		ResultFunc: func(s *sqlite.Stmt) error {
			if text := s.ColumnText(0); text != "ok" {
				i.Problems = append(i.Problems, strings.Split(text, "\n")...)
			}
			return nil
		},
	})
	if sqlite.ErrCode(err).ToPrimary() == sqlite.ResultInterrupt && ctx.Err() != nil {
		i.Unfinished = true
		return nil
	}
	return err
}
