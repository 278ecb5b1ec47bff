package migrate

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"roost/jid"
	"roost/store"
)

// offlinePage is how many bytes of messages are read at once.
const offlinePage = 1 << 20

// Export passes all accounts of a domain, or of all domains if it is empty, to f, in the
// order of ListAccounts. Accounts that are deleted meanwhile are left out.
func Export(ctx context.Context, s store.Store, domain string, f func(*store.AccountData) error) error {
	return store.EachAccount(ctx, s, domain, func(a store.Account) error {
		d, err := ReadAccount(ctx, s, a.JID)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return f(d)
	})
}

// ReadAccount reads an account with its data, or returns store.ErrNotFound. The data are in
// an order that depends only on them. Tokens of clients are not among them.
func ReadAccount(ctx context.Context, s store.Store, j jid.JID) (*store.AccountData, error) {
	for {
		d, err := readAccount(ctx, s, j)
		if err != nil {
			return nil, err
		}
		after, err := s.Account(ctx, j)
		if err != nil {
			return nil, err
		}
		if after.Generation == d.Generation { // otherwise it is about two accounts of the same name
			return d, nil
		}
	}
}

func readAccount(ctx context.Context, s store.Store, j jid.JID) (*store.AccountData, error) {
	a, err := s.Account(ctx, j)
	if err != nil {
		return nil, err
	}
	d := &store.AccountData{Account: a}
	state, err := s.LoginState(ctx, j)
	if err != nil {
		return nil, err
	}
	roster := &state.Roster
	d.Roster = roster.Items
	slices.SortFunc(d.Roster, func(a, b store.RosterItem) int { return strings.Compare(a.JID.String(), b.JID.String()) })
	if len(roster.Requests) > 0 {
		if d.Requests, err = s.SubscriptionRequests(ctx, j); err != nil {
			return nil, err
		}
	}
	if err := readMessages(ctx, s, d); err != nil {
		return nil, err
	}
	for _, address := range roster.Blocked {
		d.Blobs = append(d.Blobs, store.Blob{Kind: store.BlockedKind, Key: address})
	}
	for _, kind := range []string{PrivateKind, VCardKind} {
		if err := readBlobs(ctx, s, d, kind); err != nil {
			return nil, err
		}
	}
	last, err := s.LastActivity(ctx, j)
	if err == nil {
		d.Last = &last
	} else if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	d.Used = state.Used.End()
	if d.Last != nil {
		d.Used = store.LastUse(last.At.Unix(), state.Used)
	}
	return d, err
}

// Invitations passes the invitations for a domain, or for all domains if it is empty, that
// can be used at a time to f.
func Invitations(ctx context.Context, s store.Store, domain string, now time.Time, f func(*store.Invitation) error) error {
	after := ""
	for {
		page, err := s.ListInvitations(ctx, after, invitationPage)
		if err != nil {
			return err
		}
		for i := range page {
			after = page[i].ID
			if !page[i].Usable(now) || domain != "" && domain != page[i].Domain {
				continue
			}
			if err := f(&page[i]); err != nil {
				return err
			}
		}
		if len(page) < invitationPage {
			return nil
		}
	}
}

// invitationPage is how many invitations are read at once.
const invitationPage = 1000

// readMessages reads the stored messages of an account.
func readMessages(ctx context.Context, s store.Store, d *store.AccountData) error {
	var after int64
	for {
		page, more, err := s.Offline(ctx, d.JID, after, offlinePage)
		if err != nil {
			return err
		}
		for _, m := range page {
			d.Messages = append(d.Messages, store.NewMessage{Stanza: m.Stanza, Received: m.Received})
			after = m.ID
		}
		if !more {
			return nil
		}
	}
}

// readBlobs reads the values of one kind of an account.
func readBlobs(ctx context.Context, s store.Store, d *store.AccountData, kind string) error {
	keys, err := s.BlobKeys(ctx, d.JID, kind)
	if err != nil {
		return err
	}
	for _, key := range keys {
		value, err := s.Blob(ctx, d.JID, kind, key)
		if err != nil {
			return err
		}
		if value != nil {
			d.Blobs = append(d.Blobs, store.Blob{Kind: kind, Key: key, Value: value})
		}
	}
	return nil
}
