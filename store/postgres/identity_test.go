package postgres

import (
	"strings"
	"testing"

	"roost/internal/pgtest"
)

// TestIdentity: a store has the same identity by each of its URLs, and after a restart of the
// server. Another schema, another database, and another server have others.
func TestIdentity(t *testing.T) {
	own := pgtest.New(t)
	url := own.URL(t)
	identity := func(url string) string {
		t.Helper()
		text, err := location{url}.Identity(t.Context())
		if err != nil || text == "" {
			t.Fatalf("%q, %v", text, err)
		}
		return text
	}
	first := identity(url)
	if got := identity(url + "&application_name=roost"); got != first {
		t.Errorf("by another URL %q, want %q", got, first)
	}
	for name, other := range map[string]string{"schema": own.URL(t), "server": pgtest.Shared(t).URL(t)} {
		if got := identity(other); got == first {
			t.Errorf("another %s has the same identity, %q", name, got)
		}
	}
	own.Stop(t, false)
	own.Start(t)
	if got := identity(url); got != first {
		t.Errorf("after a restart %q, want %q", got, first)
	}
	own.Stop(t, false)
	if text, err := (location{url}).Identity(t.Context()); err == nil {
		t.Errorf("without a server: %q", text)
	}
}

// TestIdentityDenied: a user who may not read the system identifier does not know the identity.
func TestIdentityDenied(t *testing.T) {
	own := pgtest.New(t)
	url := own.URL(t)
	own.Exec(t, "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
	defer own.Exec(t, "GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC")
	own.Exec(t, "DROP ROLE IF EXISTS plain")
	own.Exec(t, "CREATE ROLE plain LOGIN")
	url = strings.Replace(url, "://roost@", "://plain@", 1)
	if text, err := (location{url}).Identity(t.Context()); text != "" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}
