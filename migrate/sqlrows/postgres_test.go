package sqlrows

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"roost/internal/pgtest"
)

// TestPostgres: the tables of a running PostgreSQL are read, as text.
func TestPostgres(t *testing.T) {
	url := strings.Replace(pgtest.Shared(t).URL(t), "pool_max_conns", "connect_timeout", 1)
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if _, err := c.Exec(t.Context(), `CREATE TABLE "t ""x" (a TEXT, b INT, gone INT, c BOOLEAN, "when" TIMESTAMP, z TIMESTAMPTZ, bin BYTEA, i INTERVAL); ALTER TABLE "t ""x" DROP COLUMN gone;
		CREATE TABLE other (a INT); CREATE TABLE empty (a INT); CREATE VIEW tv AS SELECT * FROM other; INSERT INTO other VALUES (1), (2);
		INSERT INTO "t ""x" VALUES ('ä', 5, true, '2026-01-02 03:04:05.6', '2026-01-02 03:04:05+05:30', 'a', '1 day'), ('', NULL, false, NULL, NULL, NULL, NULL)`); err != nil {
		t.Fatal(err)
	}
	// Settings of the user or the database that would change what is read.
	settings := "&DateStyle=SQL,DMY&TimeZone=Asia/Kolkata&IntervalStyle=iso_8601&bytea_output=escape&client_encoding=LATIN1"
	got, err := rowsOf(t.Context(), Source{Name: url + settings})
	slices.Sort(got)
	want := []string{
		`table other unread other`,
		`table t "x ctid (0,1) t "x a="ä" b="5" c="true" when="2026-01-02 03:04:05.6" z="2026-01-01 21:34:05+00" bin="\\x61" i="1 day"`,
		`table t "x ctid (0,2) t "x a="" b="" c="false" when="" z="" bin="" i=""`,
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	exec := func(sql string) {
		t.Helper()
		if _, err := c.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec(`DROP VIEW tv; DROP TABLE "t ""x", other, empty`)
	testLive(t, url, exec)
}
