package xep

import (
	"errors"
	"net/netip"
	"strconv"
	"time"

	"roost/jid"
	"roost/router"
	"roost/session"
	"roost/stanza"
	"roost/store"
)

// This file creates accounts: for clients (register.go, preauth.go), and for people who fill in the
// form on an invitation's page, which the server has. So both have the same rules and limits.

var (
	errLongPassword  = stanza.NotAcceptable.WithText("The password is longer than " + strconv.Itoa(store.MaxPassword) + " bytes.")
	errRegistrations = stanza.ResourceConstraint.WithText("Too many registrations from this address. Try again later.")

	// errToken is for all tokens that are of no use, with the words of the specification
	// (https://xmpp.org/extensions/xep-0445.html#preauth-ibr).
	errToken = stanza.ItemNotFound.WithText("The provided token is invalid or expired")
)

// MayTry counts an attempt to create an account with a token outside of a stream, from an address,
// and returns an error if there were too many.
func (x *Set) MayTry(from netip.Addr, now time.Time) error {
	if g := &x.registrar; !g.tokens.allow(from, now) || !g.limit.allow(from, now) {
		return errRegistrations
	}
	return nil
}

// Invitation returns the invitation with a token, if accounts of a domain can be created with it, or
// a stanza.ErrorReply that says why not. Only turns that may block may call it.
func (x *Set) Invitation(r *router.Router, domain, token string, now time.Time) (*store.Invitation, error) {
	if x.config().Invitations == InviteNobody || len(token) > store.MaxInvitationToken {
		return nil, errToken
	}
	i, err := r.Store().Invitation(r.Context(), store.InvitationID(token))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, errToken
	case err != nil:
		return nil, err
	case !i.Usable(now) || i.Domain != domain:
		return nil, errToken
	}
	if invites, err := mayStillInvite(r, &i); err != nil {
		return nil, err
	} else if !invites {
		return nil, errToken
	}
	return &i, nil
}

// mayStillInvite reports whether the account that has made an invitation exists, and is not
// disabled. Those of operators remain.
func mayStillInvite(r *router.Router, i *store.Invitation) (bool, error) {
	if i.Inviter == "" {
		return true, nil
	}
	inviter, err := jid.Parse(i.Inviter)
	if err != nil {
		return false, err
	}
	account, err := r.Store().Account(r.Context(), inviter)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil && !account.Disabled, err
}

// newAddress returns the address of an account that somebody wants to create, by an invitation
// unless i is nil, or a stanza.ErrorReply that says why it cannot be.
func newAddress(username, password, domain string, i *store.Invitation) (jid.JID, error) {
	owner, err := jid.New(username, domain, "")
	switch {
	case username == "" || password == "":
		// Section 3.1 (https://xmpp.org/extensions/xep-0077.html#usecases-register): "If
		// the requesting entity does not provide all of the requested information during
		// registration then the server or service MUST return a <not-acceptable/> error".
		// An empty password counts as missing.
		return owner, stanza.NotAcceptable.WithText("A username and a password are required.")
	case err != nil:
		return owner, stanza.NotAcceptable.WithText("The username contains characters that are not allowed, or is too long.")
	case len(password) > store.MaxPassword:
		return owner, errLongPassword
	case i != nil && i.Localpart != "" && i.Localpart != owner.Local():
		return owner, stanza.NotAcceptable.WithText("This invitation is for the username " + i.Localpart + ".")
	}
	return owner, nil
}

// credentials derives the keys of a password.
func (x *Set) credentials(password string) (store.Credentials, error) {
	c, err := store.NewCredentials(password, x.config().Iterations)
	var bad store.PasswordError
	if errors.As(err, &bad) {
		err = stanza.NotAcceptable.WithText("The password " + string(bad) + ".")
	}
	return c, err
}

// NewAccount returns the account that somebody wants to create by an invitation, or a
// stanza.ErrorReply that says why it cannot be. Only turns that may derive keys may call it.
func (x *Set) NewAccount(username, password string, i *store.Invitation) (a store.Account, err error) {
	if a.JID, err = newAddress(username, password, i.Domain, i); err == nil {
		a.Credentials, err = x.credentials(password)
	}
	return a, err
}

// Register adds an account of NewAccount for somebody at the address peer, or returns a
// stanza.ErrorReply that says why it cannot be added. i may be nil if everybody may create
// accounts. Only turns that may write may call it.
//
// Names that are in use, that were until not long ago, and that are reserved are refused with the
// same error, here only, after the keys were derived. So nobody learns which of these a name is.
func (x *Set) Register(t *session.Turn, r *router.Router, a store.Account, i *store.Invitation, peer netip.AddrPort) error {
	cfg, log := x.config(), r.Logger()
	var err error
	switch since := cfg.heldSince(time.Now()); {
	case i != nil && cfg.Invitations != InviteNobody:
		err = r.RegisterInvited(t, a, i, since)
		log = log.With("invitation", i.ID)
	case i == nil && cfg.Register:
		err = r.Store().RegisterAccount(r.Context(), a, since)
	default:
		return x.registrar.closed() // the settings have changed
	}
	switch {
	case errors.Is(err, store.ErrExists), errors.Is(err, store.ErrHeld):
		return stanza.Conflict
	case errors.Is(err, store.ErrNotFound):
		return errUsed
	case err != nil:
		return err
	}
	log.Info("account registered", "jid", a.JID.String(), "peer", peer)
	return nil
}

var errUsed = stanza.NotAllowed.WithText("The invitation was used or withdrawn in the meantime.")

// HeldSince returns the time since which the names of deleted accounts cannot be registered: in
// the future if they all can.
func (x *Set) HeldSince(now time.Time) time.Time { return x.config().heldSince(now) }

// heldSince returns the time since which the names of deleted accounts cannot be registered: in
// the future if they all can.
func (c *Config) heldSince(now time.Time) time.Time {
	if c.HoldNames < 0 {
		return now.Add(time.Hour)
	}
	return now.Add(-c.HoldNames)
}
