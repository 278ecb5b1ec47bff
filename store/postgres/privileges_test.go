package postgres

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"roost/internal/pgtest"
	"roost/store"
)

// grants returns the statements of docs/storage.md that give a role what a server needs.
func grants(t *testing.T, schema, role string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/storage.md")
	if err != nil {
		t.Fatal(err)
	}
	all := regexp.MustCompile(`(?m)^    (GRANT|ALTER DEFAULT) .*;$`).FindAllString(string(text), -1)
	if len(all) == 0 {
		t.Fatal("docs/storage.md has no privileges")
	}
	return strings.NewReplacer("SCHEMA public", "SCHEMA "+schema, "TO roost;", "TO "+role+";").Replace(strings.Join(all, "\n"))
}

// TestPrivileges: the privileges in docs/storage.md are enough for a server, a backup and a copy in either
// direction, also for tables that were added after they had been granted.
func TestPrivileges(t *testing.T) {
	pg := pgtest.Shared(t)
	owner := pg.URL(t)
	schema := regexp.MustCompile(`search_path=(\w+)`).FindStringSubmatch(owner)[1]
	role := "limited_" + schema
	pg.Exec(t, "DROP SCHEMA "+schema+" CASCADE; CREATE SCHEMA "+schema+"; CREATE ROLE "+role+" LOGIN")
	t.Cleanup(func() { pg.Exec(t, "DROP OWNED BY "+role+"; DROP ROLE "+role) })
	c, err := pgx.Connect(t.Context(), strings.Replace(owner, "pool_max_conns", "connect_timeout", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(c)
	scripts, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	if err := step(t.Context(), c, 0, scripts[0]); err != nil { // an earlier version
		t.Fatal(err)
	}
	pg.Exec(t, grants(t, schema, role))
	if err := migrate(t.Context(), c); err != nil {
		t.Fatal(err)
	}

	url := strings.Replace(owner, "://roost@", "://"+role+"@", 1)
	s := openTest(t, url, Config{})
	if err := s.CreateAccount(t.Context(), store.Account{JID: user(1)}); err != nil {
		t.Error(err)
	}
	for _, table := range store.Tables {
		rows, err := s.ReadRows(t.Context(), table, nil)
		if err == nil {
			err = s.WriteRows(t.Context(), table, rows[:0])
		}
		if err != nil {
			t.Error(err)
		}
	}
	if err := s.BeginCopy(t.Context(), "x"); err != nil {
		t.Error(err)
	}
	last, err := s.LastMessage(t.Context())
	if err != nil {
		t.Error(err)
	}
	if err := s.DeriveRows(t.Context(), last+1); err != nil {
		t.Error(err)
	}
	if err := s.EndCopy(t.Context()); err != nil {
		t.Error(err)
	}
	if info, err := dumped(t, url); err != nil || info.Accounts != 1 {
		t.Errorf("%+v, %v", info, err)
	}
}
