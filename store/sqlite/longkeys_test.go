package sqlite

import (
	"fmt"
	"strings"
	"testing"

	"zombiezen.com/go/sqlite/sqlitex"

	"roost/jid"
	"roost/store"
)

// TestOldLongKeys: a database from before addresses had a limit loses those that exceed it, so that it can
// be copied to PostgreSQL, and clients get the complete rosters.
func TestOldLongKeys(t *testing.T) {
	ctx := t.Context()
	path, c := oldDatabase(t, 15)
	prefix := strings.Repeat("\u00fc", 511) + "@" + strings.Repeat("domain.", 100) + "example/"
	fits := prefix + strings.Repeat("r", store.MaxKey-len(prefix))
	text := `INSERT INTO account (id, domain, local, sha1_salt, sha1_iterations, sha1_stored, sha1_server, sha256_stored, sha256_server, created, roster_version, roster_floor)
		VALUES (1, 'example.com', 'juliet', '', 1, '', '', '', '', 0, 10, 5), (2, 'example.com', 'nurse', '', 1, '', '', '', '', 0, 10, 5);`
	for i, contact := range []string{fits, fits + "r"} {
		text += fmt.Sprintf(`INSERT INTO roster_item VALUES (%[1]d, '%[2]s', '', '', 0, 7); INSERT INTO roster_removed VALUES (%[1]d, '%[2]s', 8);
			INSERT INTO blob (account, kind, key, value) VALUES (%[1]d, '%[3]s', '%[2]s', '');`, i+1, contact, store.BlockedKind)
	}
	if err := sqlitex.ExecuteScript(c, text, nil); err != nil {
		t.Fatal(err)
	}
	c.Close()

	s := openTest(t, Config{Path: path})
	for _, test := range []struct {
		owner   string
		left    int
		version int64
		known   bool // changes since the version before
	}{{"juliet", 1, 10, true}, {"nurse", 0, 11, false}} {
		owner := jid.MustParse(test.owner + "@example.com")
		r, err := s.Roster(ctx, owner)
		if err != nil || len(r.Items) != test.left || len(r.Blocked) != test.left || r.Version != test.version {
			t.Errorf("%s: version %d, %d items, %d blocked addresses, %v; want version %d and %d", test.owner, r.Version, len(r.Items), len(r.Blocked), err, test.version, test.left)
		}
		changes, _, ok, err := s.RosterChanges(ctx, owner, 6)
		if err != nil || ok != test.known || len(changes) != 2*test.left {
			t.Errorf("%s: %d changes, known %v, %v", test.owner, len(changes), ok, err)
		}
	}
}
