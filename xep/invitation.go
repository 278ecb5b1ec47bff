package xep

import (
	"errors"
	"hash/maphash"
	"time"

	"roost/jid"
	"roost/parser"
	"roost/router"
	"roost/stanza"
	"roost/store"
)

// The nodes of the commands, and the type of their result.
const (
	nodeInvite        = "urn:xmpp:invite#invite"
	nodeCreateAccount = "urn:xmpp:invite#create-account"
	formInvitation    = "urn:xmpp:invite#invitation"
)

// invitation lets users invite people, by two commands (XEP-0401,
// https://xmpp.org/extensions/xep-0401.html#discover).
func invitation() router.Extension {
	return router.Extension{
		Name:    "invitation",
		XEP:     401,
		Version: "0.6.0",
		Title:   "Ad-hoc Account Invitation Generation",
	}
}

// invitationCommands returns the commands.
func (x *Set) invitationCommands() []command {
	users := func() bool { return x.config().Invitations == InviteUsers }
	return []command{
		{node: nodeInvite, name: "Invite user", offered: users, run: x.inviteUser},
		{node: nodeCreateAccount, name: "Create account", offered: users, form: accountForm, run: x.inviteAccount},
	}
}

// inviteUser creates an invitation of which the inviter becomes a contact: "The server SHOULD
// immediately provide a command result, with no further intreaction with the user"
// (https://xmpp.org/extensions/xep-0401.html#create-invitation).
func (x *Set) inviteUser(rq *router.Request) error {
	token := store.NewInvitationToken()
	i, err := x.invite(rq, token, "", true)
	if err == nil {
		x.sendInvitation(rq, &i, i.AddURI(token), token)
	}
	return err
}

// accountForm appends the form for an account to be created
// (https://xmpp.org/extensions/xep-0401.html#account-creation).
func accountForm(b []byte) []byte {
	return append(b, "<x xmlns='jabber:x:data' type='form'><title>Create account</title>"+
		"<instructions>Leave the username empty to let the invited person choose it.</instructions>"+
		"<field var='username' label='Username' type='text-single'/>"+
		"<field var='roster-subscription' label='Become contacts' type='boolean'><value>1</value></field></x>"...)
}

// inviteAccount creates an invitation as the form says.
func (x *Set) inviteAccount(rq *router.Request) error {
	username, contact, err := accountWanted(rq.Payload().Child(nsForm, "x"), rq.Session.Host())
	if err != nil {
		return err
	}
	if username != "" && !x.names.Allow(maphash.String(x.seed, rq.Session.BareJID()), rq.Turn.Now()) {
		// The reply tells whether the name is taken.
		return stanza.ResourceConstraint.WithText("This account has tried too many usernames. Try again later, or let the invited person choose one.")
	}
	token := store.NewInvitationToken()
	i, err := x.invite(rq, token, username, contact)
	if err == nil {
		x.sendInvitation(rq, &i, i.RegisterURI(token), token)
	}
	return err
}

// accountWanted returns what a form says; a username has to be a valid localpart. What the form
// lacks is as in the one that the client got.
func accountWanted(form parser.Element, domain string) (username string, contact bool, err error) {
	if username, _ = formValue(form, "username"); username != "" {
		account, err := jid.New(username, domain, "")
		if err != nil {
			return "", false, errBadPayload.WithText("The username contains characters that are not allowed, or is too long.")
		}
		username = account.Local()
	}
	switch value, ok := formValue(form, "roster-subscription"); {
	case !ok, value == "1", value == "true":
		return username, true, nil
	case value == "0", value == "false":
		return username, false, nil
	}
	return "", false, errBadPayload
}

// invite stores an invitation of the client's account.
func (x *Set) invite(rq *router.Request, token, username string, contact bool) (store.Invitation, error) {
	cfg, r, now := x.config(), rq.Router, time.Now().UTC().Truncate(time.Second)
	account, err := r.OwnAccount(rq.Session)
	if err != nil {
		return store.Invitation{}, err
	}
	i := store.Invitation{
		ID: store.InvitationID(token), Domain: rq.Session.Host(), Localpart: username, Inviter: account.JID.String(), Actor: account.JID.String(),
		Contact: contact, Uses: 1, Created: now, Until: now.Add(cfg.InvitationLife),
	}
	err = store.Invite(r.Context(), r.Store(), i, cfg.MaxInvitations, cfg.heldSince(now))
	switch {
	case errors.Is(err, store.ErrExists):
		return i, stanza.Conflict.WithText("This username is taken. Choose another one.")
	case errors.Is(err, store.ErrQuota):
		return i, stanza.ResourceConstraint.WithText("This account has too many invitations. Wait until some have expired.")
	}
	return i, err
}

// sendInvitation replies with an invitation.
func (x *Set) sendInvitation(rq *router.Request, i *store.Invitation, uri, token string) {
	f := router.Form{Type: formInvitation, Fields: []router.Field{{Var: "uri", Type: "text-single", Values: []string{uri}}}}
	if page := x.config().LandingPage; page != nil {
		if url := page(i.Domain, token); url != "" {
			f.Fields = append(f.Fields, router.Field{Var: "landing-url", Type: "text-single", Values: []string{url}})
		}
	}
	f.Fields = append(f.Fields, router.Field{Var: "expire", Type: "text-single", Values: []string{i.Until.Format(time.RFC3339)}})
	sendCommand(rq, f)
}
