package memstore

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"roost/jid"
	"roost/store"
)

// reserved reports whether an invitation other than the one with the ID except reserves a name.
func (l *Location) reserved(name jid.JID, now time.Time, except string) bool {
	for id, i := range l.invites {
		if id != except && i.Reserves(name, now) {
			return true
		}
	}
	return false
}

// CreateInvitation implements store.Invitations.
func (s *Store) CreateInvitation(ctx context.Context, i store.Invitation, limit int) error {
	return s.write(ctx, "CreateInvitation", "create an invitation", func(t *tx) error {
		i.Created, i.Until = seconds(i.Created), seconds(i.Until)
		others := 0
		for _, o := range t.l.invites {
			if o.Inviter == i.Inviter && i.Created.Before(o.Until) {
				others++
			}
		}
		if others >= limit {
			return store.ErrQuota
		}
		if i.Localpart != "" {
			name, err := jid.New(i.Localpart, i.Domain, "")
			if err != nil {
				return err
			}
			_, held := t.l.deleted[name.BareString()]
			if held || t.l.find(name) != nil || t.l.reserved(name, i.Created, i.ID) {
				return store.ErrExists
			}
		}
		t.l.forgetInvitations(i.Created.Add(-store.KeepInvitations))
		for _, text := range []*string{&i.ID, &i.Domain, &i.Localpart, &i.Inviter, &i.Actor} {
			*text = strings.Clone(*text)
		}
		t.l.invites[i.ID] = i
		return nil
	})
}

// forgetInvitations deletes the invitations that ended at a time or before.
func (l *Location) forgetInvitations(ended time.Time) {
	maps.DeleteFunc(l.invites, func(_ string, i store.Invitation) bool { return !i.Until.After(ended) })
}

// ForgetInvitations implements store.Invitations.
func (s *Store) ForgetInvitations(ctx context.Context, ended time.Time) error {
	return s.write(ctx, "ForgetInvitations", "forget invitations", func(t *tx) error {
		t.l.forgetInvitations(seconds(ended))
		return nil
	})
}

// Invitation implements store.Invitations.
func (s *Store) Invitation(ctx context.Context, id string) (i store.Invitation, err error) {
	err = s.read(ctx, "Invitation", "read an invitation", func(l *Location) (err error) {
		i, err = l.invitation(id)
		return err
	})
	return i, err
}

func (l *Location) invitation(id string) (store.Invitation, error) {
	i, ok := l.invites[id]
	if !ok {
		return i, store.ErrNotFound
	}
	return i, nil
}

// ListInvitations implements store.Invitations.
func (s *Store) ListInvitations(ctx context.Context, after string, limit int) (all []store.Invitation, err error) {
	err = s.read(ctx, "ListInvitations", "list invitations", func(l *Location) error {
		for _, id := range slices.Sorted(maps.Keys(l.invites)) {
			if id > after {
				all = append(all, l.invites[id])
			}
		}
		all = page(all, limit)
		return nil
	})
	return all, err
}

// DeleteInvitation implements store.Invitations.
func (s *Store) DeleteInvitation(ctx context.Context, id string) error {
	return s.write(ctx, "DeleteInvitation", "delete an invitation", func(t *tx) error {
		_, err := t.l.invitation(id)
		delete(t.l.invites, id)
		return err
	})
}

// RegisterInvited implements store.Invitations.
func (s *Store) RegisterInvited(ctx context.Context, a store.Account, id string, since time.Time, contact *store.RosterUpdate) error {
	return s.write(ctx, "RegisterInvited", "register account "+a.JID.BareString(), func(t *tx) error {
		i := t.l.invites[id]
		if !i.For(a.JID) {
			return store.ErrNotFound
		}
		if err := t.register(&a, since, id); err != nil {
			return err
		}
		if contact != nil {
			inviter, err := t.account(contact.Owner)
			if err == nil && inviter.version != contact.Expect {
				err = store.ErrConflict
			}
			if err == nil {
				err = inviter.apply(contact)
			}
			if err != nil {
				return err
			}
			invitee, err := t.account(a.JID)
			if err != nil {
				return err
			}
			if err := invitee.apply(&store.RosterUpdate{Put: &store.RosterItem{JID: inviter.JID, Subscription: store.Both}}); err != nil {
				return err
			}
		}
		i.Uses--
		t.l.invites[i.ID] = i
		return nil
	})
}
