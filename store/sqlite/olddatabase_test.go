package sqlite

import (
	"path/filepath"
	"testing"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitemigration"
)

// oldDatabase creates a database as it was after some scripts of the schema, and returns its path and a
// connection to it, which the test closes.
func oldDatabase(t *testing.T, scripts int) (path string, c *sqlite.Conn) {
	t.Helper()
	path = filepath.Join(t.TempDir(), FileName)
	all, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	if c, err = sqlite.OpenConn(path, sqlite.OpenReadWrite|sqlite.OpenCreate|sqlite.OpenWAL); err != nil {
		t.Fatal(err)
	}
	if err := sqlitemigration.Migrate(t.Context(), c, sqlitemigration.Schema{AppID: appID, Migrations: all[:scripts]}); err != nil {
		t.Fatal(err)
	}
	return path, c
}
