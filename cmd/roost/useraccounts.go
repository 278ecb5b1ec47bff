package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"roost/admin"
	"roost/admin/api"
	"roost/internal/cli"
	"roost/jid"
	"roost/store"
)

// accounts is where accounts are kept: in a running server, or in a store. Errors are
// errExists and errMissing, or others.
type accounts interface {
	show(context.Context, jid.JID) (api.AccountDetail, error)
	each(ctx context.Context, domain string, f func(api.Account) error) error
	add(context.Context, jid.JID, *api.AccountCreate) (api.Account, error)
	setPassword(context.Context, jid.JID, *api.AccountPassword) (api.Account, error)
	setDisabled(ctx context.Context, j jid.JID, disabled bool) (api.Account, error)
	remove(context.Context, jid.JID) error
}

// opener opens the store.
type opener func(context.Context) (store.Store, error)

// accounts calls f with the running server, or with the store if none runs or the store is
// named, and with a context that ends when the command is interrupted.
func (c *userFlags) accounts(data *dataFlags, open opener, f func(context.Context, accounts) error) (err error) {
	ctx, stop := cli.Interrupted()
	defer stop()
	client, err := c.server(ctx, data)
	if err != nil {
		return err
	}
	if client != nil {
		defer client.Close()
		return f(ctx, onServer{client})
	}
	return c.stored(ctx, open, func(ctx context.Context, s store.Store, audit *admin.Audit) error {
		return f(ctx, onStore{s, audit})
	})
}

// server returns a client of the running server, or nil.
func (c *userFlags) server(ctx context.Context, data *dataFlags) (*api.Client, error) {
	if c.URL == "" && data.Store != "" {
		return nil, nil
	}
	client, err := c.client(data.Data)
	if err != nil || c.URL != "" {
		return client, err
	}
	err = c.explain(data.Data, client.Get(ctx, api.PathReady, nil, new(api.Health)))
	if err == nil {
		return client, nil
	}
	client.Close()
	var none errNoServer
	if errors.As(err, &none) {
		err = nil
	}
	return nil, err
}

// stored calls f with the store and the audit log, which is opened before anything is
// changed.
func (c *auditFlag) stored(ctx context.Context, open opener, f func(context.Context, store.Store, *admin.Audit) error) (err error) {
	s, err := open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	audit, err := c.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, audit.Close()) }()
	return f(ctx, s, audit)
}

// open opens the audit log; nil if there is none.
func (c *auditFlag) open() (*admin.Audit, error) {
	if c.Audit == "" {
		return nil, nil
	}
	return admin.OpenAudit(c.Audit, slog.New(slog.NewTextHandler(os.Stderr, nil)))
}

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
		return errExists{j}
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

func (s onServer) each(ctx context.Context, domain string, f func(api.Account) error) error {
	q := url.Values{"limit": {strconv.Itoa(maxPage)}}
	if domain != "" {
		q.Set("domain", domain)
	}
	for {
		var p api.AccountPage
		if err := s.Get(ctx, api.PathAccounts, q, &p); err != nil {
			return err
		}
		for _, a := range p.Accounts {
			if err := f(a); err != nil {
				return err
			}
		}
		if p.Cursor == "" {
			return nil
		}
		q.Set("cursor", p.Cursor)
	}
}

func (s onServer) add(ctx context.Context, j jid.JID, body *api.AccountCreate) (a api.Account, err error) {
	return a, s.do(ctx, http.MethodPost, api.PathAccounts, j, body, &a)
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

func (s onServer) remove(ctx context.Context, j jid.JID) error {
	return s.do(ctx, http.MethodDelete, api.PathAccount, j, nil, nil)
}

// onStore is a store that no server uses, as far as is known.
type onStore struct {
	store.Store
	audit *admin.Audit
}

// storeError is an error of the store about an account.
func storeError(j jid.JID, err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return errMissing{j}
	case errors.Is(err, store.ErrExists):
		return errExists{j}
	}
	return err
}

// auditUser records what roost user has done to the store.
func auditUser(audit *admin.Audit, action, object string, params map[string]any, err error) {
	auditCommand(audit, "roost user", action, object, params, err)
}

// auditCommand records what a command has done itself.
func auditCommand(audit *admin.Audit, command, action, object string, params map[string]any, err error) {
	e := admin.AuditEntry{Actor: admin.LocalActor(), From: command, Action: action, Object: object, Params: params, Result: "ok"}
	var exists errExists
	var missing errMissing
	switch {
	case err == nil:
	case errors.As(err, &exists):
		e.Result = string(api.CodeConflict)
	case errors.As(err, &missing):
		e.Result = string(api.CodeNotFound)
	case errors.Is(err, store.ErrPassword):
		e.Result = string(api.CodeBadRequest)
	default:
		e.Result = string(api.CodeInternal)
	}
	audit.Record(e)
}

func (s onStore) show(ctx context.Context, j jid.JID) (d api.AccountDetail, err error) {
	a, err := s.Account(ctx, j)
	if err != nil {
		return d, storeError(j, err)
	}
	d.Account = describe(&a)
	d.Iterations = int64(a.Credentials.Iterations)
	n, err := s.CountOffline(ctx, j)
	if err != nil {
		return d, err
	}
	d.OfflineMessages = int64(n)
	last, err := s.LastActivity(ctx, j)
	if err == nil {
		d.LastSeen = &last.At
	} else if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	return d, err
}

// describe is what is told of an account while no server runs.
func describe(a *store.Account) api.Account {
	return api.Account{JID: a.JID.String(), Created: a.Created, Disabled: a.Disabled}
}

func (s onStore) each(ctx context.Context, domain string, f func(api.Account) error) error {
	return store.EachAccount(ctx, s, domain, func(a store.Account) error { return f(describe(&a)) })
}

// changed returns an account after a change with this result.
func (s onStore) changed(ctx context.Context, j jid.JID, err error) (api.Account, error) {
	if err != nil {
		return api.Account{}, err
	}
	a, err := s.Account(ctx, j)
	return describe(&a), storeError(j, err)
}

func (s onStore) add(ctx context.Context, j jid.JID, body *api.AccountCreate) (api.Account, error) {
	c, err := store.NewCredentials(body.Password, body.Iterations)
	if err == nil {
		err = storeError(j, s.CreateAccount(ctx, store.Account{JID: j, Credentials: c}))
	}
	auditUser(s.audit, "account.create", j.String(), map[string]any{"iterations": body.Iterations, "any_domain": body.AnyDomain}, err)
	return s.changed(ctx, j, err)
}

func (s onStore) setPassword(ctx context.Context, j jid.JID, body *api.AccountPassword) (api.Account, error) {
	c, err := store.NewCredentials(body.Password, body.Iterations)
	if err == nil {
		_, err = s.SetCredentials(ctx, j, store.AnyEvent, c, body.KeepSessions)
		err = storeError(j, err)
	}
	auditUser(s.audit, "account.password", j.String(), map[string]any{"iterations": body.Iterations, "keep_sessions": body.KeepSessions}, err)
	return s.changed(ctx, j, err)
}

func (s onStore) setDisabled(ctx context.Context, j jid.JID, disabled bool) (api.Account, error) {
	action := "account.enable"
	if disabled {
		action = "account.disable"
	}
	err := storeError(j, s.SetDisabled(ctx, j, disabled))
	auditUser(s.audit, action, j.String(), nil, err)
	return s.changed(ctx, j, err)
}

func (s onStore) remove(ctx context.Context, j jid.JID) error {
	err := storeError(j, s.DeleteAccount(ctx, j, store.AnyEvent))
	auditUser(s.audit, "account.delete", j.String(), nil, err)
	return err
}
