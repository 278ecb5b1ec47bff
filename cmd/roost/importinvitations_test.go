package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"roost/internal/cmdtest"
	"roost/migrate"
	"roost/store"
)

// TestInvitationsMove: invitations that can still be used are exported and imported, with the
// same bytes; others are reported.
func TestInvitationsMove(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	randomStore(t, dir, 4)
	s := cmdtest.OpenStore(t, dir)
	now := time.Now().UTC().Truncate(time.Second)
	invitation := func(n int, change func(*store.Invitation)) {
		t.Helper()
		i := store.Invitation{ID: fmt.Sprintf("%032x", n), Domain: "a.example", Actor: "uid=0", Uses: 3, Created: now.Add(-time.Hour), Until: now.Add(time.Hour)}
		change(&i)
		if err := s.CreateInvitation(t.Context(), i, 100); err != nil {
			t.Fatal(err)
		}
	}
	invitation(1, func(*store.Invitation) {})
	invitation(2, func(i *store.Invitation) { i.Inviter, i.Contact = "user0000@a.example", true })
	invitation(3, func(i *store.Invitation) { i.Localpart, i.Uses = "guest", 1 })
	invitation(4, func(i *store.Invitation) { i.Uses = 0 })
	invitation(5, func(i *store.Invitation) { i.Until = now.Add(-time.Minute) })
	invitation(6, func(i *store.Invitation) { i.Domain = "b.example" })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	f := func(code int, want string, args ...string) string {
		t.Helper()
		got, stdout, stderr := cmdtest.Result(t, nil, args...)
		if got != code || !strings.Contains(stdout+stderr, want) {
			t.Errorf("%q: exit code %d, %s%s; want %d, %q", args, got, stdout, stderr, code, want)
		}
		return stdout
	}
	first, second := filepath.Join(other, "first"), filepath.Join(other, "second")
	f(0, "exported 4 accounts", "export", first, "--data", dir)
	if text := contentOf(t, first); strings.Count(text, `"until":`) != 4 || !strings.HasSuffix(text, "]}\n") {
		t.Errorf("%s", text)
	}
	if one := f(0, "", "export", "-", "--data", dir, "--domain", "b.example"); strings.Count(one, `"until":`) != 1 {
		t.Errorf("the export of one domain has other invitations: %s", one)
	}
	f(0, "dry run: would import 4 accounts with ", "import", first, "--create", "--data", other, "--dry-run")
	f(0, ", 4 invitations; skipped 0 existing", "import", first, "--data", other)
	f(0, "imported 0 accounts; skipped 4 existing", "import", first, "--data", other)
	f(0, "exported 4 accounts", "export", second, "--data", other)
	if contentOf(t, first) != contentOf(t, second) {
		t.Errorf("%s\nbecame\n%s", contentOf(t, first), contentOf(t, second))
	}

	text := `{"format":"roost accounts","version":1}` + "\n" + `{"accounts":0,"invitations":[`
	times := fmt.Sprintf(`"uses":1,"created":%q,"until":%q}`, now.Format(time.RFC3339), now.Add(time.Hour).Format(time.RFC3339))
	for i, what := range []string{
		`"domain":"a.example","inviter":"gone@a.example",`, `"domain":"a.example","name":"user0000",`, `"domain":"c.example",`, `"domain":"a.example","inviter":"a.example",`,
		`"domain":"a.example","name":"@",`, `"domain":"a b",`,
	} {
		text += fmt.Sprintf(`{"id":"%032x",%s%s,`, 16+i, what, times)
	}
	text += `{"id":"x","domain":"a.example",` + times + `,{"id":"` + strings.Repeat("f", 32) + `","domain":"a.example","uses":0,"created":"2026-01-01T00:00:00Z","until":"2026-01-02T00:00:00Z"},` +
		`{"id":"` + strings.Repeat("e", 32) + `","domain":"a.example","uses":1,"created":"2026-01-03T00:00:00Z","until":"2026-01-02T00:00:00Z"}]}` + "\n"
	if err := os.WriteFile(second, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(other, "domains"), []byte("a.example\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := cmdtest.Result(t, nil, "import", second, "--data", other)
	for _, want := range []string{
		"10: the account of who has made it, gone@a.example, does not exist", "11: the name that it reserves, user0000@a.example, is that of an account", "12: its domain is not served",
		`13: "a.example" is not the address of an account`, `14: "@" is not the name of an account`, `15: "a b" is not a domain`,
		`invitation x: the ID "x" is not one of roost`, "ff: it cannot have 0 uses", "ee: its times are not valid",
	} {
		if code != 0 || !strings.Contains(stderr, want) {
			t.Errorf("%d, %s\n%s; want %s", code, stdout, stderr, want)
		}
	}
	if lines := strings.Count(stderr, "\n"); lines != 9 || !strings.Contains(stdout, "left out 9 parts") {
		t.Errorf("%s%s", stdout, stderr)
	}
}

// TestTooManyInvitations: a file has a limited number of invitations.
func TestTooManyInvitations(t *testing.T) {
	w, err := migrate.NewLineWriter(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	i := store.Invitation{ID: "1"}
	n := 0
	for w.Invite(&i) {
		n++
	}
	if n != migrate.MaxInvitations {
		t.Errorf("%d invitations", n)
	}
}
