package memstore

import (
	"context"
	"slices"
	"strings"

	"roost/store"
)

// CreateAccounts implements store.Accounts.
func (s *Store) CreateAccounts(ctx context.Context, all []store.AccountData) ([]bool, error) {
	created := make([]bool, len(all))
	err := s.write(ctx, "CreateAccounts", "create accounts", func(t *tx) error {
		for i := range all {
			if created[i] = t.create(&all[i].Account); !created[i] {
				continue
			}
			if err := t.fill(&all[i]); err != nil {
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

// fill stores the data of a new account.
func (t *tx) fill(d *store.AccountData) error {
	a, err := t.account(d.JID)
	if err != nil {
		return err
	}
	for i := range d.Roster {
		if err := a.apply(&store.RosterUpdate{Put: &d.Roster[i]}); err != nil {
			return err
		}
	}
	for i := range d.Requests {
		a.addRequest(&d.Requests[i])
	}
	for _, m := range d.Messages {
		if _, err := t.appendOffline(d.JID, m, store.OfflineQuota{}); err != nil {
			return err
		}
	}
	for _, b := range d.Blobs { // after the messages, which it may block
		if err := store.CheckKey(b.Key); err != nil {
			return err
		}
		a.blobs[blobKey{strings.Clone(b.Kind), strings.Clone(b.Key)}] = append([]byte{}, b.Value...)
	}
	if d.Last != nil {
		a.last = &store.LastActivity{Owner: a.JID, At: seconds(d.Last.At), Status: slices.Clone(d.Last.Status)}
	}
	return nil
}
