package sqlrows

import (
	"context"
	"errors"
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
	if _, err := c.Exec(t.Context(), `CREATE TABLE "t ""x" (a TEXT, b INT, gone INT, c BOOLEAN, "when" TIMESTAMP); ALTER TABLE "t ""x" DROP COLUMN gone;
		CREATE TABLE other (a INT); CREATE TABLE empty (a INT); CREATE VIEW tv AS SELECT * FROM other; INSERT INTO other VALUES (1), (2);
		INSERT INTO "t ""x" VALUES ('ä', 5, true, '2026-01-02 03:04:05.6'), ('', NULL, false, NULL)`); err != nil {
		t.Fatal(err)
	}
	got, err := rowsOf(t.Context(), Source{Name: url})
	slices.Sort(got)
	want := []string{
		`table other unread other`,
		`table t "x ctid (0,1) t "x a="ä" b="5" c="true" when="2026-01-02 03:04:05.6"`,
		`table t "x ctid (0,2) t "x a="" b="" c="false" when=""`,
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	broken := errors.New("broken")
	stop := Receiver{Want: func(string) bool { return true }, Row: func(*Row) error { return broken }}
	if err := (Source{Name: url}).Read(t.Context(), stop); !errors.Is(err, broken) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stop.Row = func(*Row) error { cancel(); return ctx.Err() }
	if err := (Source{Name: url}).Read(ctx, stop); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := c.Exec(t.Context(), `DROP VIEW tv; DROP TABLE "t ""x", other, empty`); err != nil {
		t.Error(err)
	}
}
