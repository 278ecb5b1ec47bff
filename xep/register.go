package xep

import (
	"errors"
	"hash/maphash"

	"roost/internal/hourly"
	"roost/internal/loglimit"
	"roost/jid"
	"roost/parser"
	"roost/router"
	"roost/session"
	"roost/stanza"
	"roost/store"
)

const nsRegister = "jabber:iq:register"

// registrar creates and removes accounts and changes passwords (XEP-0077,
// https://xmpp.org/extensions/xep-0077.html#usecases).
type registrar struct {
	x       *Set
	limit   limiter         // of attempts to create an account
	tokens  limiter         // of tokens that are shown
	changes *loglimit.Limit // limits the lines about changed passwords

	passwords *hourly.Limit[uint64] // of changes of the own password; by a hash of the account
}

// maxPasswordChanges is how often an account may change its password in an hour. Each change
// derives keys and leaves an event, which all nodes of a cluster act on, and which the store keeps
// for a day.
const maxPasswordChanges = 60

var errPasswordChanges = stanza.ResourceConstraint.WithText("The password was changed too often. Try again later.")

// registration lets clients manage accounts in-band. Before authentication it is reachable
// only on streams that are secure enough for a login.
func registration(g *registrar) router.Extension {
	get := router.IQ{
		Space: nsRegister, Local: "query", Methods: router.Get, Targets: router.ToServer | router.ToSelf, Unbound: true, Handle: g.get,
	}
	set := get
	set.Methods, set.Handle, set.Step = router.Set, nil, g.set
	return router.Extension{
		Name:    "register",
		XEP:     77,
		Version: "2.4",
		Title:   "In-Band Registration",
		Domain:  []string{nsRegister},
		IQ:      []router.IQ{get, set},
		Ready: func(r *router.Router, _ *router.Extension) {
			g.changes = loglimit.New(r.Logger(), "some password changes were not logged")
		},
		Close: func() { g.changes.Close() },
		Features: []session.Feature{{
			When: func(s *session.Session) bool { return (g.open() || g.invites()) && s.MayLogIn() },
			XML:  "<register xmlns='http://jabber.org/features/iq-register'/>",
		}},
	}
}

// open reports whether everybody may create an account.
func (g *registrar) open() bool { return g.x.config().Register }

// mayCreate returns an error if a client that is not authenticated may not create an account.
func (g *registrar) mayCreate(s *session.Session) error {
	switch {
	case g.open(), g.invitation(s) != nil:
		return nil
	}
	return g.closed()
}

// closed returns the error for those who may not create an account.
func (g *registrar) closed() error {
	if g.invites() {
		return stanza.NotAllowed.WithText("This server creates accounts by invitation only.")
	}
	return stanza.NotAllowed.WithText("This server does not allow clients to create accounts.")
}

// get returns the required fields, or the existing registration of the account.
func (g *registrar) get(rq *router.Request) {
	switch {
	case rq.Session == nil:
		rq.Error(stanza.ServiceUnavailable) // this is about the account of the client's own stream
	case rq.Session.Username() != "":
		// Section 3.1 (https://xmpp.org/extensions/xep-0077.html#usecases-register): if
		// "the entity is already registered", the result "MUST contain an empty
		// <registered/> element".
		sendFields(rq, "<registered/><username>", rq.Session.Username(), "</username><password/>")
	case !g.open() && !g.invites():
		// "If the host does not support In-Band Registration, it MUST return a
		// <service-unavailable/> error"
		// (https://xmpp.org/extensions/xep-0077.html#usecases-register).
		rq.Error(stanza.ServiceUnavailable)
	default:
		if err := g.mayCreate(rq.Session); err != nil {
			rq.Error(err)
			return
		}
		if i := g.invitation(rq.Session); i != nil && i.Localpart != "" {
			sendFields(rq, "<instructions>Choose a password.</instructions><username>", i.Localpart, "</username><password/>")
			return
		}
		sendFields(rq, "<instructions>Choose a username and a password.</instructions><username/>", "", "<password/>")
	}
}

func sendFields(rq *router.Request, before, username, after string) {
	rq.Result(func(b []byte) []byte {
		b = append(b, "<query xmlns='"+nsRegister+"'>"...)
		b = append(b, before...)
		b = parser.AppendEscaped(b, username)
		b = append(b, after...)
		return append(b, "</query>"...)
	})
}

// set does the next step of a request: the first is on the goroutine that received it, the
// second derives keys, and the third is on a worker that may write.
func (g *registrar) set(rq *router.Request) session.Work {
	next, err := g.step(rq)
	if err != nil {
		rq.Error(err)
		return session.Done
	}
	return next
}

func (g *registrar) step(rq *router.Request) (session.Work, error) {
	d, _ := rq.Turn.Carried().(*derived)
	switch {
	case rq.Session == nil:
		return session.Done, stanza.ServiceUnavailable
	case rq.Payload().Child(nsRegister, "remove").OK():
		return g.remove(rq)
	case d != nil && rq.Session.Username() == "":
		return session.Done, g.create(rq, d)
	case d != nil:
		return session.Done, g.change(rq, d)
	case rq.Turn.MayDerive():
		return g.derive(rq)
	case rq.Session.Username() == "" && g.mayCreate(rq.Session) != nil:
		return session.Done, g.mayCreate(rq.Session)
	case rq.Session.Username() == "" && !g.limit.allow(rq.Session.Conn().RemoteAddr().Addr(), rq.Turn.Now()):
		return session.Done, errRegistrations
	}
	owner, _, err := g.wanted(rq)
	if err == nil && rq.Session.Username() != "" && !g.passwords.Allow(maphash.String(g.x.seed, owner.String()), rq.Turn.Now()) {
		err = errPasswordChanges
	}
	return session.Derive, err
}

// derived is what the key derivation step passes on to the writing step.
type derived struct {
	account     store.Account // as it was read; a new one has only its address
	credentials store.Credentials
}

// derive derives the keys of a password if it may be set.
func (g *registrar) derive(rq *router.Request) (session.Work, error) {
	owner, password, err := g.wanted(rq)
	if err != nil {
		return session.Done, err
	}
	account := store.Account{JID: owner}
	if rq.Session.Username() != "" {
		// First, because it is cheaper than deriving keys.
		if account, err = rq.Router.CurrentAccount(rq.Session); err != nil {
			return session.Done, err
		}
	}
	c, err := g.x.credentials(password)
	rq.Turn.Carry(&derived{account, c})
	return session.Write, err
}

// wanted returns the account that a request is about and its new password.
func (g *registrar) wanted(rq *router.Request) (owner jid.JID, password string, err error) {
	username, password := fields(rq)
	own := rq.Session.JID().Bare()
	if own.Local() == "" {
		owner, err = newAddress(username, password, rq.Session.Host(), g.invitation(rq.Session))
		return owner, password, err
	}
	owner, err = jid.New(username, rq.Session.Host(), "")
	switch {
	case username == "" || password == "":
		// Section 3.3 (https://xmpp.org/extensions/xep-0077.html#usecases-changepw): "If
		// the user provides an empty password element […], the server or service MUST NOT
		// change the password to a null value, but instead MUST maintain the existing
		// password."
		return owner, "", stanza.BadRequest.WithText("A username and a password are required.")
	case err != nil || owner != own:
		return owner, "", stanza.Forbidden.WithText("Changing another account's password is not allowed.")
	case len(password) > store.MaxPassword:
		return owner, "", errLongPassword
	}
	return owner, password, nil
}

// create creates an account for a client that is not authenticated.
func (g *registrar) create(rq *router.Request, d *derived) error {
	d.account.Credentials = d.credentials
	err := g.x.Register(rq.Turn, rq.Router, d.account, g.invitation(rq.Session), rq.Session.Conn().RemoteAddr())
	if err == nil || errors.Is(err, errUsed) {
		preauthorized.Drop(rq.Session)
	}
	if err == nil {
		rq.Empty()
	}
	return err
}

// change sets the password of the client's own account. Key derivation may have been queued
// since the account was read: if the account was locked or its password changed in the
// meantime, this session is about to end, and the store changes nothing.
func (g *registrar) change(rq *router.Request, d *derived) error {
	r, own := rq.Router, d.account.JID
	event, err := r.Store().SetCredentials(r.Context(), own, d.account.Event, d.credentials, false)
	if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound) {
		return stanza.NotAuthorized
	}
	if err != nil {
		return err
	}
	rq.Session.SetEvent(event) // this stream stays; the account's other streams end
	if g.changes.Allow() {
		r.Logger().Info("password changed", "jid", own.String(), "peer", rq.Session.Conn().RemoteAddr())
	}
	rq.Empty()
	g.actOnEvents(rq)
	return nil
}

// remove removes the client's own account. Section 3.2
// (https://xmpp.org/extensions/xep-0077.html#usecases-cancel): the server "SHOULD then
// return a <not-authorized/> stream error and terminate all active sessions for the
// entity", and "SHOULD also cancel all existing presence subscriptions".
func (g *registrar) remove(rq *router.Request) (session.Work, error) {
	if rq.Session.Username() == "" {
		// Section 3.2: <unexpected-request/>, because "the entity is not registered with
		// the server".
		return session.Done, stanza.UnexpectedRequest
	}
	if el := rq.Payload().First(); el.Next().OK() {
		// "<bad-request/>: The <remove/> element was not the only child element
		// of the <query/> element."
		return session.Done, stanza.BadRequest
	}
	if !g.open() && !g.invites() {
		// "<not-allowed/>: No sender is allowed to cancel registrations in-band."
		return session.Done, stanza.NotAllowed.WithText("This server does not allow clients to remove accounts.")
	}
	if !rq.Turn.MayWrite() {
		return session.Write, nil
	}
	r := rq.Router
	if err := deleteOwn(r, rq.Session); err != nil {
		return session.Done, err
	}
	r.Logger().Info("account removed", "jid", rq.Session.JID().BareString(), "peer", rq.Session.Conn().RemoteAddr())
	rq.Empty() // before the stream error
	g.actOnEvents(rq)
	return session.Done, nil
}

// maxDeletions is how often the deletion of an account is attempted.
const maxDeletions = 5

// deleteOwn deletes the account that a session is authenticated for. If anything happens to
// the account between the check and the deletion, nothing is deleted and the account is
// checked again: another one may have its name by then.
func deleteOwn(r *router.Router, s *session.Session) error {
	for range maxDeletions {
		account, err := r.CurrentAccount(s)
		if err != nil {
			return err
		}
		err = r.Store().DeleteAccount(r.Context(), account.JID, account.Event)
		if errors.Is(err, store.ErrNotFound) {
			return stanza.NotAuthorized
		}
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return stanza.ResourceConstraint.WithText("The account is being changed. Try again later.")
}

// actOnEvents has the router process the events that were just recorded for an account. If
// that fails, the server retries within a second: the request has succeeded in any case.
func (g *registrar) actOnEvents(rq *router.Request) {
	if err := rq.Router.CatchUpAll(rq.Turn); err != nil {
		rq.Router.Logger().Error("account events could not be processed", "err", err)
	}
}

// fields returns the username and the password of a set, "" where they are missing.
func fields(rq *router.Request) (username, password string) {
	text := func(name string) string {
		return string(rq.Payload().Child(nsRegister, name).AppendText(nil))
	}
	return text("username"), text("password")
}
