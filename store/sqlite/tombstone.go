package sqlite

import (
	"context"
	"time"

	"roost/jid"
	"roost/store"
)

// A tombstone keeps the name of a deleted account for RegisterAccount.

// RegisterAccount implements store.Accounts.
func (s *Store) RegisterAccount(ctx context.Context, a store.Account, since time.Time) error {
	return s.write(ctx, "RegisterAccount", "register account "+a.JID.BareString(), 0, func(c *conn) error {
		return c.register(&a, since, "")
	})
}

// register adds an account for which the invitation id reserves the name, if any does.
func (c *conn) register(a *store.Account, since time.Time, id string) error {
	if _, err := c.forgetTombstones(since, noLimit); err != nil {
		return err
	}
	held, err := c.hasTombstone(a.JID)
	if err == nil && !held {
		held, err = c.reserved(a.JID, time.Now(), id)
	}
	if err != nil {
		return err
	}
	if held {
		return store.ErrHeld
	}
	created, err := c.insertAccount(a)
	if err == nil && !created {
		return store.ErrExists
	}
	return err
}

// bury does for a deleted account what its foreign keys do not: it deletes the account's
// invitations and keeps its name.
func (c *conn) bury(bare jid.JID, now time.Time) error {
	if _, err := c.execText(qDeleteInvitationsOf, bare.BareString()); err != nil {
		return err
	}
	return c.putTombstone(bare, now)
}

// putTombstone keeps the name of an account that was deleted, and forgets those that are too
// old for any use.
func (c *conn) putTombstone(bare jid.JID, now time.Time) error {
	if _, err := c.forgetTombstones(now.Add(-store.HoldLimit), noLimit); err != nil {
		return err
	}
	st, err := c.stmt(qPutTombstone)
	if err != nil {
		return err
	}
	st.BindText(1, bare.BareString())
	st.BindInt64(2, now.Unix())
	_, err = c.run(st)
	return err
}

// noLimit is the limit of SQLite for any number of rows.
const noLimit = -1

// forgetTombstones forgets names of accounts that were deleted before a time, limit at most,
// and returns their number.
func (c *conn) forgetTombstones(before time.Time, limit int64) (forgotten int, err error) {
	st, err := c.stmt(qForgetTombstones)
	if err != nil {
		return 0, err
	}
	st.BindInt64(1, before.Unix())
	st.BindInt64(2, limit)
	return c.run(st)
}

// hasTombstone reports whether a name is that of a deleted account.
func (c *conn) hasTombstone(bare jid.JID) (has bool, err error) {
	st, err := c.stmt(qTombstone)
	if err != nil {
		return false, err
	}
	st.BindText(1, bare.BareString())
	err = each(st, func() error {
		has = true
		return nil
	})
	return has, err
}
