package migrate_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"roost/migrate"
	"roost/migrate/migratetest"
	"roost/store"
	"roost/store/memstore"
)

// filled returns a store with accounts.
func filled(t testing.TB, all []store.AccountData) store.Store {
	t.Helper()
	s, err := memstore.New().Open(t.Context(), store.Options{})
	var created []bool
	if err == nil {
		created, err = s.CreateAccounts(t.Context(), all)
	}
	if err == nil {
		err = s.NoteUse(t.Context(), migrate.Uses(all, created))
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// exported returns all accounts of a store as JSON lines.
func exported(t testing.TB, s store.Store) string {
	t.Helper()
	var out bytes.Buffer
	w, err := migrate.NewLineWriter(&out)
	if err == nil {
		err = migrate.Export(t.Context(), s, "", w.Write)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestLinesRoundTrip: what is exported and imported is exported again with the same bytes.
func TestLinesRoundTrip(t *testing.T) {
	for seed := range uint64(30) {
		all := migratetest.Accounts(t, rand.New(rand.NewPCG(seed, 1)), 20)
		first := exported(t, filled(t, all))
		accounts, problems, err := migratetest.Reads(t, migrate.Lines{Name: "f", In: strings.NewReader(first)})
		if err != nil || problems != nil || len(accounts) != len(all) {
			t.Fatalf("seed %d: %d accounts, %q, %v", seed, len(accounts), problems, err)
		}
		var data []store.AccountData
		for i := range accounts {
			if used := accounts[i].Used; !used.Equal(all[i].Used) {
				t.Errorf("seed %d: %v was used on %v, and not on %v", seed, all[i].JID, all[i].Used, used)
			}
			data = append(data, accounts[i].AccountData)
		}
		if second := exported(t, filled(t, data)); second != first {
			a, b := strings.Split(first, "\n"), strings.Split(second, "\n")
			for i := range a {
				if i >= len(b) || a[i] != b[i] {
					t.Fatalf("seed %d, line %d:\n%s\nbecame\n%s", seed, i+1, a[i], b[min(i, len(b)-1)])
				}
			}
		}
	}
}

const (
	keys    = `"keys":{"SCRAM-SHA-1":{"salt":"AAAAAAAAAAAAAAAAAAAAAA==","iterations":4096,"stored_key":"AAAAAAAAAAAAAAAAAAAAAAAAAAA=","server_key":"AAAAAAAAAAAAAAAAAAAAAAAAAAA="}}`
	header  = `{"format":"roost accounts","version":1}` + "\n"
	trailer = `{"accounts":1}` + "\n"
)

// TestLineProblems: what is wrong with an account is reported with its line, and the rest is
// imported.
func TestLineProblems(t *testing.T) {
	f := func(line string, accounts int, want ...string) {
		t.Helper()
		got, problems, err := migratetest.Reads(t, migrate.Lines{Name: "f", In: strings.NewReader(header + line + "\n" + trailer)})
		if err != nil || len(got) != accounts || !slices.Equal(problems, want) {
			t.Errorf("%s: %d accounts, %q, %v; want %q", line, len(got), problems, err, want)
		}
	}
	f(`{"jid":"a@a.example",`+keys+`}`, 1)
	f(`{"jid":"a@a.example","password":"p"}`, 1)
	f(`{"jid":"a@a.example"}`, 0, "f:2: a@a.example: it has neither keys nor a password")
	f(`{"jid":"a.example",`+keys+`}`, 0, `f:2: not the address of an account: "@a.example" (it has no name before the @)`)
	f(`{"jid":"a@a.example","password":5}`, 0, "f:2: not the JSON of an account: password has the wrong type, number")
	f(`{"jid":"a@a.example","pass":"secret"}`, 0, `f:2: a@a.example: the field "pass" is not imported: this version of roost does not know it`, "f:2: a@a.example: it has neither keys nor a password")
	f(`{"jid":"a@a.example","new":"x","password":"p","newer":["x"]}`, 1, `f:2: a@a.example: the field "new" is not imported: this version of roost does not know it`)
	f(`{"jid":"a@a.example","new":"x","password":5}`, 0, "f:2: not the JSON of an account: password has the wrong type, number")
	f(`{"jid":"a@a.example","password":"secret`, 0, "f:2: not the JSON of an account: a mistake at byte 40")
	f(`{"jid":"a@a.example","password":"secret"x}`, 0, "f:2: not the JSON of an account: a mistake at byte 41")
	f(`{"jid":"a@a.example","password":"`+strings.Repeat("secret", 200)+`"}`, 0, "f:2: a@a.example: its password is longer than 1023 bytes")
	f(`{"jid":"a@a.example","password":"p","keys":{"SCRAM-SHA-512":{}}}`, 1, `f:2: a@a.example: keys for "SCRAM-SHA-512" are not supported`)
	part := func(json string, want ...string) {
		t.Helper()
		for i := range want {
			want[i] = "f:2: a@a.example: " + want[i]
		}
		f(`{"jid":"a@a.example",`+keys+`,`+json+`}`, 1, want...)
	}
	part(`"roster":[{"jid":"b@@","subscription":"to"},{"jid":"b@b.example","subscription":"up"},{"jid":"B@b.example","subscription":"to"}]`,
		`contact "b@@": not an address`, `contact b@b.example: the subscription "up" is none of none, to, from and both`, `contact b@b.example is there twice`)
	part(`"roster":[{"jid":"b@b.example","name":"\u0000","groups":["\u001f","","g","g"],"subscription":"to"}]`,
		`contact b@b.example: its name has characters that XML does not allow`, `contact b@b.example: a group has characters that XML does not allow`)
	part(`"messages":[{"received":"2020-01-01T00:00:00Z","stanza":"<message from='b@b.example'><body></message>"},{"stanza":"<iq from='b@b.example' type='get' id='1'><q xmlns='q'/></iq>"},`+
		`{"stanza":"<message/>"},{"stanza":"<message from='b@b.example'/><message/>"},{"stanza":"<message from='b@b.example'>"},{"stanza":"<!DOCTYPE x>"}]`,
		"stored message: not valid XML: an end tag does not match its start tag", "stored message: it is an element iq", "stored message: it has no valid sender",
		"stored message: there is text after its end", "stored message: it is not a complete element", "stored message: not valid XML: comments, processing instructions and DTDs are not allowed")
	part(`"requests":[{"stanza":"<presence from='b@b.example'/>"},{"stanza":"<presence type='subscribe' from='b@b.example'/>"},{"stanza":"<presence type='subscribe' from='b@b.example/x'/>"}]`,
		"subscription request: it is not presence of type subscribe", "subscription request of b@b.example is there twice")
	part(`"blocked":["b@@","b.example","b.example"]`, `blocked "b@@": not an address`, "blocked address b.example is there twice")
	part(`"vcard":"<vCard/>"`, "vCard: the element is another one")
	part(`"private":["<x/>","<x xmlns='x'/>","<x xmlns='x'>2</x>"]`, "private storage: the element x has no namespace of its own", "private storage {x}x is there twice")
	part(`"used":"2020-02-30"`, `the day "2020-02-30" of its last use is not valid`)
	part(`"last_online":{"at":"2020-01-01T00:00:00Z","status":"\u0001"}`, "the status has characters that XML does not allow")
}

// TestLineFiles: a file that is not complete, or another one, is an error with its line.
func TestLineFiles(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, _, err := migratetest.Reads(t, migrate.Lines{Name: "f", In: strings.NewReader(text)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.100q: %v, want %q", text, err, want)
		}
	}
	f("", "f:1: the first line must be")
	f("jid,password\n", "f:1: the first line must be")
	f(`{"format":"roost accounts","version":2}`, "f:1: version 2 of the format")
	f(header, "f:2: the file is not complete")
	f(header+`{"jid":"a@a.example",`+keys+"}\n", "f:3: the file is not complete")
	f(header+trailer, "f:2: the last line says that there are 1 accounts, and there are 0")
	f(header+`{"accounts":0}`+"\nx", "f:3: there is something after the last line")
	f(header+`{"accounts":"x"}`+"\n", "f:2: the last line: accounts has the wrong type")
	_, _, err := migratetest.Reads(t, migrate.Lines{Name: "f", In: io.MultiReader(strings.NewReader(header), endless{})})
	if err == nil || !strings.Contains(err.Error(), "f:2: the line is longer than 64 MiB") {
		t.Errorf("a line without an end: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (migrate.Lines{Name: "f", In: strings.NewReader(header)}).Read(ctx, migrate.Receiver{}); !errors.Is(err, context.Canceled) {
		t.Errorf("after an interruption: %v", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte("x"), len(p))), nil }

// FuzzLines: no file makes the reader panic, and what it accepts is the same when it was
// written and read again.
func FuzzLines(f *testing.F) {
	f.Add(header + `{"jid":"a@a.example",` + keys + `,"private":["<x xmlns='x'/>"],"vcard":"<vCard xmlns='vcard-temp'/>"}` + "\n" + trailer)
	f.Add(header + `{"jid":"a@a.example","password":"p","roster":[{"jid":"b@b.example","subscription":"both"}],` +
		`"messages":[{"received":"2020-01-01T00:00:00Z","stanza":"<message from='b@b.example'/>"}],"requests":[{"stanza":"<presence type='subscribe' from='b@b.example'/>"}]}` + "\n" + trailer)
	f.Add(header + `{"jid":"a@a.example",` + keys + `,"used":"2026-01-02","new":1}` + "\n" + `{"accounts":1,"invitations":[{"id":"00000000000000000000000000000001",` +
		`"domain":"a.example","name":"b","inviter":"a@a.example","actor":"c","contact":true,"uses":1,"created":"2026-01-02T03:04:05Z","until":"2026-01-03T03:04:05Z"}]}` + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		accounts, _, err := migratetest.Reads(t, migrate.Lines{Name: "f", In: strings.NewReader(text)})
		if err != nil {
			return
		}
		var data []store.AccountData
		for i := range accounts {
			if accounts[i].Password == "" {
				data = append(data, accounts[i].AccountData)
			}
		}
		first := exported(t, filled(t, data))
		again, problems, err := migratetest.Reads(t, migrate.Lines{Name: "f", In: strings.NewReader(first)})
		if err != nil || problems != nil {
			t.Fatalf("%q, %v:\n%s", problems, err, first)
		}
		data = data[:0]
		for i := range again {
			data = append(data, again[i].AccountData)
		}
		if second := exported(t, filled(t, data)); second != first {
			t.Errorf("%s\nbecame\n%s", first, second)
		}
	})
}
