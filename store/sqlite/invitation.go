package sqlite

import (
	"context"
	"errors"
	"time"

	"zombiezen.com/go/sqlite"

	"roost/jid"
	"roost/store"
)

// CreateInvitation implements store.Invitations.
func (s *Store) CreateInvitation(ctx context.Context, i store.Invitation, limit int) error {
	return s.write(ctx, "CreateInvitation", "create an invitation", 0, func(c *conn) error {
		if err := c.mayInvite(&i, limit); err != nil {
			return err
		}
		if err := c.execInts(qForgetInvitations, i.Created.Add(-store.KeepInvitations).Unix()); err != nil {
			return err
		}
		st, err := c.stmt(qPutInvitation)
		if err != nil {
			return err
		}
		for n, text := range []string{i.ID, i.Domain, i.Localpart, i.Inviter, i.Actor} {
			st.BindText(1+n, text)
		}
		st.BindBool(6, i.Contact)
		st.BindInt64(7, int64(i.Uses))
		st.BindInt64(8, i.Created.Unix())
		st.BindInt64(9, i.Until.Unix())
		_, err = c.run(st)
		return err
	})
}

// mayInvite returns an error if an invitation cannot be created.
func (c *conn) mayInvite(i *store.Invitation, limit int) error {
	st, err := c.stmt(qCountInvitations)
	if err != nil {
		return err
	}
	st.BindText(1, i.Inviter)
	st.BindInt64(2, i.Created.Unix())
	others := 0
	if err := each(st, func() error { others = st.ColumnInt(0); return nil }); err != nil {
		return err
	}
	if others >= limit {
		return store.ErrQuota
	}
	if i.Localpart == "" {
		return nil
	}
	name, err := jid.New(i.Localpart, i.Domain, "")
	if err != nil {
		return err
	}
	if _, err := c.accountRow(name); !errors.Is(err, store.ErrNotFound) {
		return errors.Join(err, store.ErrExists)
	}
	taken, err := c.hasTombstone(name)
	if err == nil && !taken {
		taken, err = c.reserved(name, i.Created, "")
	}
	if err == nil && taken {
		err = store.ErrExists
	}
	return err
}

// reserved reports whether an invitation other than the one with the ID except reserves a name.
func (c *conn) reserved(name jid.JID, now time.Time, except string) (is bool, err error) {
	st, err := c.account(qReserved, name)
	if err != nil {
		return false, err
	}
	st.BindInt64(3, now.Unix())
	st.BindText(4, except)
	err = each(st, func() error { is = true; return nil })
	return is, err
}

// readInvitation returns the invitation of a row.
func readInvitation(st *sqlite.Stmt) store.Invitation {
	return store.Invitation{
		ID: st.ColumnText(0), Domain: st.ColumnText(1), Localpart: st.ColumnText(2), Inviter: st.ColumnText(3), Actor: st.ColumnText(4),
		Contact: st.ColumnBool(5), Uses: st.ColumnInt(6), Created: numberTime(st.ColumnInt64(7)), Until: numberTime(st.ColumnInt64(8)),
	}
}

// invitation returns an invitation, or store.ErrNotFound.
func (c *conn) invitation(id string) (i store.Invitation, err error) {
	st, err := c.stmt(qInvitation)
	if err != nil {
		return i, err
	}
	st.BindText(1, id)
	err = each(st, func() error { i = readInvitation(st); return nil })
	if err == nil && i.ID == "" {
		err = store.ErrNotFound
	}
	return i, err
}

// Invitation implements store.Invitations.
func (s *Store) Invitation(ctx context.Context, id string) (i store.Invitation, err error) {
	err = s.read(ctx, "Invitation", "read an invitation", func(c *conn) (err error) {
		i, err = c.invitation(id)
		return err
	})
	return i, err
}

// ListInvitations implements store.Invitations.
func (s *Store) ListInvitations(ctx context.Context, after string, limit int) (all []store.Invitation, err error) {
	err = s.read(ctx, "ListInvitations", "list invitations", func(c *conn) error {
		st, err := c.stmt(qListInvitations)
		if err != nil {
			return err
		}
		st.BindText(1, after)
		st.BindInt64(2, int64(limit))
		return each(st, func() error { all = append(all, readInvitation(st)); return nil })
	})
	return all, err
}

// DeleteInvitation implements store.Invitations.
func (s *Store) DeleteInvitation(ctx context.Context, id string) error {
	return s.write(ctx, "DeleteInvitation", "delete an invitation", noSavepoint, func(c *conn) error {
		deleted, err := c.execText(qDeleteInvitation, id)
		if err == nil && deleted == 0 {
			err = store.ErrNotFound
		}
		return err
	})
}

// ForgetInvitations implements store.Invitations.
func (s *Store) ForgetInvitations(ctx context.Context, ended time.Time) error {
	return s.write(ctx, "ForgetInvitations", "forget invitations", noSavepoint|deletes, func(c *conn) error {
		err := c.execInts(qForgetInvitations, ended.Unix())
		if err == nil && c.Changes() > 0 {
			c.freed, c.scrub = true, true
		}
		return err
	})
}

// execText runs a statement whose only parameter is a text.
func (c *conn) execText(q query, text string) (changed int, err error) {
	st, err := c.stmt(q)
	if err != nil {
		return 0, err
	}
	st.BindText(1, text)
	return c.run(st)
}

// RegisterInvited implements store.Invitations.
func (s *Store) RegisterInvited(ctx context.Context, a store.Account, id string, since time.Time, contact *store.RosterUpdate) error {
	return s.write(ctx, "RegisterInvited", "register account "+a.JID.BareString(), 0, func(c *conn) error {
		i, err := c.invitation(id)
		if err == nil && !i.For(a.JID) {
			err = store.ErrNotFound
		}
		if err != nil {
			return err
		}
		if err := c.register(&a, since, id); err != nil {
			return err
		}
		if _, err := c.execText(qUseInvitation, id); err != nil {
			return err
		}
		if contact == nil {
			return nil
		}
		return c.connect(contact, a.JID)
	})
}

// connect makes a change of the inviter's roster, and adds the inviter to the roster of a new
// account.
func (c *conn) connect(inviter *store.RosterUpdate, invitee jid.JID) error {
	if _, err := c.applyRoster(0, inviter); err != nil {
		var e *store.RosterError
		if errors.As(err, &e) {
			err = e.Err
		}
		return err
	}
	a, err := c.accountRow(invitee)
	if err != nil {
		return err
	}
	if err := c.putItem(a.id, &store.RosterItem{JID: inviter.Owner.Bare(), Subscription: store.Both}, a.version+1); err != nil {
		return err
	}
	return c.execInts(qSetVersion, a.id, a.version+1, a.floor)
}
