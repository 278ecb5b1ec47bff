package main

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"roost/admin"
	"roost/admin/api"
	"roost/jid"
	"roost/store"
)

// onServer is the running server.
type onServer struct{ *api.Client }

// serverError is the error of a request for an account.
func serverError(j jid.JID, err error) error {
	var e *api.Error
	switch {
	case !errors.As(err, &e):
		return err
	case e.Code == api.CodeNotFound:
		return errMissing{j}
	case e.Code == api.CodeConflict:
		return errChanged{j}
	}
	return err
}

func accountPath(path string, j jid.JID) string {
	return strings.Replace(path, "{jid}", url.PathEscape(j.String()), 1)
}

func (s onServer) do(ctx context.Context, method, path string, j jid.JID, in, out any) error {
	return serverError(j, s.Do(ctx, method, accountPath(path, j), nil, in, out))
}

func (s onServer) show(ctx context.Context, j jid.JID) (d api.AccountDetail, err error) {
	return d, s.do(ctx, http.MethodGet, api.PathAccount, j, nil, &d)
}

func (s onServer) each(ctx context.Context, which accountList, f func(api.Account) error) error {
	q := url.Values{"limit": {strconv.Itoa(maxPage)}}
	if which.domain != "" {
		q.Set("domain", which.domain)
	}
	if which.lacking != nil {
		q.Set("lacking", which.lacking.Mechanism())
	}
	ruleQuery(q, which.use)
	return eachPage(ctx, s.Client, api.PathAccounts, q, func(p *api.AccountPage) (next string, err error) {
		for _, a := range p.Accounts {
			if err := f(a); err != nil {
				return "", err
			}
		}
		return p.Cursor, nil
	})
}

func (s onServer) add(ctx context.Context, j jid.JID, body *api.AccountCreate) (a api.Account, err error) {
	err = s.do(ctx, http.MethodPost, api.PathAccounts, j, body, &a)
	if errors.As(err, new(errChanged)) {
		err = errExists{j}
	}
	return a, err
}

func (s onServer) setPassword(ctx context.Context, j jid.JID, body *api.AccountPassword) (a api.Account, err error) {
	return a, s.do(ctx, http.MethodPost, api.PathAccountPassword, j, body, &a)
}

func (s onServer) setDisabled(ctx context.Context, j jid.JID, disabled bool) (a api.Account, err error) {
	path := api.PathAccountEnable
	if disabled {
		path = api.PathAccountDisable
	}
	return a, s.do(ctx, http.MethodPost, path, j, nil, &a)
}

func (s onServer) remove(ctx context.Context, j jid.JID, rule admin.UseRule) error {
	return serverError(j, s.Do(ctx, http.MethodDelete, accountPath(api.PathAccount, j), ruleQuery(url.Values{}, rule), nil, nil))
}

// ruleQuery adds a rule to the parameters of a request.
func ruleQuery(q url.Values, rule admin.UseRule) url.Values {
	for name, days := range map[string]int{"unused_days": rule.Unused, "never_used_days": rule.Never} {
		if days > 0 {
			q.Set(name, strconv.Itoa(days))
		}
	}
	return q
}

func (s onServer) tokens(ctx context.Context, j jid.JID) (list api.TokenList, err error) {
	return list, s.do(ctx, http.MethodGet, api.PathAccountTokens, j, nil, &list)
}

func (s onServer) revoke(ctx context.Context, j jid.JID, client string) (done api.TokensRevoked, err error) {
	path := api.PathAccountTokens
	if client != "" {
		path = strings.Replace(api.PathAccountToken, "{client}", url.PathEscape(client), 1)
	}
	return done, s.do(ctx, http.MethodDelete, path, j, nil, &done)
}

func (s onServer) existing(ctx context.Context, all []jid.JID) (map[string]bool, error) {
	q := api.AccountLookup{JIDs: make([]string, len(all))}
	for i, j := range all {
		q.JIDs[i] = j.String()
	}
	var found api.AccountsFound
	if err := s.Do(ctx, http.MethodPost, api.PathAccountLookup, nil, q, &found); err != nil {
		return nil, err
	}
	set := make(map[string]bool)
	for _, j := range found.JIDs {
		set[j] = true
	}
	return set, nil
}

func (s onServer) importBatch(ctx context.Context, batch []store.AccountData, how api.AccountImport) (done api.AccountsImported, err error) {
	how.Accounts = imported(batch)
	return done, s.Do(ctx, http.MethodPost, api.PathAccountImport, nil, how, &done)
}

// imported are accounts as they are sent to a server.
func imported(batch []store.AccountData) []api.ImportedAccount {
	all := make([]api.ImportedAccount, len(batch))
	for i := range batch {
		all[i] = api.ImportedAccount{JID: batch[i].JID.String(), Keys: admin.ImportedKeys(&batch[i].Credentials)}
	}
	return all
}
