package dashboard

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
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

func (d *Dashboard) accounts(v *visit) error {
	get := v.URL.Query().Get
	p := accountsPage{Name: strings.TrimSpace(get("name")), Domain: strings.TrimSpace(get("domain"))}
	if strings.Contains(p.Name, "@") {
		http.Redirect(v.w, v.Request, accountURL(p.Name, ""), http.StatusSeeOther)
		return nil
	}
	q := url.Values{"limit": {strconv.Itoa(perPage)}}
	for name, value := range map[string]string{"prefix": p.Name, "domain": p.Domain, "cursor": get("cursor")} {
		if value != "" {
			q.Set(name, value)
		}
	}
	var list api.AccountPage
	err := d.cfg.API.Get(v.ctx, api.PathAccounts, q, &list)
	var e *api.Error
	switch {
	case errors.As(err, &e) && e.Status == http.StatusBadRequest:
		p.Error = sentence(e.Error()) + "."
	case err != nil:
		return err
	}
	p.Accounts = list.Accounts
	if list.Cursor != "" {
		next := v.URL.Query()
		next.Set("cursor", list.Cursor)
		next.Del("done")
		p.Next = "/accounts?" + next.Encode()
	}
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

func (d *Dashboard) account(v *visit) error {
	bare := v.URL.Query().Get("jid")
	if bare == "" {
		return badInput("no account is given")
	}
	var p api.AccountDetail
	if err := d.cfg.API.Get(v.ctx, accountPath(api.PathAccount, bare), nil, &p); err != nil {
		return noAccount(bare, err)
	}
	d.render(v, http.StatusOK, "account.html", "Account", &p)
	return nil
}

// noAccount says for people that there is no account, if that is the error.
func noAccount(bare string, err error) error {
	var e *api.Error
	if errors.As(err, &e) && e.Status == http.StatusNotFound {
		return &api.Error{Status: e.Status, Code: e.Code, Message: "there is no account " + printable(bare), Hint: "look for it among the accounts"}
	}
	return err
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
