package migrate

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"roost/jid"
	"roost/store"
)

// MaxInvitations is the largest number of invitations in a file: they are all in its last
// line, which versions that do not know them read as well.
const MaxInvitations = 100_000

// lineInvitation is an invitation. It has no token, but that of the invitation stays valid on
// a server that serves the same domain.
type lineInvitation struct {
	ID      string    `json:"id"`
	Domain  string    `json:"domain"`
	Name    string    `json:"name,omitempty"`    // the localpart of the account, if it is reserved
	Inviter string    `json:"inviter,omitempty"` // a bare JID
	Actor   string    `json:"actor,omitempty"`
	Contact bool      `json:"contact,omitempty"`
	Uses    int       `json:"uses"` // that are left
	Created time.Time `json:"created"`
	Until   time.Time `json:"until"`
}

// Invite adds an invitation to the last line. It reports false if there are MaxInvitations.
func (w *LineWriter) Invite(i *store.Invitation) bool {
	if len(w.invitations) == MaxInvitations {
		return false
	}
	w.invitations = append(w.invitations, lineInvitation{i.ID, i.Domain, i.Localpart, i.Inviter, i.Actor, i.Contact, i.Uses, i.Created, i.Until})
	return true
}

// maxUses and maxActor limit what an invitation may have: larger numbers and names come from
// no server.
const (
	maxUses  = 1_000_000
	maxActor = 1000
)

// invitation returns an invitation if the server could have stored it itself.
func (l *lineInvitation) invitation() (*store.Invitation, error) {
	i := &store.Invitation{
		ID: l.ID, Domain: l.Domain, Localpart: l.Name, Inviter: l.Inviter, Actor: l.Actor, Contact: l.Contact, Uses: l.Uses,
		Created: l.Created.UTC().Truncate(time.Second), Until: l.Until.UTC().Truncate(time.Second),
	}
	if len(l.ID) != len(store.InvitationID("")) || strings.Trim(l.ID, "0123456789abcdef") != "" {
		return nil, fmt.Errorf("the ID %q is not one of roost", clip(l.ID))
	}
	domain, err := jid.NormalizeDomain(l.Domain)
	if err != nil {
		return nil, fmt.Errorf("%q is not a domain", clip(l.Domain))
	}
	i.Domain = domain
	if l.Name != "" {
		account, err := jid.New(l.Name, domain, "")
		if err != nil {
			return nil, fmt.Errorf("%q is not the name of an account", clip(l.Name))
		}
		i.Localpart = account.Local()
	}
	if l.Inviter != "" {
		inviter, err := jid.Parse(l.Inviter)
		if err != nil || !inviter.IsAccount() {
			return nil, fmt.Errorf("%q is not the address of an account", clip(l.Inviter))
		}
		i.Inviter = inviter.BareString()
	}
	switch {
	case l.Uses < 1 || l.Uses > maxUses || l.Uses > 1 && l.Name != "":
		return nil, fmt.Errorf("it cannot have %d uses", l.Uses)
	case !isText(l.Actor) || len(l.Actor) > maxActor:
		return nil, fmt.Errorf("who has made it is not a text of at most %d bytes", maxActor)
	case l.Created.Year() < 1970 || l.Until.Before(l.Created) || l.Until.Year() > 9999:
		return nil, errors.New("its times are not valid")
	}
	return i, nil
}

// invitations passes on those of the last line.
func (r *lineReader) invitations(all []lineInvitation, to Receiver) error {
	if to.Invitation == nil {
		return nil
	}
	for i := range all {
		invitation, err := all[i].invitation()
		if err != nil {
			to.Problem(Problem{At: r.at(), Text: fmt.Sprintf("invitation %s: %v", clip(all[i].ID), err)})
			continue
		}
		if err := to.Invitation(invitation); err != nil {
			return err
		}
	}
	return nil
}
