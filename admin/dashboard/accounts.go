package dashboard

import (
	"net/http"
	"net/url"
	"strings"

	"roost/admin/api"
)

// accountsPage is what the list of accounts is made of.
type accountsPage struct {
	Name, Domain string // as they were given
	Error        string
	Accounts     []api.Account
	Next         string // URL of the next page; empty: this is the last one
}

var accountsLabels = labels{"prefix": "Name begins with", "domain": "Domain"}

func (d *Dashboard) accounts(v *visit) error {
	get := v.URL.Query().Get
	p := accountsPage{Name: strings.TrimSpace(get("name")), Domain: strings.TrimSpace(get("domain"))}
	if strings.Contains(p.Name, "@") {
		http.Redirect(v.w, v.Request, accountURL(p.Name, ""), http.StatusSeeOther)
		return nil
	}
	var list api.AccountPage
	var err error
	q := given(map[string]string{"prefix": p.Name, "domain": p.Domain, "cursor": get("cursor")})
	if p.Error, err = d.getList(v, accountsLabels, api.PathAccounts, q, &list); err != nil {
		return err
	}
	p.Accounts, p.Next = list.Accounts, v.nextPage(list.Cursor, 0)
	d.render(v, http.StatusOK, "accounts.html", "Accounts", &p)
	return nil
}

// accountURL is the address of the page of an account, after an action that was done.
func accountURL(bare, done string) string {
	q := url.Values{"jid": {bare}}
	if done != "" {
		q.Set("done", done)
	}
	return "/account?" + q.Encode()
}

// accountPath is the path of something about an account in the API.
func accountPath(path, bare string) string {
	return strings.Replace(path, "{jid}", url.PathEscape(bare), 1)
}

// accountPage is what the page of an account is made of.
type accountPage struct {
	api.AccountDetail
	Tokens api.TokenList
}

func (d *Dashboard) account(v *visit) error {
	bare := v.URL.Query().Get("jid")
	if bare == "" {
		return badInput("no account is given")
	}
	var p accountPage
	if err := d.cfg.API.Get(v.ctx, accountPath(api.PathAccount, bare), nil, &p.AccountDetail); err != nil {
		return noAccount(bare, err)
	}
	if err := d.cfg.API.Get(v.ctx, accountPath(api.PathAccountTokens, bare), nil, &p.Tokens); err != nil {
		return noAccount(bare, err)
	}
	d.render(v, http.StatusOK, "account.html", "Account", &p)
	return nil
}

// noAccount says for people that there is no account, if that is the error.
func noAccount(bare string, err error) error {
	return missing(err, "there is no account "+printable(bare), "look for it among the accounts")
}

// accountAction returns what changes an account by a request of the API.
func accountAction(path, done string) func(*Dashboard, *visit) error {
	return func(d *Dashboard, v *visit) error {
		bare := v.PostForm.Get("jid")
		if bare == "" {
			return badInput("no account is given")
		}
		if err := d.cfg.API.Do(v.ctx, http.MethodPost, accountPath(path, bare), nil, nil, nil); err != nil {
			return noAccount(bare, err)
		}
		http.Redirect(v.w, v.Request, accountURL(bare, done), http.StatusSeeOther)
		return nil
	}
}

// revokeToken revokes the token of a client.
func (d *Dashboard) revokeToken(v *visit) error {
	bare, client := v.PostForm.Get("jid"), v.PostForm.Get("client")
	if bare == "" || client == "" {
		return badInput("no client of an account is given")
	}
	path := strings.Replace(accountPath(api.PathAccountToken, bare), "{client}", url.PathEscape(client), 1)
	if err := d.cfg.API.Do(v.ctx, http.MethodDelete, path, nil, nil, nil); err != nil {
		return noAccount(bare, err)
	}
	http.Redirect(v.w, v.Request, accountURL(bare, "revoked"), http.StatusSeeOther)
	return nil
}
