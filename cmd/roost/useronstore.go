package main

import (
	"cmp"
	"context"
	"errors"
	"time"

	"roost/admin"
	"roost/admin/api"
	"roost/jid"
	"roost/session"
	"roost/store"
)

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
	case errors.Is(err, store.ErrConflict):
		return errChanged{j}
	}
	return err
}

func (s onStore) show(ctx context.Context, j jid.JID) (d api.AccountDetail, err error) {
	a, err := s.Account(ctx, j)
	if err != nil {
		return d, storeError(j, err)
	}
	d.Account = describe(&a)
	d.Keys, d.Event = admin.DescribeKeys(&a.Credentials), a.Event
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
	return api.Account{JID: a.JID.String(), Created: a.Created, Disabled: a.Disabled, Used: admin.UsedAt(a)}
}

func (s onStore) each(ctx context.Context, which accountList, f func(api.Account) error) error {
	now := time.Now()
	each := func(a store.Account) error {
		if !which.use.IsZero() && !which.use.Selects(&a, now) {
			return nil
		}
		return f(describe(&a))
	}
	if which.lacking != nil {
		return store.EachLacking(ctx, s, *which.lacking, which.domain, each)
	}
	return store.EachAccount(ctx, s, which.domain, each)
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
		_, err = s.SetCredentials(ctx, j, cmp.Or(body.Event, store.AnyEvent), c, body.KeepSessions)
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
	if err == nil && disabled {
		_, err = session.RevokeTokens(ctx, s, j, "")
	}
	auditUser(s.audit, action, j.String(), nil, err)
	return s.changed(ctx, j, err)
}

func (s onStore) remove(ctx context.Context, j jid.JID, rule admin.UseRule) (err error) {
	if rule.IsZero() {
		err = s.DeleteAccount(ctx, j, store.AnyEvent)
	} else {
		err = rule.DeleteUnused(ctx, s, j)
	}
	err = storeError(j, err)
	auditUser(s.audit, "account.delete", j.String(), nil, err)
	return err
}

func (s onStore) tokens(ctx context.Context, j jid.JID) (api.TokenList, error) {
	a, err := s.Account(ctx, j)
	if err != nil {
		return api.TokenList{}, storeError(j, err)
	}
	clients, err := session.ListTokens(ctx, s, &a)
	return admin.DescribeTokens(clients), err
}

func (s onStore) revoke(ctx context.Context, j jid.JID, client string) (done api.TokensRevoked, err error) {
	action, object := "token.revokeAll", j.String()
	if client != "" {
		action, object = "token.revoke", object+" "+client
	}
	n := 0
	if _, err = s.Account(ctx, j); err != nil {
		err = storeError(j, err)
	} else {
		n, err = session.RevokeTokens(ctx, s, j, client)
	}
	auditUser(s.audit, action, object, nil, err)
	return api.TokensRevoked{Clients: int64(n)}, err
}

func (s onStore) existing(ctx context.Context, all []jid.JID) (map[string]bool, error) {
	set := make(map[string]bool)
	for _, j := range all {
		_, err := s.Account(ctx, j)
		if err == nil {
			set[j.String()] = true
		} else if !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
	}
	return set, nil
}

func (s onStore) importBatch(ctx context.Context, batch []store.AccountData, how api.AccountImport) (api.AccountsImported, error) {
	all := make([]store.Account, len(batch))
	for i := range batch {
		all[i] = batch[i].Account
	}
	created, existing, err := s.ImportAccounts(ctx, all, store.ImportModeOf(how.Update, how.KeepSessions))
	params := map[string]any{"accounts": addresses(batch), "update": how.Update, "keep_sessions": how.KeepSessions, "any_domain": how.AnyDomain}
	auditUser(s.audit, "account.import", "", params, err)
	return api.AccountsImported{Created: int64(created), Existing: int64(existing)}, err
}

// addresses are accounts as the server audits an import of them: without their keys.
func addresses(batch []store.AccountData) []map[string]string {
	all := make([]map[string]string, len(batch))
	for i := range batch {
		all[i] = map[string]string{"jid": batch[i].JID.String()}
	}
	return all
}
