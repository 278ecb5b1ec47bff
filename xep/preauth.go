package xep

import (
	"roost/router"
	"roost/session"
	"roost/stanza"
	"roost/store"
)

const (
	nsPreauth = "urn:xmpp:pars:0"
	nsToken   = "urn:xmpp:ibr-token:0"
	nsInvite  = "urn:xmpp:invite" // COMPAT: of versions of XEP-0401 before 0.5.0; clients look for it
)

// InvitePolicy says who may invite people to create accounts.
type InvitePolicy uint8

// The policies. Invitations of both kinds can be used unless it is InviteNobody.
const (
	InviteNobody InvitePolicy = iota
	InviteOperators
	InviteUsers // operators, too
)

// preauthorized is the invitation whose token a client has shown. It is dropped when an account
// was created, and at the latest when the client binds a resource.
var preauthorized = session.NewSlot[store.Invitation]()

// preauth lets clients that have the token of an invitation create an account (XEP-0445,
// https://xmpp.org/extensions/xep-0445.html#preauth-ibr). As registration, it is reachable only
// on streams that are secure enough for a login.
func preauth(g *registrar) router.Extension {
	offered := func(s *session.Session) bool { return g.invites() && s.MayLogIn() }
	return router.Extension{
		Name:    "preauth",
		XEP:     445,
		Version: "0.2.0",
		Title:   "Pre-Authenticated In-Band Registration",
		IQ: []router.IQ{{
			Space: nsPreauth, Local: "preauth", Methods: router.Set, Targets: router.ToServer, Unbound: true, Step: g.preauth,
		}},
		Features: []session.Feature{
			{When: offered, XML: "<register xmlns='" + nsToken + "'/>"},
			{When: offered, XML: "<register xmlns='" + nsInvite + "'/>"},
		},
	}
}

// invites reports whether there are invitations.
func (g *registrar) invites() bool { return g.x.config().Invitations != InviteNobody }

// invitation returns the invitation whose token a client has shown, nil if there is none.
func (g *registrar) invitation(s *session.Session) *store.Invitation {
	if !g.invites() {
		return nil
	}
	return preauthorized.Get(s)
}

// preauth handles a token: "Upon receiving the preauth request, the server must validate that
// the token is acceptable for account registration"
// (https://xmpp.org/extensions/xep-0445.html#preauth-ibr).
func (g *registrar) preauth(rq *router.Request) session.Work {
	work, err := g.show(rq)
	switch {
	case err != nil:
		rq.Error(err)
	case work == session.Done:
		rq.Empty()
	}
	return work
}

func (g *registrar) show(rq *router.Request) (session.Work, error) {
	token := rq.Payload().Attr("token")
	switch {
	case rq.Session == nil || !g.invites():
		return session.Done, stanza.ServiceUnavailable
	case rq.Session.Username() != "":
		return session.Done, stanza.UnexpectedRequest.WithText("This client has an account already.")
	case len(token) == 0:
		return session.Done, stanza.BadRequest
	case rq.Turn.MayBlock():
		return session.Done, g.find(rq, string(token))
	case !g.tokens.allow(rq.Session.Conn().RemoteAddr().Addr(), rq.Turn.Now()):
		return session.Done, errRegistrations
	}
	return session.Read, nil
}

// find looks for the invitation with a token. From now on the time does not matter: "if the
// token has an expiration time, it MUST only be checked at this point. Subsequent actions
// performed by the client during the current session that require a valid token MUST NOT be
// rejected due to token expiry" (https://xmpp.org/extensions/xep-0445.html#preauth-ibr).
func (g *registrar) find(rq *router.Request, token string) error {
	preauthorized.Drop(rq.Session) // of an earlier request
	i, err := g.x.Invitation(rq.Router, rq.Session.Host(), token, rq.Turn.Now())
	if err == nil {
		*preauthorized.Make(rq.Session) = *i
	}
	return err
}
