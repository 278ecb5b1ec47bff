package postgres

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"roost/internal/pgtest"
)

// TestIsDown: what the database says about a statement does not mean that it is not available, but what
// ends the connection does, in whatever language it says so.
func TestIsDown(t *testing.T) {
	for _, c := range []struct {
		severity, code string
		down           bool
	}{
		{"FATAL", "57P05", true}, // idle_session_timeout
		{"PANIC", "XX000", true},
		{"FATAL", adminShutdown, true},
		{"ERROR", "XX000", false},
		{"ERROR", queryCanceled, false},
	} {
		err := fmt.Errorf("read: %w", &pgconn.PgError{Severity: "FEHLER", SeverityUnlocalized: c.severity, Code: c.code})
		if got := isDown(err); got != c.down {
			t.Errorf("%s %s: %v, want %v", c.severity, c.code, got, c.down)
		}
	}
	if !isDown(&pgconn.PgError{Severity: "FATAL", Code: "57P05"}) {
		t.Error("an error of a proxy does not count as a lost connection")
	}
	_, err := pgx.Connect(t.Context(), pgtest.Shared(t).URL(t)+"&no_such_setting=1")
	if code(err) == "" || isDown(err) {
		t.Errorf("a refused connection counts as lost: %v", err)
	}
}

// TestEnded: if the database ends an idle connection of the pool, the next read uses another one. On a TCP
// connection, the query seems to be sent.
func TestEnded(t *testing.T) {
	pg := pgtest.New(t)
	_, address := proxied(t, pg)
	s, other := openTest(t, address, Config{RetryFor: time.Minute}), openTest(t, pg.URL(t), Config{})
	var pid int64
	err := s.query(t.Context(), "Test", "be idle", `SELECT pg_backend_pid(), set_config('idle_session_timeout', '1', false)`, nil, nil, into(&pid, nil))
	if err != nil {
		t.Fatal(err)
	}
	gone(t, other, uint32(pid))
	if err := s.query(t.Context(), "Test", "read", `SELECT 1`, nil, nil, into(nil)); err != nil {
		t.Error(err)
	}
}

// TestSessionSettings: settings of the database's user do not change how the store works.
func TestSessionSettings(t *testing.T) {
	pg := pgtest.New(t)
	pg.Exec(t, "ALTER ROLE roost SET idle_session_timeout = '1h'; ALTER ROLE roost SET default_transaction_isolation = 'serializable'")
	defer pg.Exec(t, "ALTER ROLE roost RESET ALL")
	s := openTest(t, pg.URL(t), Config{})
	for name, want := range map[string]string{"idle_session_timeout": "0", "default_transaction_isolation": "read committed"} {
		var got string
		if err := s.query(t.Context(), "Test", "read a setting", `SELECT current_setting($1)`, []any{name}, nil, into(&got)); err != nil || got != want {
			t.Errorf("%s is %q, want %q: %v", name, got, want, err)
		}
	}
}
