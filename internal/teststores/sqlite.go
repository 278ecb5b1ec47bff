package teststores

import (
	"context"
	"testing"

	driver "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"roost/store"
	"roost/store/sqlite"
	"roost/store/stores"
)

// SQLite is the kind of store that servers use by default.
var SQLite = Kind{
	Name: "sqlite", Durable: true, URL: sqliteURL, New: located(sqliteURL),
	OpenBusy: openSmallLog, Check: checkIntegrity,
}

// sqliteURL names a database without a reserve, which would take 32 MiB in each test.
func sqliteURL(t testing.TB) string { return stores.Default(t.TempDir()) + "?reserve=0" }

// openSmallLog opens a database whose log is so small that checkpoints are frequent.
func openSmallLog(ctx context.Context, url string) (store.Store, error) {
	path, err := sqlitePath(url)
	if err != nil {
		return nil, err
	}
	s, err := sqlite.Open(ctx, sqlite.Config{Path: path, LogBytes: 64 << 10, ReserveBytes: -1})
	if err != nil {
		return nil, err // not a nil *sqlite.Store in an interface
	}
	return s, nil
}

// sqlitePath returns the file that a URL names.
func sqlitePath(url string) (string, error) {
	l, err := stores.Locate(url)
	if err != nil {
		return "", err
	}
	return l.(store.Local).Path(), nil
}

// checkIntegrity has SQLite read the whole file, its indexes and its references.
func checkIntegrity(t testing.TB, url string) {
	t.Helper()
	path, err := sqlitePath(url)
	if err != nil {
		t.Fatal(err)
	}
	c, err := driver.OpenConn(path, driver.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if text, err := sqlitex.ResultText(c.Prep("PRAGMA integrity_check")); err != nil || text != "ok" {
		t.Fatalf("integrity_check: %q, %v", text, err)
	}
	err = sqlitex.ExecuteTransient(c, "PRAGMA foreign_key_check", &sqlitex.ExecOptions{ResultFunc: func(st *driver.Stmt) error {
		t.Errorf("a row of %s belongs to no account", st.ColumnText(0))
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
}
