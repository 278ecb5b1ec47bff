package sqlite

import (
	"reflect"
	"strings"
	"testing"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"roost/jid"
	"roost/store"
)

// TestOldKeys: the accounts of a database from before keys had salts of their own keep their
// keys, both with the one salt that they had, and get other ones later.
func TestOldKeys(t *testing.T) {
	ctx := t.Context()
	path, c := oldDatabase(t, 8)
	err := sqlitex.ExecuteScript(c, `
		INSERT INTO account (domain, local, salt, iterations, sha1_stored, sha1_server, sha256_stored, sha256_server, disabled, created, roster_version, roster_floor)
		VALUES ('example.com', 'juliet', 'salt', 4096, 's1', 'v1', 's256', 'v256', 0, 0, 1, 1),
			('example.com', 'nurse', 'salt of nurse', 5000, 's1', 'v1', 's256', 'v256', 0, 0, 1, 1);`, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()

	s := openTest(t, Config{Path: path})
	keys := func(salt string, iterations int, stored, server string) store.Keys {
		return store.Keys{Salt: []byte(salt), Iterations: iterations, StoredKey: []byte(stored), ServerKey: []byte(server)}
	}
	has := func(user string, want store.Credentials) {
		t.Helper()
		a, err := s.Account(ctx, jid.MustParse(user+"@example.com"))
		if err != nil || !reflect.DeepEqual(a.Credentials, want) {
			t.Errorf("%s: %+v, %v; want %+v", user, a.Credentials, err, want)
		}
	}
	has("juliet", store.Credentials{keys("salt", 4096, "s1", "v1"), keys("salt", 4096, "s256", "v256")})
	has("nurse", store.Credentials{keys("salt of nurse", 5000, "s1", "v1"), keys("salt of nurse", 5000, "s256", "v256")})
	shapes, err := s.Shapes(ctx)
	if err != nil || len(shapes) != 2 || shapes[store.Shape{Iterations: [store.NumHashes]int{4096, 4096}, Salts: [store.NumHashes]store.SaltForm{4, 4}, SharedSalt: true}] != 1 {
		t.Errorf("shapes %v, %v", shapes, err)
	}
	if missing, err := s.MissingKeys(ctx, "example.com"); missing != 0 || err != nil {
		t.Errorf("missing: %b, %v", missing, err)
	}
	// Without keys for SHA-256, and not with those of SHA-1 in their place.
	one := store.Credentials{store.SHA1: keys("other", 4097, "t1", "w1")}
	if _, err := s.SetCredentials(ctx, juliet, store.AnyEvent, one, false); err != nil {
		t.Fatal(err)
	}
	has("juliet", one)
	both := store.Credentials{one[store.SHA1], keys("third", 4098, "t256", "w256")}
	if err := s.AddKeys(ctx, juliet, store.AnyEvent, both); err != nil {
		t.Fatal(err)
	}
	has("juliet", both)
}

// TestMissingKeysUsesIndexes: looking for missing keys, and for the accounts that lack them,
// does not read other accounts, and does not sort them.
func TestMissingKeysUsesIndexes(t *testing.T) {
	s := openTest(t, Config{})
	c := <-s.readers
	defer func() { s.readers <- c }()
	f := func(q query, parameters int, wants ...string) {
		t.Helper()
		var plan strings.Builder
		err := sqlitex.ExecuteTransient(c.Conn, "EXPLAIN QUERY PLAN "+queries[q], &sqlitex.ExecOptions{
			Args:       []any{"example.com", "juliet", 10}[:parameters],
			ResultFunc: func(st *sqlite.Stmt) error { plan.WriteString(st.ColumnText(3) + "\n"); return nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(plan.String(), want) || strings.Contains(plan.String(), "TEMP B-TREE") {
				t.Errorf("%s\nis not used by\n%s\n%s", want, queries[q], plan.String())
			}
		}
	}
	f(qMissingKeys, 1, "INDEX account_no_sha1 (domain=?)", "INDEX account_no_sha256 (domain=?)")
	f(qLackSHA1Domain, 3, "INDEX account_no_sha1 (domain=? AND local>?)")
	f(qLackSHA256Domain, 3, "INDEX account_no_sha256 (domain=? AND local>?)")
	f(qLackSHA1All, 3, "INDEX account_no_sha1 ((domain,local)>(?,?))")
	f(qLackSHA256All, 3, "INDEX account_no_sha256 ((domain,local)>(?,?))")
}
