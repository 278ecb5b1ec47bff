package dashboard

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"roost/admin/api"
)

// asked is a request that the API got.
type asked struct {
	method, path, query string
	body                string
}

// record makes the API respond with a status and a body, and returns what it was asked.
func (f *fixture) record(status int, body any) *[]asked {
	all := new([]asked)
	f.respond = func(r *http.Request) (int, any) {
		a := asked{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, ""}
		if r.Body != nil {
			var v any
			if err := json.NewDecoder(r.Body).Decode(&v); err == nil {
				text, _ := json.Marshal(v)
				a.body = string(text)
			}
		}
		*all = append(*all, a)
		return status, body
	}
	return all
}

// TestAccounts: the list with its filters, in pages.
func TestAccounts(t *testing.T) {
	f := newFixture(t).login("secret-r")
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	got := f.record(200, api.AccountPage{Cursor: "c=", Accounts: []api.Account{
		{JID: "romeo@example.org", Created: created, Disabled: true}, {JID: "<b>&\u202e@example.org", Sessions: 1234},
	}})
	page := f.page("/accounts?name=ro&domain=example.org&cursor=x&done=enabled")
	if want := (asked{"GET", "/v1/accounts", "cursor=x&domain=example.org&limit=50&prefix=ro", ""}); (*got)[0] != want {
		t.Errorf("%+v, want %+v", (*got)[0], want)
	}
	for _, want := range []string{"disabled</span>", "1,234", "2026-01-02 03:04 UTC", `href="/account?jid=romeo%40example.org"`, "&lt;b&gt;&amp;\ufffd@example.org",
		"/accounts?cursor=c%3D&amp;domain=example.org&amp;name=ro", "It may log in again."} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	f.wantTo(f.do("GET", "/accounts?name=romeo@example.org", nil, nil), "/account?jid=romeo%40example.org")
	f.record(400, api.ErrorResponse{Error: api.Error{Code: api.CodeBadRequest, Message: "prefix needs a domain"}})
	if page := f.page("/accounts?name=ro"); !strings.Contains(page, "Prefix needs a domain.") {
		t.Error(page)
	}
	f.record(200, api.AccountPage{})
	if page := f.page("/accounts"); !strings.Contains(page, "No account matches") {
		t.Error(page)
	}
}

// TestAccountTokens: clients with tokens are listed; those who may write can revoke them.
func TestAccountTokens(t *testing.T) {
	f := newFixture(t).login("secret-w")
	var asks []string
	f.respond = func(r *http.Request) (int, any) {
		asks = append(asks, r.Method+" "+r.URL.EscapedPath())
		if strings.HasSuffix(r.URL.Path, "/tokens") {
			used := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			return 200, api.TokenList{Clients: []api.TokenClient{{ID: "id-1", Software: "<b>", Device: "My phone", Used: used}, {ID: "id-2"}}}
		}
		return 200, api.AccountDetail{Account: api.Account{JID: "romeo@example.org"}}
	}
	page := f.page("/account?jid=romeo@example.org")
	for _, want := range []string{"&lt;b&gt;", "My phone", "2026-01-02 03:04 UTC", `value="id-1"`, "<bdi>id-2</bdi>"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	form := f.form(page, "/account/revoke")
	form.Set("jid", "romeo@example.org")
	form.Set("client", "id/2")
	asks = nil
	f.wantTo(f.do("POST", "/account/revoke", form, nil), "/account?done=revoked&jid="+url.QueryEscape("romeo@example.org"))
	if want := "DELETE /v1/accounts/romeo@example.org/tokens/id%2F2"; len(asks) != 1 || asks[0] != want {
		t.Errorf("%q, want %q", asks, want)
	}
	form.Del("client")
	f.want(f.do("POST", "/account/revoke", form, nil), 400)
	f.login("secret-r")
	if page := f.page("/account?jid=romeo@example.org"); !strings.Contains(page, "My phone") || strings.Contains(page, "/account/revoke") {
		t.Error(page)
	}
}

// TestAccount: what can be done with an account, by whom and in which state of it.
func TestAccount(t *testing.T) {
	f := newFixture(t).login("secret-w")
	const bare = "ro<m>eo@example.org"
	account := api.AccountDetail{Account: api.Account{JID: bare, Sessions: 2}, OfflineMessages: 7}
	got := f.record(200, &account)
	page := f.page("/account?jid=" + url.QueryEscape(bare))
	if (*got)[0].path != "/v1/accounts/ro%3Cm%3Eeo@example.org" {
		t.Errorf("%+v", (*got)[0])
	}
	if strings.Contains(page, "/account/enable") || !strings.Contains(page, "2 sessions") || !strings.Contains(page, "7 wait for it") || strings.Contains(page, "<m>") {
		t.Error(page)
	}
	for path, done := range map[string]string{"disable": "disabled", "logout": "loggedout"} {
		form := f.form(page, "/account/"+path)
		f.want(f.do("POST", "/account/"+path, form, nil), 400)
		form.Set("jid", bare)
		*got = nil
		f.wantTo(f.do("POST", "/account/"+path, form, nil), "/account?done="+done+"&jid="+url.QueryEscape(bare))
		if len(*got) != 1 || (*got)[0] != (asked{"POST", "/v1/accounts/ro%3Cm%3Eeo@example.org/" + path, "", ""}) {
			t.Errorf("%+v", *got)
		}
	}
	account.Disabled, account.Sessions = true, 0
	page = f.page("/account?jid=" + url.QueryEscape(bare))
	if strings.Contains(page, "/account/disable") || strings.Contains(page, "/account/logout") {
		t.Error(page)
	}
	form := f.form(page, "/account/enable")
	form.Set("jid", bare)
	f.wantTo(f.do("POST", "/account/enable", form, nil), "/account?done=enabled&jid="+url.QueryEscape(bare))

	f.record(404, api.ErrorResponse{Error: api.Error{Code: api.CodeNotFound, Message: "no"}})
	if text := f.want(f.do("GET", "/account?jid=x", nil, nil), 404); !strings.Contains(text, "There is no account x") {
		t.Error(text)
	}
	f.want(f.do("GET", "/account", nil, nil), 400)
	f.record(200, &account)
	f.login("secret-r")
	if page := f.page("/account?jid=x"); strings.Contains(page, `method="post" action="/account/`) {
		t.Error("who may only read gets a form")
	}
}
