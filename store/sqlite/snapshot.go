package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"roost/internal/paced"
	"roost/store"
)

// A snapshot is made by SQLite's backup interface, in steps. By itself, that begins again
// whenever another connection has written, which is never finished beside a busy server. So
// the source is read in one transaction. The log keeps what is written in the meantime: it
// grows until the snapshot is complete, which the writer takes into account (checkpoint.go).

// snapshotPages is the number of pages of a step, 4 KiB each.
const snapshotPages = paced.StepBytes / 4096

// snapshot implements location.Snapshot.
func snapshot(ctx context.Context, from, to string, report func(done, total int64)) (info store.SnapshotInfo, err error) {
	source, err := openSource(from)
	if err != nil {
		return info, err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	target, err := openTarget(to)
	if err != nil {
		return info, err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	if err := copyPages(ctx, source, target, to, report); err != nil {
		return info, err
	}
	// One file without a log, whichever program opens it.
	if err := sqlitex.ExecuteTransient(target, "PRAGMA journal_mode = DELETE", nil); err != nil {
		return info, err
	}
	return checkCopy(ctx, target)
}

// openSource opens a database that servers may use.
func openSource(path string) (*sqlite.Conn, error) {
	// SQLite's error for a file that cannot be opened does not give the reason.
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	// Not read-only, for the reason that inspect gives.
	return connectFor(path, sqlite.OpenReadWrite, "query_only = ON")
}

// openTarget opens the file of a copy. If the process ends before the copy is complete, the
// file is worthless, so it needs no journal.
func openTarget(path string) (*sqlite.Conn, error) {
	return connectFor(path, sqlite.OpenReadWrite|sqlite.OpenCreate,
		"journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE", "cache_size = -4096", "temp_store = MEMORY")
}

func connectFor(path string, flags sqlite.OpenFlags, pragmas ...string) (*sqlite.Conn, error) {
	c, err := sqlite.OpenConn(path, flags)
	if err != nil {
		return nil, err
	}
	c.SetBusyTimeout(Config{}.withDefaults().BusyTimeout)
	for _, pragma := range pragmas {
		if err := sqlitex.ExecuteTransient(c, "PRAGMA "+pragma, nil); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

// copyPages copies all pages of the source, as they are now, to the target in the file to.
func copyPages(ctx context.Context, source, target *sqlite.Conn, to string, report func(done, total int64)) (err error) {
	if err := sqlitex.ExecuteTransient(source, "BEGIN", nil); err != nil {
		return err
	}
	// The check of the copy must not keep the log of the source.
	defer func() { err = errors.Join(err, sqlitex.ExecuteTransient(source, "ROLLBACK", nil)) }()
	id, err := queryInt(source, "PRAGMA application_id") // the moment of the snapshot
	if err != nil {
		return err
	}
	if id != appID {
		return errForeign
	}
	size, err := queryInt(source, "PRAGMA page_size")
	if err != nil {
		return err
	}
	file, err := os.OpenFile(to, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	pages, err := queryInt(source, "PRAGMA page_count")
	if err != nil {
		return err
	}
	paced.Reserve(file, pages*size)
	b, err := sqlite.NewBackup(target, "main", source, "main")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	for {
		start := time.Now()
		more, err := b.Step(snapshotPages)
		if err != nil {
			return err
		}
		total := int64(b.PageCount())
		report((total-int64(b.Remaining()))*size, total*size)
		if !more {
			return nil
		}
		if err := paced.Rest(ctx, file, start); err != nil {
			return err
		}
	}
}

// checkCopy checks a whole copy.
func checkCopy(ctx context.Context, c *sqlite.Conn) (info store.SnapshotInfo, err error) {
	var i store.Inspection
	if err := readTables(c, &i); err != nil {
		return info, err
	}
	c.SetInterrupt(ctx.Done())
	var problems []string
	err = sqlitex.ExecuteTransient(c, fmt.Sprintf("PRAGMA integrity_check(%d)", maxProblems), &sqlitex.ExecOptions{
		ResultFunc: func(s *sqlite.Stmt) error {
			if text := s.ColumnText(0); text != "ok" {
				problems = append(problems, strings.Split(text, "\n")...)
			}
			return nil
		},
	})
	if ctx.Err() != nil {
		return info, ctx.Err()
	}
	if err == nil && len(problems) > 0 {
		err = fmt.Errorf("the database is damaged: %s", strings.Join(problems, "; "))
	}
	return store.SnapshotInfo{Version: i.Version, Accounts: i.Accounts}, err
}
