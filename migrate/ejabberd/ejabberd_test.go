package ejabberd

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"roost/migrate/migratetest"
	"roost/migrate/sqlrows"
	"roost/store"
)

var now = time.Unix(1e9, 0).UTC()

func file(name string) sqlrows.Source {
	return sqlrows.Source{Name: name, Open: func() (io.ReadCloser, error) { return os.Open(name) }}
}

func text(s string) sqlrows.Source {
	return sqlrows.Source{Name: "f", Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }}
}

// TestRecorded: what ejabberd 23.01 has stored in SQLite, and its newer schema in PostgreSQL
// and MariaDB, are read from dumps.
func TestRecorded(t *testing.T) {
	for name, d := range map[string]Database{
		"testdata/ejabberd.sql": {Domain: "localhost"},
		"testdata/postgres.sql": {},
		"testdata/mariadb.sql":  {Domain: "localhost"},
	} {
		t.Run(name, func(t *testing.T) {
			d.From, d.Now = file(name), now
			accounts, problems, err := migratetest.Reads(t, d)
			if err != nil || len(accounts) != 3 {
				t.Fatalf("%d accounts, %q, %v", len(accounts), problems, err)
			}
			if name == "testdata/postgres.sql" {
				if len(problems) != 1 || !strings.HasSuffix(problems[0], ": the table archive is not imported") {
					t.Errorf("%q", problems)
				}
			} else if problems != nil {
				t.Errorf("%q", problems)
			}
			for i, want := range []struct{ jid, password string }{{"juliet@localhost", "secret 1"}, {"mercutio@localhost", "secret 3"}, {"romeo@localhost", "secret 2"}} {
				if a := &accounts[i]; a.JID.String() != want.jid || a.Credentials.Hashes() != store.SetOf(store.SHA1) || !a.Credentials.Verify(want.password) || a.Created.Format(time.DateOnly) != "2026-11-29" {
					t.Errorf("%v cannot log in as %v, created %v", a.JID, want, a.Created)
				}
			}
			const stanza = "<message from='romeo@localhost/r' xml:lang='en' to='juliet@localhost' type='chat' id='%s'>%s</message>"
			want := []string{
				"2026-11-29T11:31:03Z <presence type='subscribe' from='romeo@localhost' to='juliet@localhost'/>",
				"2026-11-29T11:31:05Z Good night",
				"2026-11-29T11:31:07.069Z " + fmt.Sprintf(stanza, "m1", "<active xmlns='http://jabber.org/protocol/chatstates'/><body>Where &amp; are &quot;you&quot;? ä</body>"),
				"2026-11-29T11:31:07.099Z " + fmt.Sprintf(stanza, "m2", "<body>second</body>"),
				"jabber:iq:private {exodus:prefs}exodus <exodus xmlns='exodus:prefs'><defaultnick a='1'>Jul &amp; x</defaultnick></exodus>",
				"jabber:iq:private {storage:bookmarks}storage <storage xmlns='storage:bookmarks'><conference jid='room@conf.example' autojoin='1'><nick>J</nick></conference></storage>",
				`mercutio@localhost "" [] none true false`,
				`nurse@example.org "Nurse" [] none false false`,
				`romeo@localhost "Romeo & <Co> ä\"" ["Friends" "Verona"] to false false`,
				"urn:xmpp:blocking spam.example ", "urn:xmpp:blocking tybalt@example.org ",
				"vcard-temp  <vCard xmlns='vcard-temp'><N><FAMILY>C</FAMILY></N><FN>Juliet Capulet</FN></vCard>",
			}
			if got := migratetest.Described(&accounts[0]); !slices.Equal(got, want) {
				t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if name == "testdata/mariadb.sql" && (len(accounts[2].Messages) != 1 || !strings.HasSuffix(string(accounts[2].Messages[0].Stanza), "<body>a\\b\nc'd</body></message>")) {
				t.Errorf("%+v", accounts[2].Messages)
			}
			request := "2026-11-29T11:31:04Z <presence type='subscribe' from='juliet@localhost' to='mercutio@localhost'/>"
			if got := migratetest.Described(&accounts[1]); len(got) != 2 || got[1] != request {
				t.Errorf("%q, want %q", got, request)
			}
		})
	}
}

const users = "INSERT INTO users (username, password, salt, serverkey, iterationcount, type) VALUES "

// key is a key of n bytes in base64.
func key(n int) string {
	return strings.Repeat("A", (n+2)/3*4-(3-n%3)%3) + strings.Repeat("=", (3-n%3)%3)
}

// TestKeys: keys for each hash in both schemas, and passwords.
func TestKeys(t *testing.T) {
	f := func(values string, password string, hashes store.HashSet, want ...string) {
		t.Helper()
		accounts, problems, err := migratetest.Reads(t, Database{From: text(users + values + ";"), Domain: "d"})
		var got store.HashSet
		if len(accounts) == 1 {
			got = accounts[0].Credentials.Hashes()
		}
		if err != nil || got != hashes || len(accounts) == 1 && accounts[0].Password != password || !slices.Equal(problems, want) {
			t.Errorf("%s: %v, %v, %q, %v", values, accounts, got, problems, err)
		}
	}
	scram := func(prefix string, size int, kind string) string {
		return fmt.Sprintf("('a', '%s%s', 'c2FsdHNhbHQ=', '%s', 4096, %s)", prefix, key(size), key(size), kind)
	}
	one, both := store.SetOf(store.SHA1), store.SetOf(store.SHA1, store.SHA256)
	f("('a', 'p', '', '', 0, 1)", "p", 0)
	f("('a', 'p', '', '', 0, NULL)", "p", 0)
	f(scram("", 20, "0"), "", one)
	f(scram("", 20, "2"), "", one)
	f(scram("sha256:", 32, "0"), "", store.SetOf(store.SHA256))
	f(scram("", 32, "3"), "", store.SetOf(store.SHA256))
	f(scram("", 20, "2")+","+scram("", 32, "3")+",('a', 'p', '', '', 0, 1)", "", both)
	f(scram("", 20, "2")+","+scram("", 64, "4"), "", one, `f:1 row 2: a@d: keys for "SCRAM-SHA-512" are not supported`)
	f(scram("", 20, "2")+","+scram("", 20, "0"), "", one, "f:1 row 2: a@d: the account is there twice")
	f("('a', '', '', '', 0, 1)", "", 0, "f:1: a@d: it has neither keys nor a password")
	f("('a', '!', 's', '!', 4096, 2)", "", 0, "f:1: a@d: keys for SCRAM-SHA-1: the salt is not base64", "f:1: a@d: it has neither keys nor a password")
	f("('a', '!', 's', '!', 'x', 2)", "", 0, "f:1: a@d: keys for SCRAM-SHA-1: the iteration count is not a number", "f:1: a@d: it has neither keys nor a password")
	f("('', 'p', '', '', 0, 1)", "", 0, `f:1: not the address of an account: "@d" (it has no name before the @)`)
}

// TestProblems: what is wrong is reported with its place, and the rest is read.
func TestProblems(t *testing.T) {
	f := func(sql string, got []string, want ...string) {
		t.Helper()
		accounts, problems, err := migratetest.Reads(t, Database{From: text(users + "('a', 'p', '', '', 0, 1);\n" + sql), Domain: "d", Now: now})
		if err != nil || len(accounts) != 1 {
			t.Fatalf("%s: %d accounts, %v", sql, len(accounts), err)
		}
		if all := migratetest.Described(&accounts[0]); !slices.Equal(all, got) || !slices.Equal(problems, want) {
			t.Errorf("%s: %q\n%q", sql, all, problems)
		}
	}
	const roster = "INSERT INTO rosterusers (username, jid, nick, subscription, ask, askmessage, approved) VALUES "
	f(roster+"('a', 'b@d', 'B', 'X', 'N', '', 't');", []string{`b@d "B" [] none false true`}, `f:2: a@d: contact "b@d": the subscription "X" is none of N, T, F and B`)
	f(roster+"('a', 'b@d', '', 'T', 'B', '<&', 'f');", []string{
		`2001-09-09T01:46:40Z <presence from='b@d' to='a@d' type='subscribe'><status>&lt;&amp;</status></presence>`, `b@d "" [] to true false`,
	})
	f(roster+"('a', 'b@d', '', 'F', 'O', '', 0), ('a', 'c@d', '', 'N', 'I', '', 0), ('a', 'd@@', '', 'B', 'N', '', 0);", []string{
		`2001-09-09T01:46:40Z <presence type='subscribe' from='c@d' to='a@d'/>`, `b@d "" [] from true false`,
	}, `f:2 row 3: a@d: contact "d@@": not an address`)
	f("INSERT INTO last (username, seconds, state) VALUES ('a', 'x', ''), ('a', 5, 's'), ('a', 6, 's');", []string{"1970-01-01T00:00:05Z s"},
		"f:2: a@d: the time when it was last online is not a number of seconds", "f:2 row 3: a@d: the time when it was last online is there twice")
	f("INSERT INTO spool (username, xml, seq) VALUES ('a', '<message from=\"b@d\" id=\"2\"/>', 10), ('a', '<message from=\"b@d\" id=\"1\"/>', 9), ('a', '<message', 8), ('b', '<message/>', 1), ('b', '<message/>', 2);",
		[]string{"2001-09-09T01:46:40Z <message from='b@d' to='a@d' id=\"1\"/>", "2001-09-09T01:46:40Z <message from='b@d' to='a@d' id=\"2\"/>"},
		"f:2 row 3: a@d: stored message: it is not a complete element", "f:2 row 4: b@d: there is no such account in the table users: what other tables have of it is left out")
	f("INSERT INTO privacy_list (username, name, id) VALUES ('a', 'x', 1), ('a', 'y', 2);\nINSERT INTO privacy_default_list (username, name) VALUES ('a', 'y');\n"+
		"INSERT INTO privacy_list_data (id, t, value, action, match_all, match_iq, match_message, match_presence_in, match_presence_out) VALUES (1, 'j', 'v@d', 'd', 't', 'f', 'f', 'f', 'f'),\n"+
		"(2, 'j', 'w@d', 'd', 't', 'f', 'f', 'f', 'f'), (2, 'j', 'x@d', 'd', 'f', 't', 't', 't', 't'), (2, 'j', 'y@d', 'd', 'f', 't', 't', 't', 'f'), (2, 'j', 'z@d', 'a', 't', 't', 't', 't', 't'), (2, 'g', 'g', 'd', 't', 't', 't', 't', 't');",
		[]string{"urn:xmpp:blocking w@d ", "urn:xmpp:blocking x@d "}, `f:2: a@d: the privacy list "x" is not imported: it is not the default`,
		"f:5 row 4: a@d: a rule of a privacy list is not imported: only those are that deny an address everything",
		"f:5 row 5: a@d: a rule of a privacy list is not imported: only those are that deny an address everything",
		"f:5 row 6: a@d: a rule of a privacy list is not imported: only those are that deny an address everything")
	f("INSERT INTO muc_room (name) VALUES ('r');\nINSERT INTO sm (usec) VALUES (1);\nINSERT INTO vcard (username) VALUES ('a', 'b');", nil,
		"f:2: the table muc_room is not imported", "f:4: a row of the table vcard has 2 values for 1 columns")
}

// created is a database with an account that was created at a time.
func created(at string) sqlrows.Source {
	return text("INSERT INTO users (username, password, created_at) VALUES ('a', 'p', '" + at + "');")
}

// TestCreated: times are read in each form in which databases write them.
func TestCreated(t *testing.T) {
	for text, want := range map[string]string{
		"2026-01-02 03:04:05": "2026-01-02T03:04:05Z", "2026-01-02 03:04:05.678": "2026-01-02T03:04:05Z", "2026-01-02T03:04:05": "2026-01-02T03:04:05Z",
		"2026-01-02 03:04:05+02": "2026-01-02T01:04:05Z", "2026-01-02 03:04:05.6+05:30": "2026-01-01T21:34:05Z", "02/01/2026 03:04:05": "0001-01-01T00:00:00Z",
	} {
		accounts, _, err := migratetest.Reads(t, Database{From: created(text), Domain: "d", Now: now})
		if err != nil || len(accounts) != 1 || accounts[0].Created.UTC().Format(time.RFC3339) != want {
			t.Errorf("%s: %+v, %v; want %s", text, accounts, err, want)
		}
	}
}

// TestMessageOrder: stored messages are in the order of their numbers, whatever that of the
// rows is.
func TestMessageOrder(t *testing.T) {
	accounts, _, err := migratetest.Reads(t, Database{From: text(users + "('a', 'p', '', '', 0, 1);\nINSERT INTO spool (username, xml, seq) VALUES " +
		"('a', '<message from=\"b@d\"><body>2</body></message>', 10), ('a', '<message from=\"b@d\"><body>1</body></message>', 9);"), Domain: "d", Now: now})
	if err != nil || len(accounts) != 1 || len(accounts[0].Messages) != 2 || !strings.Contains(string(accounts[0].Messages[0].Stanza), "<body>1</body>") {
		t.Errorf("%+v, %v", accounts, err)
	}
}

// TestWrongDatabases: another database, or one with an ambiguous domain, is an error.
func TestWrongDatabases(t *testing.T) {
	f := func(sql, domain, want string) {
		t.Helper()
		if _, _, err := migratetest.Reads(t, Database{From: text(sql), Domain: domain}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", sql, err)
		}
	}
	f(users+"('a', 'p', '', '', 0, 1);", "", "f:1: the database does not have the domain of its accounts: name it with --domain")
	f("INSERT INTO users (username, server_host) VALUES ('a', 'd')", "d", "f:1: the database has the domains of its accounts: leave out --domain")
	f("INSERT INTO prosody (host) VALUES ('a');", "d", "f: no rows of a table users: it is not a database of ejabberd")
}

// FuzzDatabase: no dump makes the reader panic.
func FuzzDatabase(f *testing.F) {
	for _, name := range []string{"testdata/ejabberd.sql", "testdata/postgres.sql", "testdata/mariadb.sql"} {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, _, _ = migratetest.Reads(t, Database{From: text(s), Domain: "d", Now: now})
	})
}
