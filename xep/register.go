package xep

import (
	"errors"

	"roost/jid"
	"roost/parser"
	"roost/router"
	"roost/session"
	"roost/stanza"
	"roost/store"
)

const nsRegister = "jabber:iq:register"

// maxPassword is the longest password, in bytes: no client could log in by
// PLAIN with a longer one (RFC 4616 section 2).
const maxPassword = 1023

// registrar creates and removes accounts and changes passwords (XEP-0077).
type registrar struct {
	open       bool // accounts may be created and removed
	iterations int
	limit      *limiter
}

// registration lets clients manage accounts in-band. Before authentication it
// is reached only on streams that are safe enough for a login.
func registration(cfg Config) router.Extension {
	g := &registrar{open: cfg.Register, iterations: cfg.Iterations, limit: newLimiter(cfg.RegisterPerHour)}
	get := router.IQ{
		Space: nsRegister, Local: "query", Methods: router.Get, Targets: router.ToServer | router.ToSelf, Unbound: true, Handle: g.get,
	}
	set := get
	set.Methods, set.Handle = router.Set, g.set
	set.Blocking = true
	x := router.Extension{
		Name:    "register",
		XEP:     77,
		Version: "2.4",
		Title:   "In-Band Registration",
		Domain:  []string{nsRegister},
		IQ:      []router.IQ{get, set},
	}
	if g.open {
		x.Features = []session.Feature{{
			When: (*session.Session).MayLogIn,
			XML:  "<register xmlns='http://jabber.org/features/iq-register'/>",
		}}
	}
	return x
}

// get tells what is needed, or what is known of the account.
func (g *registrar) get(rq *router.Request) {
	switch {
	case rq.Session == nil:
		rq.Error(stanza.ServiceUnavailable) // this is about the account of a client's own stream
	case rq.Session.Username() != "":
		// Section 3.1: if "the entity is already registered", the result
		// "MUST contain an empty <registered/> element".
		sendFields(rq, "<registered/><username>", rq.Session.Username(), "</username><password/>")
	case !g.open:
		// "If the host does not support In-Band Registration, it MUST return a
		// <service-unavailable/> error."
		rq.Error(stanza.ServiceUnavailable)
	default:
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

func (g *registrar) set(rq *router.Request) {
	remove := rq.Payload().Child(nsRegister, "remove").OK()
	var err error
	switch {
	case rq.Session == nil:
		err = stanza.ServiceUnavailable
	case rq.Session.Username() == "" && remove:
		// Section 3.2: <unexpected-request/>, because "the entity is not
		// registered with the server".
		err = stanza.UnexpectedRequest
	case rq.Session.Username() == "":
		err = g.create(rq)
	case remove:
		err = g.remove(rq)
	default:
		err = g.change(rq)
	}
	if err != nil {
		rq.Error(err)
	}
}

// create makes an account for a client that is not authenticated.
func (g *registrar) create(rq *router.Request) error {
	who, password, err := g.mayCreate(rq)
	if err != nil {
		return err
	}
	if err := g.makeAccount(rq, who, password); err != nil {
		return err
	}
	rq.Router.Logger().Info("account registered", "jid", who.String(), "peer", rq.Session.Conn().RemoteAddr())
	rq.Empty()
	return nil
}

// mayCreate checks a request for an account.
func (g *registrar) mayCreate(rq *router.Request) (who jid.JID, password string, err error) {
	if !g.open {
		return who, "", stanza.NotAllowed.WithText("Accounts are not created in-band here.")
	}
	if !g.limit.allow(rq.Session.Conn().RemoteAddr().Addr(), rq.Turn.Now()) {
		return who, "", stanza.ResourceConstraint.WithText("Too many registrations from this address; try later.")
	}
	username, password := fields(rq)
	// Section 3.1: "If the requesting entity does not provide all of the
	// requested information during registration then the server or service
	// MUST return a <not-acceptable/> error"; an empty password is none.
	if username == "" || password == "" {
		return who, "", stanza.NotAcceptable.WithText("A username and a password are needed.")
	}
	if who, err = jid.New(username, rq.Session.Host(), ""); err != nil {
		return who, "", stanza.NotAcceptable.WithText("The username has characters that are not allowed, or is too long.")
	}
	return who, password, nil
}

func (g *registrar) makeAccount(rq *router.Request, who jid.JID, password string) error {
	r := rq.Router
	// Asked first: it is cheaper than the derivation of keys.
	_, err := r.Store().Account(r.Context(), who)
	if err == nil {
		return stanza.Conflict
	}
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	c, err := g.credentials(rq, password)
	if err != nil {
		return err
	}
	err = r.Store().CreateAccount(r.Context(), store.Account{JID: who, Credentials: c})
	if errors.Is(err, store.ErrExists) {
		return stanza.Conflict
	}
	return err
}

// credentials derives what is kept of a password.
func (g *registrar) credentials(rq *router.Request, password string) (c store.Credentials, err error) {
	unfit := stanza.NotAcceptable.WithText("The password has characters that are not allowed, or is too long.")
	if len(password) > maxPassword {
		return store.Credentials{}, unfit
	}
	rq.Turn.Derive(rq.Session, func() { c, err = store.NewCredentials(password, g.iterations) })
	if errors.Is(err, store.ErrPassword) {
		return c, unfit
	}
	return c, err
}

// change sets the password of the client's own account.
func (g *registrar) change(rq *router.Request) error {
	username, password := fields(rq)
	// Section 3.3: "If the user provides an empty password element […], the
	// server or service MUST NOT change the password to a null value, but
	// instead MUST maintain the existing password."
	if username == "" || password == "" {
		return stanza.BadRequest.WithText("A username and a password are needed.")
	}
	own := rq.Session.JID().Bare()
	if who, err := jid.New(username, rq.Session.Host(), ""); err != nil || who != own {
		return stanza.Forbidden.WithText("That is another account.")
	}
	before, err := rq.Router.OwnAccount(rq.Session)
	if err != nil {
		return err
	}
	c, err := g.credentials(rq, password)
	if err != nil {
		return err
	}
	// The derivation of keys waits its turn. Meanwhile somebody else may have locked the
	// account or changed its password, which is to end this session.
	account, err := rq.Router.OwnAccount(rq.Session)
	if err != nil {
		return err
	}
	if account.Disabled || account.Event != before.Event {
		return stanza.NotAuthorized
	}
	event, err := rq.Router.Store().SetCredentials(rq.Router.Context(), own, c, false)
	if err != nil {
		return err
	}
	rq.Session.SetEvent(event) // it stays; the account's other streams end
	rq.Router.Logger().Info("password changed", "jid", own.String(), "peer", rq.Session.Conn().RemoteAddr())
	rq.Empty()
	g.actOnEvents(rq)
	return nil
}

// remove removes the client's own account. Section 3.2: the server "SHOULD then
// return a <not-authorized/> stream error and terminate all active sessions for
// the entity", and "SHOULD also cancel all existing presence subscriptions".
func (g *registrar) remove(rq *router.Request) error {
	if el := rq.Payload().First(); el.Next().OK() {
		// "<bad-request/>: The <remove/> element was not the only child element
		// of the <query/> element."
		return stanza.BadRequest
	}
	if !g.open {
		// "<not-allowed/>: No sender is allowed to cancel registrations in-band."
		return stanza.NotAllowed.WithText("Accounts are not removed in-band here.")
	}
	r, own := rq.Router, rq.Session.JID().Bare()
	if err := r.Store().DeleteAccount(r.Context(), own); err != nil {
		return err
	}
	r.Logger().Info("account removed", "jid", own.String(), "peer", rq.Session.Conn().RemoteAddr())
	rq.Empty() // before the stream error
	g.actOnEvents(rq)
	return nil
}

// actOnEvents has the router tell of what was just done to an account. Where that
// fails it is tried again within a second: the request has succeeded in any case.
func (g *registrar) actOnEvents(rq *router.Request) {
	if err := rq.Router.CatchUpAll(rq.Turn); err != nil {
		rq.Router.Logger().Error("account events could not be acted on", "err", err)
	}
}

// fields are the username and the password of a set, "" where they are missing.
func fields(rq *router.Request) (username, password string) {
	text := func(name string) string {
		return string(rq.Payload().Child(nsRegister, name).AppendText(nil))
	}
	return text("username"), text("password")
}
