package main

import (
	"context"
	"errors"
	"log/slog"
	"os"

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
	each(ctx context.Context, which accountList, f func(api.Account) error) error
	add(context.Context, jid.JID, *api.AccountCreate) (api.Account, error)
	setPassword(context.Context, jid.JID, *api.AccountPassword) (api.Account, error)
	setDisabled(ctx context.Context, j jid.JID, disabled bool) (api.Account, error)
	remove(context.Context, jid.JID, admin.UseRule) error // with a rule, only if it selects the account
	tokens(context.Context, jid.JID) (api.TokenList, error)
	revoke(ctx context.Context, j jid.JID, client string) (api.TokensRevoked, error) // empty: all clients

	importTarget // it stores the addresses and keys of accounts, and no other data
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
		return c.explain(data.Data, f(ctx, onServer{client}))
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

// auditUser records what roost user has done to the store.
func auditUser(audit *admin.Audit, action, object string, params map[string]any, err error) {
	auditCommand(audit, "roost user", action, object, params, err)
}

// auditCommand records what a command has done itself.
func auditCommand(audit *admin.Audit, command, action, object string, params map[string]any, err error) {
	e := admin.AuditEntry{Actor: admin.LocalActor(), From: command, Action: action, Object: object, Params: params, Result: "ok"}
	var exists errExists
	var missing errMissing
	var changed errChanged
	var password store.PasswordError
	switch {
	case err == nil:
	case errors.As(err, &exists), errors.As(err, &changed):
		e.Result = string(api.CodeConflict)
	case errors.As(err, &missing):
		e.Result = string(api.CodeNotFound)
	case errors.As(err, &password):
		e.Result = string(api.CodeBadRequest)
	default:
		e.Result = string(api.CodeInternal)
	}
	audit.Record(e)
}
