package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"
	"time"

	"roost/jid"
)

// Invitations let people create accounts (XEP-0401, XEP-0445). Those of an account are deleted
// together with it.
type Invitations interface {
	// CreateInvitation adds an invitation. It returns ErrQuota if there are limit invitations
	// of its inviter that have not ended when it is created, whether they were used or not.
	// Otherwise it returns ErrExists if an account has the name that the invitation reserves,
	// or a deleted account had it and the store has not forgotten that, or another invitation
	// reserves it. (In this order, so that a refused inviter learns nothing about names.) The
	// store may forget invitations that ended a day before this one is created.
	CreateInvitation(ctx context.Context, i Invitation, limit int) error

	// Invitation returns an invitation, even one that was used or has ended, or ErrNotFound.
	Invitation(ctx context.Context, id string) (Invitation, error)

	// ListInvitations returns at most limit invitations after the ID after, which is empty
	// for the first page, in the order of IDs.
	ListInvitations(ctx context.Context, after string, limit int) ([]Invitation, error)

	// DeleteInvitation deletes an invitation, or returns ErrNotFound.
	DeleteInvitation(ctx context.Context, id string) error

	// ForgetInvitations deletes the invitations that ended at a time or before.
	ForgetInvitations(ctx context.Context, ended time.Time) error

	// RegisterInvited adds an account as RegisterAccount does, or returns its errors
	// ErrExists and ErrHeld, and uses an invitation once, whether it has ended or not, in one
	// transaction. If contact is not nil, the same transaction makes this change of the
	// inviter's roster and adds the inviter to that of the account, with the subscription
	// Both. Without an invitation that can be used for the account, or without an account of
	// the inviter, it returns ErrNotFound. If the inviter's roster does not have the version
	// that contact expects, it returns ErrConflict.
	RegisterInvited(ctx context.Context, a Account, id string, since time.Time, contact *RosterUpdate) error
}

// Invite is CreateInvitation, but if the invitation reserves a name, it first forgets the names of
// accounts that were deleted before held, because the name may be one of these.
func Invite(ctx context.Context, s Store, i Invitation, limit int, held time.Time) error {
	if i.Localpart != "" {
		if err := s.ForgetDeleted(ctx, held, time.Time{}); err != nil {
			return err
		}
	}
	return s.CreateInvitation(ctx, i, limit)
}

// Invitation lets somebody who has its token create an account. Only a hash of the token is
// stored.
type Invitation struct {
	ID        string // InvitationID of the token
	Domain    string // of the account
	Localpart string // of the account, which nobody else can register until the invitation ends; "": any
	Inviter   string // bare JID of the account that invites; "": an operator does
	Actor     string // who has made it
	Contact   bool   // the account and the inviter become contacts of each other
	Uses      int    // accounts that can still be created
	Created   time.Time
	Until     time.Time // to the second, as is Created
}

// Usable reports whether accounts can be created at a time.
func (i *Invitation) Usable(now time.Time) bool { return i.Uses > 0 && now.Before(i.Until) }

// For reports whether the invitation is for an account and has uses left, whatever the time.
func (i *Invitation) For(account jid.JID) bool {
	return i.Uses > 0 && i.Domain == account.Domain() && (i.Localpart == "" || i.Localpart == account.Local())
}

// Reserves reports whether nobody else can register a name at a time.
func (i *Invitation) Reserves(account jid.JID, now time.Time) bool {
	return i.Usable(now) && i.Localpart != "" && i.For(account)
}

// KeepInvitations is the minimum time for which an invitation is kept after its end: a client
// that has shown the token before the end may still use it.
const KeepInvitations = 24 * time.Hour

// AddURI returns the URI with which the holder of the token adds the inviter as a contact,
// and before that, without an account, creates one (XEP-0401,
// https://xmpp.org/extensions/xep-0401.html#create-invitation).
func (i *Invitation) AddURI(token string) string {
	local, domain, _ := strings.Cut(i.Inviter, "@")
	return addressURI(local, domain) + "?roster;preauth=" + token + ";ibr=y"
}

// RegisterURI returns the URI with which the holder of the token creates an account (XEP-0401,
// https://xmpp.org/extensions/xep-0401.html#account-creation).
func (i *Invitation) RegisterURI(token string) string {
	return addressURI(i.Localpart, i.Domain) + "?register;preauth=" + token
}

// addressURI returns an address as an XMPP URI (RFC 5122).
func addressURI(local, domain string) string {
	if local == "" {
		return "xmpp:" + url.PathEscape(domain)
	}
	return "xmpp:" + url.PathEscape(local) + "@" + url.PathEscape(domain)
}

// NewInvitationToken returns a token of 26 letters and digits, at least 128 random bits.
func NewInvitationToken() string { return strings.ToLower(rand.Text()) }

// IsInvitationToken reports whether a text has the form of a token of NewInvitationToken.
func IsInvitationToken(text string) bool {
	return len(text) == 26 && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// MaxInvitationToken is the maximum length of a token in bytes.
const MaxInvitationToken = 128

// InvitationID returns the ID of the invitation with a token: half of its SHA-256, from which
// the token cannot be found.
func InvitationID(token string) string {
	h := sha256.Sum256([]byte(token))
	return hex.EncodeToString(h[:16])
}
