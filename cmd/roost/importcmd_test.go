package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"roost/admin/api"
	"roost/internal/cmdtest"
	"roost/jid"
	"roost/migrate"
	"roost/migrate/migratetest"
	"roost/store"
	"roost/store/faultstore"
)

// randomStore fills the database of a data directory with n accounts.
func randomStore(t *testing.T, dir string, n int) {
	t.Helper()
	s := cmdtest.OpenStore(t, dir)
	all := migratetest.Accounts(t, rand.New(rand.NewPCG(1, 2)), n)
	created, err := s.CreateAccounts(t.Context(), all)
	if err == nil {
		err = s.NoteUse(t.Context(), migrate.Uses(all, created))
	}
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func contentOf(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestExportImport: an export is imported into an empty database, whose export has the same
// bytes. A dry run changes nothing; a second import skips everything.
func TestExportImport(t *testing.T) {
	dir, empty := t.TempDir(), t.TempDir()
	randomStore(t, dir, 40)
	f := func(code int, want string, args ...string) string {
		t.Helper()
		got, stdout, stderr := cmdtest.Result(t, nil, args...)
		if got != code || !strings.Contains(stdout+stderr, want) {
			t.Errorf("%q: exit code %d, %s%s; want %d, %q", args, got, stdout, stderr, code, want)
		}
		return stdout
	}
	for format := range exportFormats {
		t.Run(format, func(t *testing.T) {
			first, second, data := filepath.Join(empty, "first."+format), filepath.Join(empty, "second."+format), filepath.Join(empty, format)
			f(0, "exported 40 accounts to "+first, "export", first, "--format", format, "--data", dir)
			if info, err := os.Stat(first); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%v, %v", info.Mode(), err)
			}
			f(1, first+" exists already", "export", first, "--format", format, "--data", dir)
			f(1, "there is no database in "+data, "import", first, "--from", format, "--data", data)
			f(0, "dry run: would import 40 accounts with ", "import", first, "--from", format, "--data", data, "--create", "--dry-run")
			if out := f(0, "", "export", "-", "--format", format, "--data", data); strings.Contains(out, "user0000") {
				t.Errorf("a dry run has imported something: %s", out)
			}
			f(0, "imported 40 accounts with ", "import", first, "--from", format, "--data", data)
			f(0, "dry run: would import 0 accounts; skipped 40 existing; ", "import", first, "--from", format, "--data", data, "--dry-run")
			f(0, "exported 40 accounts", "export", second, "--format", format, "--data", data)
			if contentOf(t, first) != contentOf(t, second) {
				t.Error("the export of what was imported differs")
			}
			var r importReport
			out := f(0, "", "import", first, "--from", format, "--data", data, "--json")
			if err := json.Unmarshal([]byte(out), &r); err != nil || r.Existing != 40 || r.Created != 0 || r.Contacts != 0 || r.Problems == nil {
				t.Errorf("%s, %v", out, err)
			}
			one := f(0, "", "export", "-", "--format", format, "--data", dir, "--domain", "a.example")
			if !strings.Contains(one, "user0000") || strings.Contains(one, "user0039") {
				t.Error("the export of one domain has accounts of another one, or none")
			}
		})
	}
}

// TestImportProblems: what cannot be imported is reported with its line, the rest is
// imported, and the exit status is 1 if an account is missing.
func TestImportProblems(t *testing.T) {
	dir := t.TempDir()
	if err := cmdtest.OpenStore(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "domains"), []byte("a.example\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "accounts.json")
	f := func(code int, text string, want ...string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, stdout, stderr := cmdtest.Result(t, nil, "import", file, "--data", dir, "--iterations", "4096")
		for _, w := range want {
			if got != code || !strings.Contains(stdout+stderr, strings.ReplaceAll(w, "FILE", file)) {
				t.Errorf("exit code %d, %s%s; want %d, %q", got, stdout, stderr, code, w)
			}
		}
	}
	const header = `{"format":"roost accounts","version":1}` + "\n"
	f(1, header+`{"jid":"a@b.example","password":"p"}`+"\n"+`{"jid":"a@a.example","password":"p"}`+"\n"+`{"accounts":2}`,
		"FILE:2: a@b.example: its domain is not served (served: a.example)\n", "imported 1 account; skipped 0 existing; refused 1 account; ", "roost: 1 account not imported; correct the source")
	f(0, header+`{"jid":"b@a.example","password":"p","blocked":["@"]}`+"\n"+`{"accounts":1}`,
		"FILE:2: b@a.example: blocked \"@\": not an address\n", "imported 1 account; skipped 0 existing; left out 1 part of others; ")
	f(1, header+`{"jid":"c@a.example","password":"p"}`+"\n", "imported 1 account", "roost: FILE:3: the file is not complete")
	f(1, header+`{"jid":"d@a.example","password":"\u0007"}`+"\n"+`{"accounts":1}`, "FILE:2: d@a.example: the password has a control character")
	// No account gets such a password here, but some had it elsewhere.
	f(0, header+`{"jid":"e@a.example","password":"key\ud83d\udd11"}`+"\n"+`{"accounts":1}`, "imported 1 account")
	f(1, "jid,password\n", "FILE:1: the first line must be")
	logins(t, cmdtest.OpenStore(t, dir), map[string]string{"a@a.example": "p", "b@a.example": "p", "c@a.example": "p", "e@a.example": "key\U0001f511"})
}

// TestImportResumed: after a failure at any write, an import that is run again leads to the
// same store as one without.
func TestImportResumed(t *testing.T) {
	const n, writes = 2*importBatch + 10, 3
	from := t.TempDir()
	randomStore(t, from, n)
	source := cmdtest.OpenStore(t, from)
	want := migratetest.Stored(t, source)
	var file strings.Builder
	w, err := migrate.NewLineWriter(&file)
	if err == nil {
		err = migrate.Export(t.Context(), source, "", w.Write)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the disk is full")
	for fail := range writes {
		var faults faultstore.Faults
		s := cmdtest.OpenFaulty(t, t.TempDir(), &faults)
		run := func() (*importer, error) {
			im := &importer{to: &dataTarget{onStore: onStore{Store: s}}, unit: "account"}
			im.show("f", -1, io.Discard, false)
			return im, im.run(t.Context(), migrate.Lines{Name: "f", In: strings.NewReader(file.String())})
		}
		calls := 0
		faults.SetFault(func(called string) error {
			if called == "CreateAccounts" {
				if calls++; calls > fail {
					return broken
				}
			}
			return nil
		})
		im, err := run()
		if !errors.Is(err, broken) || im.created != fail*importBatch {
			t.Fatalf("write %d fails: %v, created %d", fail, err, im.created)
		}
		faults.SetFault(nil)
		if im, err := run(); err != nil || im.created != n-fail*importBatch || im.existing != fail*importBatch {
			t.Errorf("again after write %d: %v, created %d, existing %d", fail, err, im.created, im.existing)
		}
		if got := migratetest.Stored(t, s); !reflect.DeepEqual(got, want) {
			t.Errorf("after a failure of write %d, the store differs", fail)
		}
	}
}

// TestImportMemory: however large accounts are, only a limited number of them is in memory.
func TestImportMemory(t *testing.T) {
	s := cmdtest.OpenStore(t, t.TempDir())
	to := &weighing{dataTarget: dataTarget{onStore: onStore{Store: s}, dryRun: true}}
	im := &importer{to: to, unit: "account"}
	im.show("f", -1, io.Discard, false)
	if err := im.run(t.Context(), largeAccounts{}); err != nil || im.created != 40 || to.largest > importBytes {
		t.Errorf("%v, created %d, the largest transaction has %d bytes", err, im.created, to.largest)
	}
	if im.held.used != 0 {
		t.Errorf("%d bytes are still held", im.held.used)
	}
}

// largeAccounts is a source of accounts of which two fill the budget, and small ones.
type largeAccounts struct{}

func (largeAccounts) Read(_ context.Context, to migrate.Receiver) error {
	value := make([]byte, migrate.MaxAccount)
	for i := range 40 {
		a := &migrate.Account{}
		a.JID, a.Credentials[store.SHA1].StoredKey = jid.MustParse(fmt.Sprintf("u%d@a.example", i)), []byte("k")
		if i%3 > 0 {
			a.Blobs = []store.Blob{{Kind: migrate.VCardKind, Value: value}}
		}
		if err := to.Account(a); err != nil {
			return err
		}
	}
	return nil
}

// weighing measures transactions.
type weighing struct {
	dataTarget
	largest int
}

func (w *weighing) importBatch(ctx context.Context, batch []store.AccountData, how api.AccountImport) (api.AccountsImported, error) {
	size := 0
	for i := range batch {
		size += weight(&migrate.Account{AccountData: batch[i]})
	}
	w.largest = max(w.largest, size)
	return w.dataTarget.importBatch(ctx, batch, how)
}

// TestImportFromOthers: what other servers have stored is imported, and passwords stay valid.
func TestImportFromOthers(t *testing.T) {
	const testdata = "../../migrate/"
	f := func(code int, want string, args ...string) (dir string) {
		t.Helper()
		dir = t.TempDir()
		got, stdout, stderr := cmdtest.Result(t, nil, append(args, "--create", "--data", dir)...)
		if got != code || !strings.Contains(stdout+stderr, want) || code == 0 && stderr != "" {
			t.Errorf("%q: exit code %d, %s%s", args, got, stdout, stderr)
		}
		return dir
	}
	for _, args := range [][]string{
		{testdata + "prosody/testdata/data", "--from", "prosody"},
		{testdata + "prosody/testdata/prosody.sql", "--from", "prosody"},
		{testdata + "pie/testdata/ejabberd/server.xml", "--from", "ejabberd"},
		{testdata + "ejabberd/testdata/ejabberd.sql", "--from", "ejabberd", "--domain", "localhost"},
	} {
		dir := f(0, "imported 3 accounts with ", append([]string{"import"}, args...)...)
		logins(t, cmdtest.OpenStore(t, dir), map[string]string{"juliet@localhost": "secret 1", "romeo@localhost": "secret 2"})
	}
	f(1, "/ejabberd.sql:11: the database does not have the domain of its accounts: name it with --domain\n", "import", testdata+"ejabberd/testdata/ejabberd.sql", "--from", "ejabberd")
	f(2, "--domain is for --from ejabberd only", "import", testdata+"prosody/testdata/prosody.sql", "--from", "prosody", "--domain", "localhost")
	f(1, `/ejabberd.sql: there is no "e": the dump does not name its database: leave out --schema`, "import", testdata+"ejabberd/testdata/ejabberd.sql", "--from", "ejabberd", "--domain", "localhost", "--schema", "e")
	for _, source := range []string{"prosody/testdata/data --from prosody", "ejabberd/testdata/ejabberd.sql --from xep0227", "pie/testdata/ejabberd/server.xml --from ejabberd"} {
		f(2, "--schema is for dumps", slices.Concat([]string{"import", "--schema", "e"}, strings.Fields(testdata+source))...)
	}
	f(2, "--schema is for dumps", "import", "postgres://a/b", "--from", "prosody", "--schema", "e")
	f(2, "--domain is for SQL databases only", "import", testdata+"pie/testdata/ejabberd/server.xml", "--from", "ejabberd", "--domain", "localhost")
	f(1, "roost: failed to connect to mysql://a:xxxxx@127.0.0.1:1/c: ", "import", "mysql://a:secret@127.0.0.1:1/c", "--from", "ejabberd")
}

// TestImportFromStdin: a dump need not be stored in a file.
func TestImportFromStdin(t *testing.T) {
	dir := t.TempDir()
	cmd := cmdtest.Program(nil, "import", "-", "--from", "ejabberd", "--domain", "localhost", "--create", "--data", dir)
	cmd.Stdin = strings.NewReader(contentOf(t, "../../migrate/ejabberd/testdata/ejabberd.sql"))
	if out, err := cmd.CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "imported 3 accounts with ") {
		t.Errorf("%v: %s", err, out)
	}
	logins(t, cmdtest.OpenStore(t, dir), map[string]string{"juliet@localhost": "secret 1"})
}
