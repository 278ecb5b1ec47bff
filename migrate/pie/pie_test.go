package pie

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"roost/migrate"
	"roost/migrate/migratetest"
	"roost/store"
	"roost/store/memstore"
)

// source returns a source of files in memory. The first is a.xml.
func source(files ...string) Source {
	all := fstest.MapFS{}
	for i, text := range files {
		all[fmt.Sprintf("%c.xml", 'a'+i)] = &fstest.MapFile{Data: []byte(text)}
	}
	return Source{Name: "a.xml", Now: time.Unix(1e9, 0).UTC(), Open: func(name string) (io.ReadCloser, error) { return fs.FS(all).Open(name) }}
}

// written returns accounts as a file, as a store has them.
func written(t testing.TB, all []store.AccountData) string {
	t.Helper()
	s, err := memstore.New().Open(t.Context(), store.Options{})
	if err == nil {
		_, err = s.CreateAccounts(t.Context(), all)
	}
	var out bytes.Buffer
	if err == nil {
		var w *Writer
		if w, err = NewWriter(&out); err == nil {
			err = errors.Join(migrate.Export(t.Context(), s, "", w.Write), w.Close())
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func data(accounts []migrate.Account) (all []store.AccountData) {
	for i := range accounts {
		all = append(all, accounts[i].AccountData)
	}
	return all
}

// TestRoundTrip: what is written and read is written again with the same bytes.
func TestRoundTrip(t *testing.T) {
	for seed := range uint64(30) {
		all := migratetest.Accounts(t, rand.New(rand.NewPCG(seed, 2)), 20)
		first := written(t, all)
		accounts, problems, err := migratetest.Reads(t, source(first))
		if err != nil || problems != nil || len(accounts) != len(all) {
			t.Fatalf("seed %d: %d accounts, %q, %v:\n%s", seed, len(accounts), problems, err, first)
		}
		if second := written(t, data(accounts)); second != first {
			a, b := strings.Split(first, "\n"), strings.Split(second, "\n")
			for i := range a {
				if i >= len(b) || a[i] != b[i] {
					same, b := 0, b[min(i, len(b)-1)]
					for same < min(len(a[i]), len(b)) && a[i][same] == b[same] {
						same++
					}
					t.Fatalf("seed %d, line %d:\n…%s\nbecame\n…%s", seed, i+1, a[i][max(0, same-40):], b[max(0, same-40):])
				}
			}
		}
	}
}

// TestEjabberd reads what ejabberd 23.01 has exported: keys that are encoded twice, delay
// stamps of its own, and files that include each other.
func TestEjabberd(t *testing.T) {
	from := Source{Name: "testdata/ejabberd/server.xml", Open: func(name string) (io.ReadCloser, error) { return os.Open(name) }}
	accounts, problems, err := migratetest.Reads(t, from)
	if err != nil || problems != nil || len(accounts) != 3 {
		t.Fatalf("%d accounts, %q, %v", len(accounts), problems, err)
	}
	juliet := accounts[0]
	for i, password := range []string{"secret 1", "secret 2", "secret 3"} {
		if c := &accounts[i].Credentials; c.Hashes() != store.SetOf(store.SHA1) || !c.Verify(password) {
			t.Errorf("%v cannot log in", accounts[i].JID)
		}
	}
	var got []string
	for _, it := range juliet.Roster {
		got = append(got, fmt.Sprintf("%v %q %q %v %v %v", it.JID, it.Name, it.Groups, it.Subscription, it.Ask, it.Approved))
	}
	for _, r := range juliet.Requests {
		got = append(got, string(r.Stanza))
	}
	for _, m := range juliet.Messages {
		got = append(got, m.Received.Format(time.RFC3339Nano)+" "+string(m.Stanza))
	}
	for _, b := range juliet.Blobs {
		got = append(got, b.Kind+" "+b.Key+" "+string(b.Value))
	}
	want := []string{
		`romeo@localhost "Romeo & <Co> ä\"" ["Friends" "Verona"] to false false`,
		`nurse@example.org "Nurse" [] none false false`,
		`mercutio@localhost "" [] none true false`,
		"<presence from='romeo@localhost' to='juliet@localhost' type='subscribe'/>",
		"2026-11-29T11:30:39.218Z <message from='romeo@localhost/r' xml:lang='en' to='juliet@localhost' type='chat' id='m1'><active xmlns='http://jabber.org/protocol/chatstates'/><body>Where &amp; are &quot;you&quot;? ä</body></message>",
		"2026-11-29T11:30:39.274Z <message from='romeo@localhost/r' xml:lang='en' to='juliet@localhost' type='chat' id='m2'><body>second</body></message>",
		"vcard-temp  <vCard xmlns='vcard-temp'><N><FAMILY>C</FAMILY></N><FN>Juliet Capulet</FN></vCard>",
		"urn:xmpp:blocking tybalt@example.org ",
		"urn:xmpp:blocking spam.example ",
		"jabber:iq:private {storage:bookmarks}storage <storage xmlns='storage:bookmarks'><conference jid='room@conf.example' autojoin='1'><nick>J</nick></conference></storage>",
		"jabber:iq:private {exodus:prefs}exodus <exodus xmlns='exodus:prefs'><defaultnick a='1'>Jul &amp; x</defaultnick></exodus>",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

const (
	head = "<server-data xmlns='urn:xmpp:pie:0' xmlns:xi='http://www.w3.org/2001/XInclude'><host jid='a.example'>\n"
	foot = "</host></server-data>"
)

// TestProblems: what is wrong with an account is reported with its line, and the rest is read.
func TestProblems(t *testing.T) {
	f := func(text string, accounts int, want ...string) {
		t.Helper()
		got, problems, err := migratetest.Reads(t, source(head+text+foot))
		if err != nil || len(got) != accounts || !slices.Equal(problems, want) {
			t.Errorf("%s: %d accounts, %q, %v; want %q", text, len(got), problems, err, want)
		}
	}
	f("<user name='a' password='p'/>", 1)
	f("<user name='a'/>", 0, "a.xml:2: a@a.example: it has neither keys nor a password")
	f("<user name='a b' password='p'/><user name='b' password='p'/>", 1, `a.xml:2: not the address of an account: "a b@a.example" (jid: the localpart is empty, too long, or has a character that is not allowed)`)
	f("<x xmlns='y'><z/></x>", 0, "a.xml:2: the element <x xmlns='y'> is not imported")
	part := func(text string, want ...string) {
		t.Helper()
		for i := range want {
			want[i] = "a.xml:2: a@a.example: " + want[i]
		}
		f("<user name='a' password='p'>"+text+"</user>", 1, want...)
	}
	part("<pubsub xmlns='http://jabber.org/protocol/pubsub'><items/></pubsub>", "personal eventing (PEP) is not imported")
	part("<archive xmlns='urn:xmpp:pie:0#mam'><result/></archive>", "the message archive is not imported")
	part("<x xmlns='y'/>", "the element <x xmlns='y'> is not imported")
	part("<scram-credentials xmlns='urn:xmpp:pie:0#scram' mechanism='SCRAM-SHA-512'><iter-count>4096</iter-count></scram-credentials>", `keys for "SCRAM-SHA-512" are not supported`)
	part("<scram-credentials xmlns='urn:xmpp:pie:0#scram' mechanism='SCRAM-SHA-1'><salt>AA==</salt></scram-credentials>", `keys for SCRAM-SHA-1: the iteration count is not a number`)
	const zeros = "<scram-credentials xmlns='urn:xmpp:pie:0#scram' mechanism='SCRAM-SHA-1'><iter-count>4096</iter-count><salt>AAAAAAAAAAAAAAAAAAAAAA==</salt>" +
		"<server-key>AAAAAAAAAAAAAAAAAAAAAAAAAAA=</server-key><stored-key>AAAAAAAAAAAAAAAAAAAAAAAAAAA=</stored-key></scram-credentials>"
	part(zeros+zeros, "the key for SCRAM-SHA-1 is there twice") // "they MUST all have a unique 'mechanism' attribute" (https://xmpp.org/extensions/xep-0227.html#scram-credentials)
	part("<account xmlns='urn:roost:account:0' used='yesterday'/>", `the day "yesterday" of its last use is not valid`)
	part("<query xmlns='jabber:iq:roster'><item jid='b@@'/><x/><item jid='b@b.example' subscription='remove'/></query>", `contact "b@@": not an address`,
		"roster: the element x is not an item", `contact "b@b.example": the subscription "remove" is none of none, to, from and both`)
	part("<query xmlns='jabber:iq:privacy'><default name='d'/><list name='o'/><list name='d'><item type='jid' value='b.example' action='deny' order='1'/><item action='allow' order='2'/></list></query>",
		`the privacy list "o" is not imported: it is not the default`, "a rule of a privacy list is not imported: only those are that deny an address everything")
	part("<account xmlns='urn:roost:account:0' created='x'/>", `the time created="x" is not valid`)
	part("<vCard xmlns='vcard-temp'><!-- comment --></vCard>", "vCard: not valid XML: comments, processing instructions and DTDs are not allowed")
	part(strings.Repeat("<x>", 100)+strings.Repeat("</x>", 100), "the element <x xmlns='urn:xmpp:pie:0'> is not imported")
}

// TestNamespaces: prefixes that are declared outside an element are known in it, and an
// element keeps its meaning.
func TestNamespaces(t *testing.T) {
	accounts, problems, err := migratetest.Reads(t, source("<p:server-data xmlns:p='urn:xmpp:pie:0' xmlns:c='jabber:client' xmlns:q='x'><p:host jid='a.example' xmlns:q='y&apos;z'><p:user name='a' password='p' xmlns:v='vcard-temp'>"+
		"<v:vCard><v:FN q:a='1'>A</v:FN></v:vCard><p:offline-messages><c:message from='b@b.example'><c:body>x</c:body></c:message></p:offline-messages></p:user></p:host></p:server-data>"))
	if err != nil || problems != nil || len(accounts) != 1 || len(accounts[0].Blobs) != 1 || len(accounts[0].Messages) != 1 {
		t.Fatalf("%+v, %q, %v", accounts, problems, err)
	}
	if got := string(accounts[0].Blobs[0].Value); got != "<vCard xmlns='vcard-temp'><FN xmlns:q='y&apos;z' q:a='1'>A</FN></vCard>" {
		t.Error(got)
	}
	if got := string(accounts[0].Messages[0].Stanza); got != "<message from='b@b.example' to='a@a.example'><body>x</body></message>" {
		t.Error(got)
	}
}

// TestIncludes: files include each other, relative to their own directory and not beyond that
// of the first.
func TestIncludes(t *testing.T) {
	all := fstest.MapFS{
		"d/a.xml":        {Data: []byte("<server-data xmlns='urn:xmpp:pie:0' xmlns:xi='http://www.w3.org/2001/XInclude'><xi:include href='h.xml'/><xi:include href='h%20o.xml'/></server-data>")},
		"d/h.xml":        {Data: []byte("<host jid='h.example' xmlns='urn:xmpp:pie:0' xmlns:xi='http://www.w3.org/2001/XInclude'><xi:include href='users/a.xml'/></host>")},
		"d/users/a.xml":  {Data: []byte("<user name='a' password='p' xmlns='urn:xmpp:pie:0' xmlns:xi='http://www.w3.org/2001/XInclude'><xi:include href='a.card'/></user>")},
		"d/users/a.card": {Data: []byte("<vCard xmlns='vcard-temp'/>")},
		"d/h o.xml":      {Data: []byte("<host jid='o.example' xmlns='urn:xmpp:pie:0'><user name='b' password='p'/></host>")},
	}
	accounts, problems, err := migratetest.Reads(t, Source{Name: "d/a.xml", Open: func(name string) (io.ReadCloser, error) { return fs.FS(all).Open(name) }})
	if err != nil || problems != nil || len(accounts) != 2 || accounts[0].JID.String() != "a@h.example" || len(accounts[0].Blobs) != 1 || accounts[1].JID.String() != "b@o.example" {
		t.Errorf("%+v, %q, %v", accounts, problems, err)
	}
}

// TestFiles: what makes a file unusable is an error with its line. Size, depth and entities
// are limited.
func TestFiles(t *testing.T) {
	f := func(want string, files ...string) {
		t.Helper()
		_, _, err := migratetest.Reads(t, source(files...))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.200q: %v, want %q", files, err, want)
		}
	}
	f("file does not exist")
	f("a.xml:1: the file has no element", "")
	f("a.xml:2: the element is <x xmlns=''>, and must be <server-data xmlns='urn:xmpp:pie:0'>", "\n<x/>")
	f("a.xml:2: not valid XML: unexpected EOF", head)
	f("a.xml:2: not valid XML: element <host> closed by </server-data>", head+"</server-data>")
	f("a.xml:1: document type declarations are not allowed", "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'>]>"+head+foot)
	f("a.xml:2: not valid XML: invalid character entity &a;", head+"<user name='&a;'/>"+foot)
	f("a.xml:2: an element is larger than 4 MiB", head+"<user name='a' password='p'><vCard xmlns='vcard-temp'>"+strings.Repeat("<FN>x</FN>", 1<<19)+"</vCard></user>"+foot)
	f("a.xml:2: an element is larger than 4 MiB", head+"<x>"+strings.Repeat("x", 5<<20))
	f("a.xml:2: elements are nested more than 1000 deep", head+strings.Repeat("<x>", 2000))
	f("a.xml:2: elements are nested more than 1000 deep", head+"<user name='a'><vCard xmlns='vcard-temp'>"+strings.Repeat("<x>", 2000))
	f("<include/> must have the relative path", head+"<xi:include href='http://b.example/b.xml'/>"+foot)
	f("<include/> must have the relative path", head+"<xi:include href='b.xml' parse='text'/>"+foot)
	f("a.xml:2: the file ../b.xml is not included: it is not in the directory of a.xml", head+"<xi:include href='../b.xml'/>"+foot)
	f("<include/> must have the relative path", head+"<xi:include href='/b.xml'/>"+foot)
	f("b.xml:1: the element is <host xmlns='urn:xmpp:pie:0'>, and must be <user", head+"<xi:include href='b.xml'/>"+foot, "<host xmlns='urn:xmpp:pie:0'/>")
	f("more than 4 files include each other", "<server-data xmlns='urn:xmpp:pie:0' xmlns:xi='http://www.w3.org/2001/XInclude'><host jid='a.example'><user name='a'><xi:include href='b.xml'/></user></host></server-data>",
		"<xi:include xmlns:xi='http://www.w3.org/2001/XInclude' href='b.xml'/>")
}

// FuzzSource: no file makes the reader panic, and what it accepts is the same when it was
// written and read again.
func FuzzSource(f *testing.F) {
	f.Add(head + "<user name='a' password='p'><vCard xmlns='vcard-temp'><FN>A</FN></vCard></user>" + foot)
	f.Add(written(f, migratetest.Accounts(f, rand.New(rand.NewPCG(1, 1)), 3)))
	f.Fuzz(func(t *testing.T, text string) {
		accounts, _, err := migratetest.Reads(t, source(text))
		if err != nil {
			return
		}
		var all []store.AccountData
		seen := make(map[string]bool)
		for i := range accounts {
			if a := &accounts[i]; a.Password == "" && !seen[a.JID.String()] {
				seen[a.JID.String()] = true
				all = append(all, a.AccountData)
			}
		}
		first := written(t, all)
		again, problems, err := migratetest.Reads(t, source(first))
		if err != nil || problems != nil || len(again) != len(all) {
			t.Fatalf("%q, %v:\n%s", problems, err, first)
		}
		if second := written(t, data(again)); second != first {
			t.Errorf("%s\nbecame\n%s", first, second)
		}
	})
}
