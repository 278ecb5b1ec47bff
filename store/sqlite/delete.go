package sqlite

import (
	"context"
	"errors"
	"time"

	"roost/jid"
	"roost/store"
)

// DeleteAccount implements store.Accounts. The foreign keys of the tables delete the
// account's data.
func (s *Store) DeleteAccount(ctx context.Context, bare jid.JID, was int64) error {
	return s.write(ctx, "DeleteAccount", "delete account "+bare.BareString(), deletes, func(c *conn) error {
		a, err := c.accountIf(bare, was)
		if err != nil {
			return err
		}
		return c.deleteAccount(a, bare)
	})
}

// DeleteUnused implements store.Accounts.
func (s *Store) DeleteUnused(ctx context.Context, bare jid.JID, unused, never time.Time) error {
	return s.write(ctx, "DeleteUnused", "delete unused account "+bare.BareString(), deletes, func(c *conn) error {
		a, err := c.accountRow(bare)
		if err != nil {
			return err
		}
		st, err := c.stmt(qAccountUse)
		if err != nil {
			return err
		}
		st.BindInt64(1, a.id)
		var listed store.Account
		err = each(st, func() error {
			listed.Created, listed.Used = numberTime(st.ColumnInt64(0)), store.LastUse(st.ColumnInt64(1), store.Day(st.ColumnInt64(2)))
			return nil
		})
		if err != nil {
			return err
		}
		if !listed.IsUnused(unused, never) {
			return store.ErrConflict
		}
		return c.deleteAccount(a, bare)
	})
}

func (c *conn) deleteAccount(a accountRow, bare jid.JID) error {
	c.freed, c.scrub = true, true
	contacts, err := c.endSubscriptions(a, bare)
	if err != nil {
		return err
	}
	st, err := c.account(qDeleteAccount, bare)
	if err != nil {
		return err
	}
	event, err := c.change(st, bare, store.AccountDeleted)
	if err != nil {
		return err
	}
	if err := c.bury(bare, time.Now()); err != nil {
		return err
	}
	return c.putEventContacts(event, contacts)
}

// endSubscriptions removes an account's subscriptions, pending requests and pre-approvals
// from the rosters of other accounts, because the next account of its name belongs to
// someone else. It returns what those rosters had.
func (c *conn) endSubscriptions(a accountRow, bare jid.JID) (ended []eventContact, err error) {
	items, err := c.rosterItems(a.id)
	if err != nil {
		return nil, err
	}
	requests, err := c.rosterRequests(a.id)
	if err != nil {
		return nil, err
	}
	var contacts []jid.JID
	for i := range items {
		if items[i].Subscription != store.None || items[i].Ask {
			contacts = append(contacts, items[i].JID)
		}
	}
	for _, from := range requests {
		contact, err := jid.Parse(from)
		if err != nil {
			return nil, err
		}
		contacts = append(contacts, contact)
	}
	approvers, err := c.approvers(bare)
	if err != nil {
		return nil, err
	}
	for _, contact := range append(contacts, approvers...) {
		state, err := c.endSubscription(contact, bare)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		if state != 0 {
			ended = append(ended, eventContact{contact, state})
		}
	}
	return ended, nil
}

// approvers returns the accounts that have pre-approved a contact.
func (c *conn) approvers(contact jid.JID) (all []jid.JID, err error) {
	st, err := c.stmt(qApprovers)
	if err != nil {
		return nil, err
	}
	st.BindText(1, contact.BareString())
	err = each(st, func() error {
		j, err := jid.New(st.ColumnText(1), st.ColumnText(0), "")
		all = append(all, j)
		return err
	})
	return all, err
}

// endSubscription ends the subscriptions and requests between one account and another in
// the first one's roster. The item stays. It returns the former state of the item, with
// statePending, or store.ErrNotFound if the account does not exist.
func (c *conn) endSubscription(owner, with jid.JID) (state int64, err error) {
	a, err := c.accountRow(owner)
	if err != nil {
		return 0, err
	}
	pending, err := c.execContact(qDeleteRequest, a.id, with.Bare())
	if err != nil {
		return 0, err
	}
	if state, err = c.itemState(a.id, with.Bare()); err != nil {
		return 0, err
	}
	item := state
	if pending != 0 {
		state |= statePending
	}
	if item == 0 {
		return state, nil
	}
	st, err := c.stmt(qEndSubscription)
	if err != nil {
		return 0, err
	}
	st.BindInt64(1, a.id)
	st.BindText(2, with.BareString())
	st.BindInt64(3, a.version+1)
	if _, err := c.run(st); err != nil {
		return 0, err
	}
	return state, c.execInts(qSetVersion, a.id, a.version+1, a.floor)
}
