package sqlite

import (
	"context"

	"roost/store"
)

// ImportAccounts implements store.Accounts.
func (s *Store) ImportAccounts(ctx context.Context, accounts []store.Account, mode store.ImportMode) (created, existing int, err error) {
	kind := store.CredentialsChanged
	if mode == store.UpdateQuietly {
		kind = store.CredentialsRenewed
	}
	err = s.write(ctx, "ImportAccounts", "import accounts", 0, func(c *conn) error {
		for i := range accounts {
			a := &accounts[i]
			isNew, err := c.insertAccount(a)
			if err == nil && !isNew && mode != store.SkipExisting {
				_, err = c.setCredentials(a.JID, &a.Credentials, kind)
			}
			if err != nil {
				return err
			}
			if isNew {
				created++
			} else {
				existing++
			}
		}
		return nil
	})
	if err != nil {
		return 0, 0, err
	}
	return created, existing, nil
}

// CreateAccounts implements store.Accounts.
func (s *Store) CreateAccounts(ctx context.Context, all []store.AccountData) ([]bool, error) {
	created := make([]bool, len(all))
	err := s.write(ctx, "CreateAccounts", "create accounts", 0, func(c *conn) error {
		for i := range all {
			var err error
			if created[i], err = c.insertAccount(&all[i].Account); err == nil && created[i] {
				err = c.fillAccount(&all[i])
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return created, nil
}

// fillAccount stores the data of a new account.
func (c *conn) fillAccount(d *store.AccountData) error {
	a, err := c.accountRow(d.JID)
	if err != nil {
		return err
	}
	for i := range d.Roster {
		a.version++
		if err := c.putItem(a.id, &d.Roster[i], a.version); err != nil {
			return err
		}
	}
	if len(d.Roster) > 0 {
		if err := c.execInts(qSetVersion, a.id, a.version, a.floor); err != nil {
			return err
		}
	}
	for i := range d.Requests {
		if err := c.applyRequests(a.id, &store.RosterUpdate{AddRequest: &d.Requests[i]}); err != nil {
			return err
		}
	}
	for _, m := range d.Messages {
		if err := c.appendOffline(d.JID, m, store.OfflineQuota{}); err != nil {
			return err
		}
	}
	for _, b := range d.Blobs { // after the messages, which it may block
		tx := &blobTx{c: c, account: a.id, kind: b.Kind}
		if err := tx.Put(b.Key, b.Value); err != nil {
			return err
		}
	}
	if d.Last == nil {
		return nil
	}
	return c.setLastActivity(&store.LastActivity{Owner: d.JID, At: d.Last.At, Status: d.Last.Status})
}
