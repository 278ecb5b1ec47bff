package server

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"roost/admin"
	"roost/admin/api"
	"roost/jid"
	"roost/store"
)

// keysOf derives what is imported for a password.
func keysOf(t *testing.T, password string) api.AccountKeys {
	t.Helper()
	c, err := store.NewCredentials(password, store.MinIterations)
	if err != nil {
		t.Fatal(err)
	}
	return admin.ImportedKeys(&c)
}

func importAccounts(t *testing.T, c *api.Client, q api.AccountImport) (done api.AccountsImported, err error) {
	t.Helper()
	return done, c.Do(t.Context(), http.MethodPost, api.PathAccountImport, nil, q, &done)
}

func lookup(t *testing.T, c *api.Client, all ...string) (found api.AccountsFound, err error) {
	t.Helper()
	return found, c.Do(t.Context(), http.MethodPost, api.PathAccountLookup, nil, api.AccountLookup{JIDs: all}, &found)
}

// TestAdminImport: accounts are created with keys that were derived elsewhere; those that
// exist stay as they are, or get the new keys, and then their sessions end unless they are
// kept. It is audited, without the keys.
func TestAdminImport(t *testing.T) {
	audit := filepath.Join(t.TempDir(), "audit")
	s := startServer(t, func(c *Config) { c.Admin.Audit = audit })
	c := adminOf(t, s)
	if found, err := lookup(t, c, "nobody@localhost", "Romeo@LOCALHOST", "juliet@example.com"); err != nil || !slices.Equal(found.JIDs, []string{"romeo@localhost"}) {
		t.Errorf("%v %v", found, err)
	}
	romeo := connect(t, s).login("romeo", "a")
	q := api.AccountImport{Accounts: []api.ImportedAccount{{JID: "BILL@localhost", Keys: keysOf(t, "secret")}, {JID: "romeo@localhost", Keys: keysOf(t, "other")}}}
	if done, err := importAccounts(t, c, q); err != nil || done != (api.AccountsImported{Created: 1, Existing: 1}) {
		t.Errorf("%+v %v", done, err)
	}
	connect(t, s).login("bill", "a")
	verify := func(password string) {
		t.Helper()
		a, err := s.store.Account(t.Context(), jid.MustParse("romeo@localhost"))
		if err != nil || !a.Credentials.Verify(password) {
			t.Errorf("%q is not the password: %v", password, err)
		}
	}
	verify("secret")
	q.Update, q.KeepSessions = true, true
	if done, err := importAccounts(t, c, q); err != nil || done != (api.AccountsImported{Existing: 2}) {
		t.Errorf("%+v %v", done, err)
	}
	verify("other")
	romeo.ask(pingOwn, "id='p'")
	q.KeepSessions = false
	if _, err := importAccounts(t, c, q); err != nil {
		t.Error(err)
	}
	romeo.ask("", "The password was changed. Log in again.")

	text, err := os.ReadFile(audit)
	if err != nil || strings.Contains(string(text), "key") || strings.Contains(string(text), "salt") {
		t.Errorf("%v\n%s", err, text)
	}
	inOrder(t, "audit log", string(text),
		`"action":"account.import","params":{"accounts":[{"jid":"BILL@localhost"},{"jid":"romeo@localhost"}]},"result":"ok"}`,
		`"params":{"accounts":[{"jid":"BILL@localhost"},{"jid":"romeo@localhost"}],"keep_sessions":true,"update":true},"result":"ok"}`)
}

// TestAdminImportMistakes: a batch with a mistake changes nothing, and all mistakes are
// told. A token that may only read can look accounts up.
func TestAdminImportMistakes(t *testing.T) {
	s, c, reader := startWithReader(t, nil)
	before, err := s.store.LastAccountEvent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	good := keysOf(t, "x")
	bad := func(change func(*api.AccountKeys)) api.AccountKeys {
		sha1, sha256 := *good.SHA1, *good.SHA256
		k := api.AccountKeys{SHA1: &sha1, SHA256: &sha256}
		change(&k)
		return k
	}
	wants := func(err error, code api.ErrorCode, texts ...string) {
		t.Helper()
		if !hasCode(err, code) {
			t.Errorf("%v, want %s", err, code)
			return
		}
		for _, want := range texts {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		}
	}
	q := api.AccountImport{Accounts: []api.ImportedAccount{
		{JID: "bill@localhost", Keys: good},
		{JID: "localhost", Keys: good},
		{JID: "bill@example.com", Keys: good},
		{JID: "a@localhost"},
		{JID: "b@localhost", Keys: bad(func(k *api.AccountKeys) { k.SHA1.Salt = make([]byte, 256) })},
		{JID: "c@localhost", Keys: bad(func(k *api.AccountKeys) { k.SHA1.Iterations = store.MinIterations - 1 })},
		{JID: "d@localhost", Keys: bad(func(k *api.AccountKeys) { k.SHA256.Iterations = store.MaxIterations + 1 })},
		{JID: "e@localhost", Keys: bad(func(k *api.AccountKeys) { k.SHA1.StoredKey = nil })},
		{JID: "f@localhost", Keys: bad(func(k *api.AccountKeys) { k.SHA256.ServerKey = k.SHA256.ServerKey[:31] })},
	}}
	_, err = importAccounts(t, c, q)
	wants(err, api.CodeBadRequest, "no account was imported",
		`accounts[1]: "localhost" is not the address of an account`, "accounts[2]: bill@example.com: its domain is not served (served: localhost)",
		"accounts[3]: there are no keys", "accounts[4]: the salt for SCRAM-SHA-1 has 256 bytes", "accounts[5]: the iteration count 4095", "accounts[6]: the iteration count 10000001",
		"accounts[7]: the keys for SCRAM-SHA-1", "accounts[8]: the keys for SCRAM-SHA-256")
	if strings.Contains(fmt.Sprint(err), "accounts[0]") {
		t.Error(err)
	}
	q.Accounts = q.Accounts[:1]
	_, err = importAccounts(t, reader, q)
	wants(err, api.CodeForbidden, "needs write")
	many := make([]api.ImportedAccount, api.MaxAccounts+1)
	for i := range many {
		// The largest batch is accepted.
		many[i] = api.ImportedAccount{JID: fmt.Sprint(i, strings.Repeat("x", 1000), "@", strings.Repeat("y", 63), ".", strings.Repeat("z", 63)), Keys: good}
	}
	for _, accounts := range [][]api.ImportedAccount{nil, many} {
		_, err = importAccounts(t, c, api.AccountImport{Accounts: accounts, AnyDomain: true})
		wants(err, api.CodeBadRequest, "there must be 1 to 256 accounts", fmt.Sprint("not ", len(accounts)))
	}
	_, err = lookup(t, c)
	wants(err, api.CodeBadRequest, "there must be 1 to 256 accounts")
	_, err = lookup(t, c, make([]string, api.MaxAccounts+1)...)
	wants(err, api.CodeBadRequest, "not 257")
	_, err = lookup(t, c, "romeo@localhost", "romeo@localhost/a")
	wants(err, api.CodeBadRequest, "is not the address of an account")
	_, err = lookup(t, c, strings.Repeat("x", 1<<20))
	wants(err, api.CodeTooLarge, "larger than 1048576 bytes")
	if found, err := lookup(t, reader, "romeo@localhost"); err != nil || len(found.JIDs) != 1 {
		t.Errorf("%v %v", found, err)
	}
	if after, err := s.store.LastAccountEvent(t.Context()); err != nil || after != before {
		t.Errorf("something has happened: event %d, before %d, %v", after, before, err)
	}
	if done, err := importAccounts(t, c, api.AccountImport{Accounts: many[1:], AnyDomain: true}); err != nil || done.Created != api.MaxAccounts {
		t.Errorf("the largest batch: %+v %v", done, err)
	}
}
