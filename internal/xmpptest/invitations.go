package xmpptest

import (
	"context"
	"errors"
	"time"

	"roost/store"
)

// Invitations are the invitations of every test server, by their tokens. Servers take them only
// if their configuration says so.
func Invitations(domain string) map[string]store.Invitation {
	created := time.Unix(1.7e9, 0).UTC()
	i := store.Invitation{Domain: domain, Uses: 1, Actor: "test", Created: created, Until: created.AddDate(100, 0, 0)}
	ofRomeo, named, ended, used, other := i, i, i, i, i
	ofRomeo.Inviter, ofRomeo.Contact = "romeo@"+domain, true
	named.Localpart = "rosaline"
	ended.Until = created.Add(time.Second)
	used.Uses = 0
	other.Domain = "other.example"
	return map[string]store.Invitation{"plain": i, "of-romeo": ofRomeo, "named": named, "ended": ended, "used": used, "elsewhere": other}
}

// addInvitations adds the Invitations to a store that does not have them.
func addInvitations(ctx context.Context, st store.Store, domain string) error {
	for token, i := range Invitations(domain) {
		i.ID = store.InvitationID(token)
		_, err := st.Invitation(ctx, i.ID)
		if errors.Is(err, store.ErrNotFound) {
			err = st.CreateInvitation(ctx, i, 1000)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
