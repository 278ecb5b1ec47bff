package server

import (
	"errors"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"roost/poller/websocket"
	"roost/session"
	"roost/stanza"
	"roost/store"
)

// inviteRequest makes the page of an invitation, and creates an account if its form was sent. The
// token in the path is what only those have who were invited, so no other page can send the form for
// them.
func (s *Server) inviteRequest(q *websocket.PageRequest, from netip.AddrPort, secure bool, respond func(*websocket.Page)) {
	domain, token, ok := invited(s.config(), q.Path)
	if !ok { // the settings have changed
		respond((&invitePage{Domain: domain}).respond(http.StatusNotFound))
		return
	}
	f := &inviteForm{s: s, domain: domain, token: token, from: from, respond: respond}
	if q.Method != http.MethodPost {
		s.sessions.Go(session.Read, func(*session.Turn) { f.show(http.StatusOK, "") })
		return
	}
	if kind, _, _ := mime.ParseMediaType(q.Type); kind != "application/x-www-form-urlencoded" {
		respond(f.refused(http.StatusUnsupportedMediaType, "The form was not sent as the page has it."))
		return
	}
	fields, err := url.ParseQuery(q.Body)
	if err != nil {
		respond(f.refused(http.StatusBadRequest, "The form was not sent as the page has it."))
		return
	}
	f.username, f.password, f.again = fields.Get("username"), fields.Get("password"), fields.Get("again")
	if !secure && !s.config().Session.AllowPlaintext {
		respond(f.refused(http.StatusForbidden, "A password is not accepted over a connection that is not encrypted. Open the page with https://."))
		return
	}
	if err := s.xep.MayTry(from.Addr(), time.Now()); err != nil {
		respond(f.refused(http.StatusTooManyRequests, err.(*stanza.ErrorReply).Text))
		return
	}
	s.sessions.Derive(from.Addr(), f.derive)
}

// inviteForm is one request for the page of an invitation.
type inviteForm struct {
	s             *Server
	domain, token string
	from          netip.AddrPort
	respond       func(*websocket.Page)

	username, password, again string

	invitation *store.Invitation
}

func (f *inviteForm) refused(status int, problem string) *websocket.Page {
	return (&invitePage{Domain: f.domain, Problem: problem}).respond(status)
}

// find looks for the invitation. If it cannot be used, find responds and returns false.
func (f *inviteForm) find() bool {
	i, err := f.s.xep.Invitation(f.s.router, f.domain, f.token, time.Now())
	if err != nil {
		f.fail(err)
		return false
	}
	f.invitation = i
	return true
}

// show responds with the form.
func (f *inviteForm) show(status int, problem string) {
	if f.invitation == nil && !f.find() {
		return
	}
	p := invitePage{Domain: f.domain, Token: f.token, Address: f.s.landingPage(f.domain, f.token), Invited: *f.invitation, Username: f.username, Problem: problem}
	f.respond(p.respond(status))
}

// derive does what needs no commit.
func (f *inviteForm) derive(*session.Turn) {
	if !f.find() {
		return
	}
	if f.password != f.again {
		f.show(http.StatusBadRequest, "The two passwords are not the same.")
		return
	}
	a, err := f.s.xep.NewAccount(f.username, f.password, f.invitation)
	if err != nil {
		f.fail(err)
		return
	}
	f.s.sessions.Go(session.Write, func(t *session.Turn) { f.create(t, a) })
}

// create creates the account.
func (f *inviteForm) create(t *session.Turn, a store.Account) {
	if err := f.s.xep.Register(t, f.s.router, a, f.invitation, f.from); err != nil {
		f.fail(err)
		return
	}
	p := invitePage{Domain: f.domain, Token: f.token, Invited: *f.invitation, Account: a.JID.String()}
	f.respond(p.respond(http.StatusOK))
}

// fail responds with an error.
func (f *inviteForm) fail(err error) {
	var e *stanza.ErrorReply
	switch {
	case !errors.As(err, &e):
		if f.s.pageFails.Allow() {
			f.s.log.Error("a request for the page of an invitation has failed", "err", err, "peer", f.from)
		}
		f.respond(f.refused(http.StatusServiceUnavailable, "The server cannot do this at the moment. Your invitation is not used. Try again in a few minutes."))
	case errors.Is(e, stanza.Conflict):
		f.show(http.StatusConflict, "This username is taken. Choose another one.")
	case errors.Is(e, stanza.NotAcceptable):
		f.show(http.StatusBadRequest, e.Text)
	default:
		f.respond(f.refused(http.StatusNotFound, ""))
	}
}
