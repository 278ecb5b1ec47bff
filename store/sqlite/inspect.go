package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"roost/store"
)

// maxProblems is the maximum number of problems that an inspection reports.
const maxProblems = 5

// Inspect inspects a database as described in store.Inspector.
func Inspect(ctx context.Context, path string) (store.Inspection, error) {
	i, err := inspect(ctx, path)
	if err != nil {
		return i, fmt.Errorf("sqlite: inspect: %w", err)
	}
	return i, nil
}

func inspect(ctx context.Context, path string) (i store.Inspection, err error) {
	// SQLite's error for a file that cannot be opened does not give the reason.
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
	// Not read-only: the last connection that closes a database removes the log, which
	// a read-only connection cannot.
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		return i, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	c.SetBusyTimeout(Config{}.withDefaults().BusyTimeout)
	if err := sqlitex.ExecuteTransient(c, "PRAGMA query_only = ON", nil); err != nil {
		return i, err
	}
	if err := readTables(c, &i); err != nil {
		return i, err
	}
	return i, quickCheck(ctx, c, &i)
}

// readTables reads the version of the tables and the number of accounts.
func readTables(c *sqlite.Conn, i *store.Inspection) error {
	tables, err := queryInt(c, "SELECT count(*) FROM sqlite_schema")
	if err != nil || tables == 0 {
		return err
	}
	id, err := queryInt(c, "PRAGMA application_id")
	if err != nil {
		return err
	}
	if id != appID {
		return errForeign
	}
	version, err := queryInt(c, "PRAGMA user_version")
	if err != nil {
		return err
	}
	i.Version = int(version)
	i.Accounts, err = queryInt(c, "SELECT count(*) FROM account")
	return err
}

// quickCheck checks the whole file, until ctx ends.
func quickCheck(ctx context.Context, c *sqlite.Conn, i *store.Inspection) error {
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
