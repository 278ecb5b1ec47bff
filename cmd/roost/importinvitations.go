package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"roost/jid"
	"roost/migrate"
	"roost/store"
)

// invitationTarget is an importTarget that takes invitations, too.
type invitationTarget interface {
	// importInvitation imports an invitation, or returns an errInvitation.
	importInvitation(context.Context, *store.Invitation) error
}

// errInvitation says why an invitation is not imported.
type errInvitation string

func (e errInvitation) Error() string { return string(e) }

// keepInvitation keeps an invitation until the accounts are imported, because it needs that of
// its inviter.
func (im *importer) keepInvitation(i *store.Invitation) error {
	if len(im.invitations) >= migrate.MaxInvitations {
		im.problem(migrate.Problem{At: im.name, Text: fmt.Sprintf("invitation %s: it comes after %d others, which are as many as an import takes", i.ID, migrate.MaxInvitations)})
		return nil
	}
	im.invitations = append(im.invitations, *i)
	return nil
}

// invite imports the invitations that were kept.
func (im *importer) invite(ctx context.Context) error {
	to, ok := im.to.(invitationTarget)
	if !ok {
		return nil
	}
	for i := range im.invitations {
		invitation := &im.invitations[i]
		var err error
		if im.allowed != nil {
			if refused := im.allowed(invitation.Domain); refused != nil {
				err = errInvitation(refused.Error())
			}
		}
		if err == nil {
			err = to.importInvitation(ctx, invitation)
		}
		var refused errInvitation
		switch {
		case errors.As(err, &refused):
			im.problem(migrate.Problem{At: im.name, Text: fmt.Sprintf("invitation %s: %v", invitation.ID, refused)})
		case err != nil:
			return err
		}
	}
	return nil
}

// importInvitation implements invitationTarget. An invitation that exists is skipped, and so
// is one that has ended.
func (t *dataTarget) importInvitation(ctx context.Context, i *store.Invitation) error {
	if !i.Usable(time.Now()) {
		return nil
	}
	if _, err := t.Invitation(ctx, i.ID); !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if t.dryRun { // the accounts may be missing that would be imported
		t.parts.Invitations++
		return nil
	}
	if i.Inviter != "" {
		inviter, err := jid.Parse(i.Inviter)
		if err == nil {
			_, err = t.Account(ctx, inviter)
		}
		if errors.Is(err, store.ErrNotFound) {
			return errInvitation("the account of who has made it, " + i.Inviter + ", does not exist")
		}
		if err != nil {
			return err
		}
	}
	err := t.CreateInvitation(ctx, *i, math.MaxInt32)
	if errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrHeld) {
		return errInvitation("the name that it reserves, " + i.Localpart + "@" + i.Domain + ", is that of an account or of another invitation, or was that of a deleted one")
	}
	auditCommand(t.audit, "roost import", "invitation.import", i.ID, map[string]any{"domain": i.Domain, "inviter": i.Inviter}, err)
	if err == nil {
		t.parts.Invitations++
	}
	return err
}
