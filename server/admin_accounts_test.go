package server

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"roost/admin/api"
	"roost/internal/xmpptest"
	"roost/jid"
	"roost/store"
)

// accountPath is a path of one account.
func accountPath(path, bare string) string {
	return strings.Replace(path, "{jid}", url.PathEscape(bare), 1)
}

// hasCode reports whether an error is one of the interface with this code.
func hasCode(err error, code api.ErrorCode) bool {
	var e *api.Error
	return errors.As(err, &e) && e.Code == code
}

const pingOwn = "<iq type='get' id='p' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>"

// TestAdminAccounts: accounts are created, shown, locked, unlocked, logged out and deleted,
// their passwords changed; what becomes of their clients; and the audit log, without
// passwords.
func TestAdminAccounts(t *testing.T) {
	audit := filepath.Join(t.TempDir(), "audit")
	s := startServer(t, func(c *Config) { c.Admin.Audit = audit })
	c := adminOf(t, s)
	change := func(method, path string, in any) (a api.Account) {
		t.Helper()
		if err := c.Do(t.Context(), method, path, nil, in, &a); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		// The server has acted on it before the response.
		if last, err := s.store.LastAccountEvent(t.Context()); err != nil || !s.router.CaughtUp(last) {
			t.Errorf("%s: event %d is not processed, %v", path, last, err)
		}
		return a
	}
	const bill = "bill@localhost"
	show := func() (d api.AccountDetail) {
		t.Helper()
		if err := c.Get(t.Context(), accountPath(api.PathAccount, bill), nil, &d); err != nil {
			t.Fatal(err)
		}
		return d
	}
	if a := change("POST", api.PathAccounts, api.AccountCreate{JID: "BILL@localhost", Password: "secret", Iterations: store.MinIterations}); a.JID != bill || a.Created.IsZero() || a.Disabled || a.Sessions != 0 {
		t.Errorf("%+v", a)
	}
	phone := connect(t, s).login("bill", "phone")
	if d := show(); d.Sessions != 1 || len(d.Keys) != 2 || d.Keys[0] != (api.KeysShown{Mechanism: "SCRAM-SHA-256", Iterations: store.MinIterations}) || d.Keys[1].Mechanism != "SCRAM-SHA-1" || d.OfflineMessages != 0 || d.LastSeen != nil {
		t.Errorf("%+v", d)
	}

	// Nothing happens if the account is not as it was.
	late := api.AccountPassword{Password: "late", Iterations: store.MinIterations, Event: show().Event - 1}
	if err := c.Do(t.Context(), "POST", accountPath(api.PathAccountPassword, bill), nil, late, nil); !hasCode(err, api.CodeConflict) || !strings.Contains(err.Error(), "has changed in the meantime") {
		t.Errorf("a password for the account as it was: %v", err)
	}

	// A new password ends sessions, or does not.
	keep := api.AccountPassword{Password: "secret", Iterations: store.MinIterations, KeepSessions: true, Event: show().Event}
	if a := change("POST", accountPath(api.PathAccountPassword, bill), keep); a.Sessions != 1 {
		t.Errorf("%+v", a)
	}
	phone.ask(pingOwn, "id='p'")
	keep.KeepSessions, keep.Event = false, 0
	change("POST", accountPath(api.PathAccountPassword, bill), keep)
	phone.ask("", "The password was changed. Log in again.")

	phone, laptop := connect(t, s).login("bill", "phone"), connect(t, s).login("bill", "laptop")
	var out api.AccountLogout
	if err := c.Do(t.Context(), "POST", accountPath(api.PathAccountLogout, bill), url.Values{"text": {"Good night."}}, nil, &out); err != nil || out.Sessions != 2 || out.JID != bill || out.Text != "Good night." {
		t.Errorf("%+v %v", out, err)
	}
	phone.ask("", "Good night.</text>")
	laptop.ask("", "Good night.</text>")

	phone = connect(t, s).login("bill", "phone")
	if a := change("POST", accountPath(api.PathAccountDisable, bill), nil); !a.Disabled {
		t.Errorf("%+v", a)
	}
	phone.ask("", "The account was locked.")
	refused := connect(t, s)
	refused.ask(testHeader, "</stream:features>")
	refused.ask("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGJpbGwAc2VjcmV0</auth>", "<account-disabled")
	connect(t, s).login("romeo", "a").ask("<message to='bill@localhost' type='chat'><body>hi</body></message>"+pingOwn, "id='p'")
	ctx, cancel := context.WithTimeout(t.Context(), xmpptest.WaitLimit)
	defer cancel()
	d := show()
	for d.Sessions > 0 && ctx.Err() == nil { // its end is announced first
		d = show()
	}
	if !d.Disabled || d.OfflineMessages != 1 || d.Sessions != 0 {
		t.Errorf("%+v", d)
	}
	if a := change("POST", accountPath(api.PathAccountEnable, bill), nil); a.Disabled {
		t.Errorf("%+v", a)
	}
	phone = connect(t, s).login("bill", "phone")
	if err := c.Do(t.Context(), "DELETE", accountPath(api.PathAccount, bill), nil, nil, nil); err != nil {
		t.Error(err)
	}
	phone.ask("", "The account was removed.")
	if err := c.Get(t.Context(), accountPath(api.PathAccount, bill), nil, nil); !hasCode(err, api.CodeNotFound) {
		t.Errorf("after it was deleted: %v", err)
	}

	text, err := os.ReadFile(audit)
	if err != nil || strings.Contains(string(text), "secret") {
		t.Errorf("%v\n%s", err, text)
	}
	inOrder(t, "audit log", string(text),
		`"action":"account.create","object":"bill@localhost","params":{"iterations":4096,"jid":"BILL@localhost"},"result":"ok"}`,
		`"iterations":4096},"result":"conflict"}`, `"iterations":4096,"keep_sessions":true},"result":"ok"}`,
		`"action":"account.password","object":"bill@localhost","params":{"iterations":4096},"result":"ok"}`,
		`"action":"account.logout","object":"bill@localhost","params":{"text":"Good night."},"result":"ok"}`,
		`"action":"account.disable","object":"bill@localhost","result":"ok"}`, `"action":"account.enable","object":"bill@localhost","result":"ok"}`,
		`"action":"account.delete","object":"bill@localhost","result":"ok"}`)
}

// TestAdminAccountList: pages of any size are the whole list, and of a domain or a prefix
// its part.
func TestAdminAccountList(t *testing.T) {
	s := startServer(t, func(c *Config) { c.Domains = []string{"localhost", "example.net"} })
	var all []store.Account
	for _, a := range []string{"ann@example.net", "b@example.net", "ann@example.org", "anna@localhost", "annb@localhost", "an@localhost", "ann@localhost", "ao@localhost", "zoe@localhost"} {
		all = append(all, store.Account{JID: jid.MustParse(a), Credentials: store.Credentials{store.SHA1: {StoredKey: []byte("key")}}})
	}
	all[0].Credentials[store.SHA256].StoredKey = []byte("key") // ann@example.net
	all[6].Credentials[store.SHA256].StoredKey = []byte("key") // ann@localhost
	if _, _, err := s.store.ImportAccounts(t.Context(), all, store.SkipExisting); err != nil {
		t.Fatal(err)
	}
	if err := s.store.SetDisabled(t.Context(), jid.MustParse("zoe@localhost"), true); err != nil {
		t.Fatal(err)
	}
	connect(t, s).login("romeo", "a")
	c := adminOf(t, s)
	list := func(query string, limit string) (got []string, marked string) {
		t.Helper()
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if limit != "" {
			q.Set("limit", limit)
		}
		for {
			var p api.AccountPage
			if err := c.Get(t.Context(), api.PathAccounts, q, &p); err != nil {
				t.Fatalf("%s: %v", query, err)
			}
			for _, a := range p.Accounts {
				got = append(got, a.JID)
				if a.Disabled || a.Sessions > 0 {
					marked += a.JID + " "
				}
			}
			if len(got) > 20 {
				t.Fatal("there is no end")
			}
			if p.Cursor == "" {
				return got, marked
			}
			q.Set("cursor", p.Cursor)
		}
	}
	for query, want := range map[string]string{
		"domain=example.net":           "ann@example.net b@example.net",
		"domain=EXAMPLE.org":           "ann@example.org",
		"domain=example.com":           "",
		"domain=localhost&prefix=ann":  "ann@localhost anna@localhost annb@localhost",
		"domain=localhost&prefix=ANNA": "anna@localhost",
		"domain=localhost&prefix=an":   "an@localhost ann@localhost anna@localhost annb@localhost",
		"domain=localhost&prefix=annz": "",
		"domain=localhost&prefix=z":    "zoe@localhost",

		"lacking=SCRAM-SHA-256&domain=localhost":            "an@localhost anna@localhost annb@localhost ao@localhost zoe@localhost",
		"lacking=scram-sha-256&domain=localhost&prefix=ann": "anna@localhost annb@localhost",
		"lacking=SCRAM-SHA-256&domain=localhost&prefix=an":  "an@localhost anna@localhost annb@localhost",
		"lacking=SCRAM-SHA-256":                             "b@example.net ann@example.org an@localhost anna@localhost annb@localhost ao@localhost zoe@localhost",
		"lacking=SCRAM-SHA-1":                               "",
	} {
		for _, limit := range []string{"1", "2", "3", ""} {
			if got, _ := list(query, limit); strings.Join(got, " ") != want {
				t.Errorf("%s, limit %s: %q, want %q", query, limit, got, want)
			}
		}
	}
	got, marked := list("", "4")
	if !slices.Contains(got, "romeo@localhost") || !slices.Contains(got, "ann@example.org") || marked != "romeo@localhost zoe@localhost " {
		t.Errorf("%q, marked %q", got, marked)
	}
	for query, want := range map[string]string{
		"prefix=a": "give the domain, too", "domain=a b": "not a domain", "domain=localhost&prefix=a%20b": "cannot be the beginning",
		"lacking=MD5": "use SCRAM-SHA-256 or SCRAM-SHA-1", "limit=0": "limit must be 1 to 1000", "cursor=x": "not a cursor", "account=a": "no parameter",
	} {
		q, _ := url.ParseQuery(query)
		if err := c.Get(t.Context(), api.PathAccounts, q, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", query, err, want)
		}
	}
}

// TestAdminAccountMistakes: wrong input changes nothing, and neither does a token that may
// only read.
func TestAdminAccountMistakes(t *testing.T) {
	s, c, reader := startWithReader(t, nil)
	before, err := s.store.LastAccountEvent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	good := func(j string) api.AccountCreate { return api.AccountCreate{JID: j, Password: "secret"} }
	long := strings.Repeat("x", store.MaxPassword+1)
	for _, x := range []struct {
		method, path string
		in           any
		code         api.ErrorCode
		text         string
	}{
		{"POST", api.PathAccounts, good("romeo@localhost"), api.CodeConflict, "romeo@localhost exists already"},
		{"POST", api.PathAccounts, good("bill@example.com"), api.CodeNotServed, "bill@example.com not added: its domain is not served (served: localhost)"},
		{"POST", api.PathAccounts, good("localhost"), api.CodeBadRequest, "not the address of an account"},
		{"POST", api.PathAccounts, good(""), api.CodeBadRequest, "not the address of an account"},
		{"POST", api.PathAccounts, api.AccountCreate{JID: "bill@localhost"}, api.CodeBadRequest, "the password is empty"},
		{"POST", api.PathAccounts, api.AccountCreate{JID: "bill@localhost", Password: long}, api.CodeBadRequest, "longer than 1023 bytes"},
		{"POST", api.PathAccounts, api.AccountCreate{JID: "bill@localhost", Password: "x", Iterations: 1}, api.CodeBadRequest, "iterations must be 4096 to 10000000"},
		{"POST", api.PathAccounts, map[string]string{"jid": "bill@localhost", "pass": "secret"}, api.CodeBadRequest, "unknown field"},
		{"POST", api.PathAccounts, nil, api.CodeMediaType, "must be JSON"},
		{"POST", accountPath(api.PathAccountPassword, "none@localhost"), api.AccountPassword{Password: "x"}, api.CodeNotFound, "there is no account none@localhost"},
		{"POST", accountPath(api.PathAccountPassword, "romeo@localhost"), api.AccountPassword{}, api.CodeBadRequest, "the password is empty"},
		{"POST", accountPath(api.PathAccountPassword, "romeo@localhost"), api.AccountPassword{Password: long}, api.CodeBadRequest, "longer than"},
		{"POST", accountPath(api.PathAccountDisable, "none@localhost"), nil, api.CodeNotFound, "no account"},
		{"POST", accountPath(api.PathAccountEnable, "romeo@localhost/a"), nil, api.CodeBadRequest, "not the address"},
		{"POST", accountPath(api.PathAccountLogout, "none@localhost"), nil, api.CodeNotFound, "no account"},
		{"POST", accountPath(api.PathAccountLogout, "romeo@localhost") + "?text=%0a", nil, api.CodeBadRequest, "printable"},
		{"DELETE", accountPath(api.PathAccount, "none@localhost"), nil, api.CodeNotFound, "no account"},
		{"DELETE", accountPath(api.PathAccount, "@"), nil, api.CodeBadRequest, "not the address"},
	} {
		err := c.Do(t.Context(), x.method, x.path, nil, x.in, nil)
		if !hasCode(err, x.code) || !strings.Contains(err.Error(), x.text) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s %s: %v, want %s and %q", x.method, x.path, err, x.code, x.text)
		}
		if err := reader.Do(t.Context(), x.method, x.path, nil, x.in, nil); !hasCode(err, api.CodeForbidden) {
			t.Errorf("%s %s with a token to read: %v", x.method, x.path, err)
		}
	}
	after, err := s.store.LastAccountEvent(t.Context())
	if err != nil || before != after {
		t.Errorf("something has happened: event %d, before %d, %v", after, before, err)
	}
	if err := reader.Do(t.Context(), http.MethodGet, accountPath(api.PathAccount, "romeo@localhost"), nil, nil, new(api.AccountDetail)); err != nil {
		t.Errorf("a token to read: %v", err)
	}
	if err := c.Do(t.Context(), "POST", api.PathAccounts, nil, api.AccountCreate{JID: "bill@example.com", Password: "x", Iterations: store.MinIterations, AnyDomain: true}, nil); err != nil {
		t.Errorf("any domain: %v", err)
	}
}
