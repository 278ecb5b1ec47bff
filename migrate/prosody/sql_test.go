package prosody

import (
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"roost/migrate/migratetest"
	"roost/migrate/sqlrows"
)

func sqlFile(name string) sqlrows.Source {
	return sqlrows.Source{Name: name, Open: func() (io.ReadCloser, error) { return os.Open(name) }}
}

func sqlText(s string) sqlrows.Source {
	return sqlrows.Source{Name: "f", Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }}
}

// TestDatabase: what Prosody 0.12 has stored in SQLite is read from a dump.
func TestDatabase(t *testing.T) {
	wantRecorded(t, Database{From: sqlFile("testdata/prosody.sql"), Now: now}, "2026-11-29T11:30:10Z")
}

const (
	values = "INSERT INTO prosody (host, user, store, key, type, value) VALUES\n"
	lists  = "INSERT INTO prosodyarchive (sort_id, host, user, store, key, \"when\", type, value) VALUES\n"
)

// TestDatabaseProblems: what is wrong is reported with its place, and the rest is read.
func TestDatabaseProblems(t *testing.T) {
	f := func(sql string, got []string, want ...string) {
		t.Helper()
		accounts, problems, err := migratetest.Reads(t, Database{From: sqlText(values + "('d','a','accounts','password','string','p');\n" + sql), Now: now})
		if err != nil || len(accounts) != 1 || accounts[0].Password != "p" {
			t.Fatalf("%s: %d accounts, %v", sql, len(accounts), err)
		}
		if all := migratetest.Described(&accounts[0]); !slices.Equal(all, got) || !slices.Equal(problems, want) {
			t.Errorf("%s: %q\n%q", sql, all, problems)
		}
	}
	f(values+`('d','a','roster','b@d','json','{"subscription":"to"'),
('d','a','roster','c@d','json','{"subscription":"up","groups":{"g":true}}'),
('d','a','roster','d@d','string','x'),
('d','a','roster','','json','{"__hash":[false,{"pending":{"e@d":true}}],"pending":{"f@d":true}}');`,
		[]string{"2001-09-09T01:46:40Z <presence type='subscribe' from='e@d' to='a@d'/>", "2001-09-09T01:46:40Z <presence type='subscribe' from='f@d' to='a@d'/>", `c@d "" ["g"] none false false`},
		`f:4: a@d: "b@d" in the store roster: not valid JSON: it ends early`, `f:5 row 2: a@d: contact "c@d": the subscription "up" is none of none, to, from and both`,
		`f:6 row 3: a@d: "d@d" in the store roster is not a table`)
	f(values+`('d','a','private','a:b','xml','<a xmlns="b"/>'),
('d','a','private','','json','[1]'),
('d','a','private','c:d','boolean','yes'),
('d','a','private','e:f','stanza',''),
('d','a','blocklist','','json','{"__hash":[false,{}]}'),
('d','a','blocklist','@','boolean','true'),
('d','a','blocklist','e@d','boolean','true');`,
		[]string{"jabber:iq:private {b}a <a xmlns='b'/>", "urn:xmpp:blocking e@d "},
		`f:6 row 3: a@d: "c:d" in the store private: the value is not a boolean`, `f:7 row 4: a@d: "e:f" in the store private: values of the type "stanza" are not supported`,
		`f:9 row 6: a@d: blocked "@": not an address`)
	f(values+`('d','a','vcard','name','string','vCard'),('d','a','vcard','attr','json','{"xmlns":"vcard-temp"}'),('d','a','vcard','','json','[{"name":"FN","attr":{},"__array":["A"]}]');`,
		[]string{"vcard-temp  <vCard xmlns='vcard-temp'><FN>A</FN></vCard>"})
	f(lists+`(2,'d','a','offline','k2',1e9,'xml','<message from="b@d" id="2"/>'),
(1,'d','a','offline','k1',999999999,'json','{"name":"message","attr":{"from":"b@d"}}'),
(3,'d','a','offline','k3',5,'string','x'),
(5,'d','a','pep_urn:xmpp:vcard4','current',5,'xml','<vcard xmlns="urn:ietf:params:xml:ns:vcard-4.0"><fn><text>New</text></fn></vcard>'),
(4,'d','a','pep_urn:xmpp:vcard4','old',5,'xml','<vcard xmlns="urn:ietf:params:xml:ns:vcard-4.0"><fn><text>Old</text></fn></vcard>'),
(6,'d','a','archive','k',5,'xml',''),
(7,'d','b','archive','k',5,'xml',''),
(8,'d','b','offline','k',5,'xml',''),(9,'d','b','offline','k',5,'xml','');
`+values+"('d','a','offline','1','json','{}'),('d','','cron','x','number','1'),('d','','accounts','x','number','1'),('d','a','lastlog','x','number','1');\nINSERT INTO other (a) VALUES (1);",
		[]string{"2001-09-09T01:46:39Z <message from='b@d' to='a@d'/>", "2001-09-09T01:46:40Z <message from='b@d' to='a@d' id=\"2\"/>", "vcard-temp  <vCard xmlns='vcard-temp'><FN>New</FN></vCard>"},
		`f:9 row 6: the store "archive" of d is not imported`, "f:14: the table other is not imported",
		"f:13: a@d: stored message: it is in the form of a version before 0.10: let a newer version of Prosody convert it first",
		"f:6 row 3: a@d: stored message: it is not an element",
		"f:11 row 8: b@d: there is no such account in the store accounts: what other stores have of it is left out")
}

// TestWrongDatabase: another database is an error.
func TestWrongDatabase(t *testing.T) {
	_, _, err := migratetest.Reads(t, Database{From: sqlText("INSERT INTO users (a) VALUES (1);")})
	if err == nil || !strings.Contains(err.Error(), "f: no rows of a store accounts") {
		t.Error(err)
	}
}

// TestJSON: what Prosody writes is read, and nothing else.
func TestJSON(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		v, err := parseJSON(text)
		got := show(v)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%.100q: %s, want %s", text, got, want)
		}
	}
	f(`"ä\n"`, `"ä\n"`)
	f(`{"a":{"__array":[1,{"b":null}],"c":2.5},"__hash":[false,true,5,"x"],"__array":"x"}`, `{a={1 {b=<nil>} c=2.5} false=true 5="x" __array="x"}`)
	f(`[[],{}]`, `{{} {}}`)
	f(`{"a":1`, "not valid JSON: it ends early")
	f(`[1`, "not valid JSON: it ends early")
	f(``, "not valid JSON: it ends early")
	f(`{"a":x}`, "not valid JSON: a mistake at byte 4")
	f(`{} {}`, "not valid JSON: there is something after its end")
	f(`{"__hash":[1]}`, "not valid JSON: a key in __hash has no value")
	f(`{"__hash":[{},1]}`, "not valid JSON: a key in __hash is a table")
	f(strings.Repeat("[", 300), "not valid JSON: more than 200 tables are nested")
}

// FuzzDatabase: no dump makes the reader panic.
func FuzzDatabase(f *testing.F) {
	b, err := os.ReadFile("testdata/prosody.sql")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(b))
	f.Fuzz(func(t *testing.T, s string) {
		_, _, _ = migratetest.Reads(t, Database{From: sqlText(s), Now: now})
	})
}
