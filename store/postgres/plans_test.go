package postgres

import (
	"regexp"
	"strings"
	"testing"

	"roost/internal/pgtest"
	"roost/store"
)

// TestPlans: looking for the accounts that lack keys, or for messages that were stored for too
// long, reads the rows that are found, in the order of an index, and no others.
func TestPlans(t *testing.T) {
	ctx := t.Context()
	s := openTest(t, pgtest.Shared(t).URL(t), Config{})
	c, err := s.connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(c)
	exec := func(sql string) {
		t.Helper()
		if _, err := c.Exec(ctx, sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	exec(`INSERT INTO account (domain, local, sha1_salt, sha1_iterations, sha1_stored, sha1_server, sha256_salt, sha256_iterations, sha256_stored, sha256_server,
			disabled, created, roster_version, roster_floor, generation, event)
		SELECT 'example.com', 'u' || n, 's', 4096, CASE WHEN n % 100 = 0 THEN '' ELSE 'k' END::bytea, 'k', 's', 4096, CASE WHEN n % 100 = 1 THEN '' ELSE 'k' END::bytea, 'k',
			false, 0, 0, 0, 0, 0 FROM generate_series(1, 2000) AS n;
		INSERT INTO offline (account, sender, size, received, stanza) SELECT a.id, '', 1, n, 'x' FROM account a, generate_series(1, 2) AS n;
		INSERT INTO account_use (account, day) SELECT id, 1 FROM account;
		ANALYZE account; ANALYZE offline; ANALYZE account_use`)
	var expire string
	if err := c.QueryRow(ctx, "SELECT prosrc FROM pg_proc WHERE oid = 'expire_offline'::regproc").Scan(&expire); err != nil {
		t.Fatal(err)
	}
	expire = regexp.MustCompile(`SELECT account, id FROM offline [^)]*`).FindString(expire)
	expire = strings.NewReplacer("oldest", "$1", "most", "$2").Replace(expire)

	f := func(sql, types, values, index string) {
		t.Helper()
		exec("PREPARE p (" + types + ") AS " + sql)
		defer exec("DEALLOCATE p")
		// pgx prepares statements, so the server may plan them with or without their values.
		for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
			exec("SET plan_cache_mode = " + mode)
			rows, err := c.Query(ctx, "EXPLAIN EXECUTE p ("+values+")")
			if err != nil {
				t.Fatal(err)
			}
			var plan strings.Builder
			for rows.Next() {
				var line string
				if err := rows.Scan(&line); err != nil {
					t.Fatal(err)
				}
				plan.WriteString(line + "\n")
			}
			if text := plan.String(); rows.Err() != nil || !strings.Contains(text, "using "+index+" on") || strings.Contains(text, "Seq Scan on account") ||
				strings.Contains(text, "Seq Scan on offline") || strings.Contains(text, "Sort") {
				t.Errorf("%s does not follow %s (%s, %v):\n%s", sql, index, mode, rows.Err(), text)
			}
		}
	}
	for h, index := range map[store.Hash]string{store.SHA1: "account_no_sha1", store.SHA256: "account_no_sha256"} {
		f(sqlList+sqlLacking[h]+sqlListAll, "text, text, integer", "'example.com', 'u5', 10", index)
		f(sqlList+sqlLacking[h]+sqlListDomain, "text, text, integer", "'example.com', 'u5', 10", index)
	}
	f(sqlList+"true"+sqlListDomain, "text, text, integer", "'example.com', 'u5', 10", "account_domain_local_key")
	f(expire, "bigint, integer", "2, 10", "offline_received")
}
