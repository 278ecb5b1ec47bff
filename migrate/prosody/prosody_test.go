package prosody

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"roost/migrate"
	"roost/migrate/migratetest"
	"roost/store"
)

var now = time.Unix(1e9, 0).UTC()

// wantRecorded checks the accounts that were recorded of Prosody 0.12.
func wantRecorded(t *testing.T, from migrate.Source, stamp string) {
	t.Helper()
	accounts, problems, err := migratetest.Reads(t, from)
	if err != nil || problems != nil || len(accounts) != 3 {
		t.Fatalf("%d accounts, %q, %v", len(accounts), problems, err)
	}
	slices.SortFunc(accounts, func(a, b migrate.Account) int { return strings.Compare(a.JID.String(), b.JID.String()) })
	for i, password := range []string{"secret 1", "secret 3", "secret 2"} {
		if c := &accounts[i].Credentials; c.Hashes() != store.SetOf(store.SHA1) || !c.Verify(password) {
			t.Errorf("%v cannot log in", accounts[i].JID)
		}
	}
	want := []string{
		stamp + " <message %s><body>Where &amp; are &quot;you&quot;? ä</body><active xmlns='http://jabber.org/protocol/chatstates'/></message>",
		stamp + " <message %s><body>second</body></message>",
		"jabber:iq:private {exodus:prefs}exodus <exodus xmlns='exodus:prefs'><defaultnick a='1'>Jul &amp; x</defaultnick></exodus>",
		"jabber:iq:private {storage:bookmarks}storage <storage xmlns='storage:bookmarks'><conference %s><nick>J</nick></conference></storage>",
		`mercutio@localhost "" [] none true false`,
		`nurse@example.org "Nurse" [] none false false`,
		`romeo@localhost "Romeo & <Co> ä\"" ["Friends" "Verona"] both false true`,
		"urn:xmpp:blocking spam.example ",
		"urn:xmpp:blocking tybalt@example.org ",
		"vcard-temp  <vCard xmlns='vcard-temp'><FN>Juliet Capulet</FN><N><FAMILY>C</FAMILY></N></vCard>",
	}
	got := migratetest.Described(&accounts[0])
	for i := range want { // attributes are in no order
		before, after, _ := strings.Cut(want[i], "%s")
		if i >= len(got) || !strings.HasPrefix(got[i], before) || !strings.HasSuffix(got[i], after) {
			t.Errorf("%q, want %q", got[min(i, len(got)-1)], want[i])
		}
	}
	if got := migratetest.Described(&accounts[1]); len(got) != 1 || !strings.HasPrefix(got[0], "2001-09-09T01:46:40Z <presence ") || !strings.Contains(got[0], " from='juliet@localhost'") {
		t.Errorf("%q", got)
	}
}

func TestDirectory(t *testing.T) {
	wantRecorded(t, Directory{Path: "testdata/data", Now: now}, "2026-11-29T11:29:35Z")
}

// TestDirectoryProblems: what is wrong is reported with its file and line, and the rest is
// read. Names of files are decoded.
func TestDirectoryProblems(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := migratetest.Reads(t, Directory{Path: dir}); err == nil || !strings.Contains(err.Error(), "no directory of a host") {
		t.Error(err)
	}
	host := "a%2eexample/"
	put(host+"accounts/a%2db.dat", `return { password = 'p', created = 1e9, disabled = true }`)
	put(host+"roster/a%2db.dat", "return {\n\t[\"pending\"] = { [\"c@c.example\"] = true };\n\t[\"d@d.example\"] = { subscription = \"up\" };\n};\n")
	put(host+"private/a%2db.dat", "return {\n\"x")
	put(host+"vcard/a%2db.dat", `return { name = "vCard"; attr = { xmlns = "vcard-temp" }; { name = "FN"; attr = { ["urn:x`+"\x01"+`y"] = "z" }; "A" }; }`)
	put(host+"offline/a%2db.list", "item({ name = \"message\", attr = { from = \"c@c.example\", stamp_legacy = \"x\" }, when = 1e9 });\nitem({ name = \"message\" });\nitem 5")
	put(host+"accounts/none.dat", "return {};")
	put(host+"accounts/bad.dat", `return { stored_key = "xyz", server_key = "xyz" }`)
	put(host+"accounts/a b.dat", `return {}`)
	put(host+"archive/a.list", "")
	put(host+"accounts/other", "")
	accounts, problems, err := migratetest.Reads(t, Directory{Path: dir, Now: now})
	if err != nil || len(accounts) != 1 {
		t.Fatalf("%d accounts, %v", len(accounts), err)
	}
	if a := accounts[0]; a.JID.String() != "a-b@a.example" || a.Password != "p" || !a.Disabled || a.Created.Unix() != 1e9 {
		t.Errorf("%+v", a)
	}
	want := []string{
		"2001-09-09T01:46:40Z <message from='c@c.example' to='a-b@a.example'/>",
		"2001-09-09T01:46:40Z <presence type='subscribe' from='c@c.example' to='a-b@a.example'/>",
		`d@d.example "" [] none false false`,
		"vcard-temp  <vCard xmlns='vcard-temp'><FN xmlns:a1='urn:x' a1:y='z'>A</FN></vCard>",
	}
	if got := migratetest.Described(&accounts[0]); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	for i := range problems {
		problems[i] = strings.TrimPrefix(problems[i], dir+"/"+host)
	}
	slices.Sort(problems)
	want = []string{
		`accounts/a b.dat: not the address of an account: "a b@a.example" (jid: the localpart is empty, too long, or has a character that is not allowed)`,
		"accounts/bad.dat: bad@a.example: it has neither keys nor a password",
		"accounts/bad.dat:1: bad@a.example: its keys are not hexadecimal",
		"accounts/none.dat: none@a.example: it has neither keys nor a password",
		`archive: the store "archive" is not imported`,
		"offline/a%2db.list:2: a-b@a.example: stored message: it has no valid sender",
		`offline/a%2db.list:3: a-b@a.example: not a file of Prosody: '(' is missing`,
		"private/a%2db.dat:2: a-b@a.example: not a file of Prosody: a string does not end",
		`roster/a%2db.dat:1: a-b@a.example: contact "d@d.example": the subscription "up" is none of none, to, from and both`,
	}
	if !slices.Equal(problems, want) {
		t.Errorf("%s\nwant\n%s", strings.Join(problems, "\n"), strings.Join(want, "\n"))
	}
}

// TestLua: what Prosody writes is read, and nothing else.
func TestLua(t *testing.T) {
	f := func(src, want string) {
		t.Helper()
		var got []string
		err := parse([]byte(src), func(line int, t *table) { got = append(got, fmt.Sprint(line, ":", show(t))) })
		if err != nil {
			got = append(got, err.Error())
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%q: %s, want %s", src, s, want)
		}
	}
	f("", "")
	f("return {};\n", "1:{}")
	f("\nreturn { 1; -2.5, 0x10, \"a\\\\\\\"\\195\\164\\n\\\n\\0\"; { true, false, nil }, a_1 = 'x', [\"b\"] = 2; [false] = 3; [1] = 4 }", `2:{1 -2.5 16 "a\\\"ä\n\n\x00" {true false <nil>} 4 a_1="x" b=2 false=3}`)
	f("item({ \"a\" });\nitem({});", `1:{"a"} 2:{}`)
	f("return", "1: the file ends early")
	f("return 5", "1: not a table")
	f("returned {}", "1: neither return nor item")
	f("os.exit()", "1: neither return nor item")
	f("return { os }", "1: neither a constant nor a table")
	f("return { f() }", "1: neither a constant nor a table")
	f("return { 1 2 }", "1: '}' is missing")
	f("return { [1 = 2 }", "1: ']' is missing")
	f("return { [{}] = 2 }", "1: a table is the key of a field")
	f("return { \"\\300\" }", "1: a string has an escape sequence that is too large")
	f("return { \"\\", "1: a string does not end")
	f("\nreturn {\n 1;", "3: the file ends early")
	f("return "+strings.Repeat("{", 300), "1: more than 200 tables are nested")
}

// show returns a table as text.
func show(v any) string {
	t, ok := v.(*table)
	if s, isText := v.(string); isText {
		return fmt.Sprintf("%q", s)
	}
	if !ok {
		return fmt.Sprint(v)
	}
	var parts []string
	for _, v := range t.list {
		parts = append(parts, show(v))
	}
	for _, p := range t.pairs {
		parts = append(parts, fmt.Sprint(p.key)+"="+show(p.value))
	}
	return "{" + strings.Join(parts, " ") + "}"
}

// TestVCard4: the fields of a vCard of the newer kind become those of the older kind.
func TestVCard4(t *testing.T) {
	var problems []string
	b := migrate.NewBuilder(func(p migrate.Problem) { problems = append(problems, p.Text) })
	b.Begin("", "a", "a.example")
	vcard4(b, "", migrate.XML{Text: []byte("<item xmlns='http://jabber.org/protocol/pubsub'><vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'><fn><text>A &amp; B</text></fn><nickname><text/></nickname>" +
		"<email><parameters><type><text>work</text></type></parameters><text>a@b</text></email><tel><uri>tel:5</uri></tel><adr><street>S</street></adr><org><text>O</text></org>" +
		"<impp><uri>xmpp:a@a.example</uri></impp><bday><date>2000-01-01</date></bday><x xmlns='y'/></vcard></item>")})
	want := "<vCard xmlns='vcard-temp'><FN>A &amp; B</FN><EMAIL><INTERNET/><WORK/><USERID>a@b</USERID></EMAIL><TEL><NUMBER>5</NUMBER></TEL><ADR><STREET>S</STREET></ADR>" +
		"<ORG><ORGNAME>O</ORGNAME></ORG><JABBERID>a@a.example</JABBERID><BDAY>2000-01-01</BDAY></vCard>"
	if problems != nil || len(b.Blobs) != 1 || string(b.Blobs[0].Value) != want {
		t.Errorf("%q, %s", problems, b.Blobs)
	}
	vcard4(b, "", migrate.XML{Text: []byte("<vcard/>")})
	if !slices.Equal(problems, []string{"vCard: the element is another one"}) {
		t.Errorf("%q", problems)
	}
}

// FuzzLua: no file makes the parser panic.
func FuzzLua(f *testing.F) {
	f.Add([]byte("return { [\"a\"] = { 1; \"x\\195\" }; [false] = true };"))
	f.Add([]byte("item({ [\"name\"] = \"message\"; [\"attr\"] = {}; \"x\" });\nitem({});\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		b := migrate.NewBuilder(func(migrate.Problem) {})
		_ = parse(src, func(_ int, t *table) {
			b.Begin("", "a", "a.example")
			account(b, "", t)
			roster(b, "", t, now)
			private(b, "", t)
			blocklist(b, "", t)
			message(b, "", t, now)
		})
	})
}
