package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"roost/store"
)

// invitationColumns are the columns of an invitation; see invitationInto.
const invitationColumns = `id, domain, local, inviter, actor, contact, uses, created, until`

const (
	sqlPutInvitation     = `SELECT put_invitation($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`
	sqlInvitation        = `SELECT ` + invitationColumns + ` FROM invitation WHERE id = $1`
	sqlListInvitations   = `SELECT ` + invitationColumns + ` FROM invitation WHERE id > $1 ORDER BY id LIMIT $2`
	sqlDeleteInvitation  = `WITH gone AS (DELETE FROM invitation WHERE id = $1 RETURNING 1) SELECT count(*) FROM gone`
	sqlForgetInvitations = `WITH gone AS (DELETE FROM invitation WHERE until <= $1 RETURNING 1) SELECT count(*) FROM gone`
	sqlRegisterInvited   = `SELECT register_invited($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
		$16, $17, $18, $19, $20, $21, $22, $23, $24)`
)

// CreateInvitation implements store.Invitations.
func (s *Store) CreateInvitation(ctx context.Context, i store.Invitation, limit int) error {
	args := []any{
		i.ID, i.Domain, i.Localpart, i.Inviter, i.Actor, i.Contact, i.Uses, i.Created.Unix(), i.Until.Unix(),
		limit, i.Created.Add(-store.KeepInvitations).Unix(),
	}
	return s.exec(ctx, "CreateInvitation", "create an invitation", &write{sql: sqlPutInvitation, args: args, row: created})
}

// created reads the result of a statement that is 0 if something exists already, and 2 if a
// name is held.
func created(rows pgx.Rows) error {
	var n int64
	if err := result(&n)(rows); err != nil {
		return err
	}
	switch n {
	case 0:
		return store.ErrExists
	case 2:
		return store.ErrHeld
	}
	return nil
}

// invitationInto reads a row with invitationColumns.
func invitationInto(rows pgx.Rows) (i store.Invitation, err error) {
	var created, until int64
	err = rows.Scan(&i.ID, &i.Domain, &i.Localpart, &i.Inviter, &i.Actor, &i.Contact, &i.Uses, &created, &until)
	i.Created, i.Until = numberTime(created), numberTime(until)
	return i, err
}

// Invitation implements store.Invitations.
func (s *Store) Invitation(ctx context.Context, id string) (i store.Invitation, err error) {
	const what = "read an invitation"
	err = s.lookup(ctx, "Invitation", what, sqlInvitation, []any{id}, nil, func(rows pgx.Rows) (err error) {
		i, err = invitationInto(rows)
		return err
	})
	if err == nil && i.ID == "" {
		err = s.wrap(what, store.ErrNotFound)
	}
	return i, err
}

// ListInvitations implements store.Invitations.
func (s *Store) ListInvitations(ctx context.Context, after string, limit int) (all []store.Invitation, err error) {
	reset := func() { all = nil }
	err = s.query(ctx, "ListInvitations", "list invitations", sqlListInvitations, []any{after, limit}, reset, func(rows pgx.Rows) error {
		i, err := invitationInto(rows)
		all = append(all, i)
		return err
	})
	return all, err
}

// DeleteInvitation implements store.Invitations.
func (s *Store) DeleteInvitation(ctx context.Context, id string) error {
	w := &write{sql: sqlDeleteInvitation, args: []any{id}, row: func(rows pgx.Rows) error {
		var n int64
		err := rows.Scan(&n)
		if err == nil && n == 0 {
			err = store.ErrNotFound
		}
		return err
	}}
	return s.exec(ctx, "DeleteInvitation", "delete an invitation", w)
}

// ForgetInvitations implements store.Invitations.
func (s *Store) ForgetInvitations(ctx context.Context, ended time.Time) error {
	var n int64
	return s.exec(ctx, "ForgetInvitations", "forget invitations", &write{sql: sqlForgetInvitations, args: []any{ended.Unix()}, row: into(&n)})
}

// RegisterInvited implements store.Invitations.
func (s *Store) RegisterInvited(ctx context.Context, a store.Account, id string, since time.Time, contact *store.RosterUpdate) error {
	w := &write{sql: sqlRegisterInvited, args: append(accountArgs(&a), since.Unix(), id), row: created}
	var c rosterArgs
	var domain, local *string
	if contact != nil {
		var err error
		if c, err = argsOf(contact); err != nil {
			w.refuse(err)
		}
		domain, local = &c.domain, &c.local
	}
	w.args = append(w.args, domain, local, c.expect, c.contact, c.name, c.groups, c.state, maxRemoved)
	return s.exec(ctx, "RegisterInvited", "register account "+a.JID.BareString(), w)
}
