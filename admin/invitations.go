package admin

import (
	"cmp"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"roost/admin/api"
	"roost/jid"
	"roost/store"
)

var invitationRoutes = []route{
	{id: "invitation.list", method: http.MethodGet, path: api.PathInvitations, scope: ScopeRead, response: api.InvitationPage{}, handle: (*Server).listInvitations,
		summary: "List invitations, those that were used or have ended included, until a day after their end or longer.",
		query: []param{
			{"limit", "integer", "Invitations on a page, 1 to 1000; default 100."},
			{"cursor", "string", "The cursor of the page before."},
		}},
	{id: "invitation.create", method: http.MethodPost, path: api.PathInvitations, scope: ScopeWrite, response: api.InvitationCreated{}, handle: (*Server).invite,
		body:    func() any { return new(api.InvitationCreate) },
		summary: "Invite people to create an account. Whoever has the link can."},
	{id: "invitation.revoke", method: http.MethodDelete, path: api.PathInvitation, scope: ScopeWrite, response: api.Invitation{}, handle: (*Server).revokeInvitation,
		summary: "Withdraw an invitation. Accounts that were created by it stay."},
}

// Invitations are the settings of invitations.
type Invitations struct {
	On   bool                              // accounts can be created by invitation
	Life time.Duration                     // how long an invitation is valid
	Page func(domain, token string) string // returns the URL of the page for one, "" if there is none
	Held time.Time                         // names of accounts that were deleted before can be used again
}

const (
	maxInvitations    = 10_000 // of administrators that have not ended
	maxInvitationTime = 366 * 24 * time.Hour
)

func (s *Server) invite(r *request) (any, error) {
	q, settings := r.body.(*api.InvitationCreate), s.b.Invitations()
	now := time.Now().UTC().Truncate(time.Second)
	i := store.Invitation{Domain: q.Domain, Actor: r.actor, Uses: cmp.Or(q.Uses, 1), Created: now, Until: now.Add(settings.Life)}
	served := s.b.Domains()
	if i.Domain == "" && len(served) == 1 {
		i.Domain = served[0]
	}
	switch normal, err := jid.NormalizeDomain(i.Domain); {
	case i.Domain == "":
		return nil, badField("domain", "served: "+strings.Join(served, ", "), "domain is missing, and the server has several")
	case err != nil:
		return nil, badField("domain", "", "%q is not a domain", i.Domain)
	case !slices.Contains(served, normal):
		return nil, &api.Error{Status: 400, Code: api.CodeNotServed, Field: "domain", Message: "the domain " + normal + " is not served", Hint: "served: " + strings.Join(served, ", ")}
	default:
		i.Domain = normal
	}
	if q.Username != "" {
		account, err := jid.New(q.Username, i.Domain, "")
		if err != nil {
			return nil, badField("username", "such as romeo, without a domain", "%q cannot be a username", q.Username)
		}
		i.Localpart = account.Local()
	}
	switch {
	case q.Uses < 0 || q.Uses > api.MaxInvitationUses:
		return nil, badField("uses", "", "uses must be 1 to %d", api.MaxInvitationUses)
	case i.Localpart != "" && i.Uses > 1:
		return nil, badField("uses", "leave out the username, or uses", "uses must be 1: there can be only one account of a name")
	case !(q.Seconds >= 0 && q.Seconds <= maxInvitationTime.Seconds()):
		return nil, badField("seconds", "leave it out for the usual time", "seconds must be 0 to %s", secondsText(maxInvitationTime))
	case q.Seconds > 0:
		i.Until = now.Add(max(time.Second, time.Duration(q.Seconds*float64(time.Second))))
	}
	if !settings.On {
		return nil, &api.Error{Status: 409, Code: api.CodeConflict, Message: "this server does not create accounts by invitation", Hint: "set --invitations to operators or users"}
	}
	token := store.NewInvitationToken()
	i.ID = store.InvitationID(token)
	r.object = i.ID
	switch err := store.Invite(r.Context(), s.b.Store, i, maxInvitations, settings.Held); {
	case errors.Is(err, store.ErrExists):
		return nil, &api.Error{Status: 409, Code: api.CodeConflict, Field: "username", Message: i.Localpart + "@" + i.Domain + " exists already, was deleted not long ago (--hold-names), or is reserved by another invitation"}
	case errors.Is(err, store.ErrQuota):
		return nil, &api.Error{Status: 409, Code: api.CodeConflict, Message: "there are too many invitations", Hint: "revoke some, or make one with several uses"}
	case err != nil:
		return nil, err
	}
	s.b.Logger.Info("invitation created by an administrator", "invitation", i.ID, "actor", r.actor)
	created := api.InvitationCreated{Invitation: describeInvitation(&i), URI: i.RegisterURI(token)}
	if settings.Page != nil {
		created.Page = settings.Page(i.Domain, token)
	}
	return created, nil
}

func describeInvitation(i *store.Invitation) api.Invitation {
	return api.Invitation{
		ID: i.ID, Domain: i.Domain, Username: i.Localpart, Inviter: i.Inviter, Actor: i.Actor, Contact: i.Contact,
		Uses: i.Uses, CreatedAt: i.Created, Until: i.Until,
	}
}

// invitationSort is the only order of the list of invitations, in its cursors.
const invitationSort = "id"

func (s *Server) listInvitations(r *request) (any, error) {
	limit, err := r.limit()
	if err != nil {
		return nil, err
	}
	var after position
	if text := r.URL.Query().Get("cursor"); text != "" {
		p, err := parseCursor(text, invitationSort)
		if err != nil {
			return nil, err
		}
		after = *p
	}
	all, err := s.b.Store.ListInvitations(r.Context(), after.JID, limit+1)
	if err != nil {
		return nil, err
	}
	page := api.InvitationPage{Invitations: []api.Invitation{}}
	for i := range all[:min(limit, len(all))] {
		page.Invitations = append(page.Invitations, describeInvitation(&all[i]))
	}
	if len(all) > limit {
		page.Cursor = (&position{Sort: invitationSort, JID: all[limit-1].ID}).cursor()
	}
	return page, nil
}

func (s *Server) revokeInvitation(r *request) (any, error) {
	id := r.PathValue("invitation")
	if b, err := hex.DecodeString(id); err != nil || len(b) != 16 || strings.ToLower(id) != id {
		return nil, badField("invitation", "GET /v1/invitations lists invitations with their IDs", "%q is not the ID of an invitation", id)
	}
	i, err := s.b.Store.Invitation(r.Context(), id)
	if err == nil {
		err = s.b.Store.DeleteInvitation(r.Context(), id)
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, &api.Error{Status: 404, Code: api.CodeNotFound, Message: "there is no invitation " + id, Hint: "GET /v1/invitations lists invitations"}
	case err != nil:
		return nil, err
	}
	s.b.Logger.Info("invitation revoked by an administrator", "invitation", id, "actor", r.actor)
	return describeInvitation(&i), nil
}
