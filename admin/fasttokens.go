package admin

import (
	"net/http"

	"roost/admin/api"
	"roost/router"
	"roost/session"
)

// fastTokenRoutes are about the tokens of clients (FAST); tokens.go has those of this
// interface.
var fastTokenRoutes = []route{
	{id: "token.list", method: http.MethodGet, path: api.PathAccountTokens, scope: ScopeRead, response: api.TokenList{}, handle: (*Server).listTokens,
		summary: "List the clients of an account that have tokens, by which they log in without the password (FAST, XEP-0484)."},
	{id: "token.revokeAll", method: http.MethodDelete, path: api.PathAccountTokens, scope: ScopeWrite, response: api.TokensRevoked{}, handle: (*Server).revokeAllTokens,
		summary: "Revoke the tokens of all clients of an account. Its sessions continue."},
	{id: "token.revoke", method: http.MethodDelete, path: api.PathAccountToken, scope: ScopeWrite, response: api.TokensRevoked{}, handle: (*Server).revokeToken,
		summary: "Revoke the token of one client of an account, and end the client's session if it was bound by Bind 2 (XEP-0386)."},
}

func (s *Server) listTokens(r *request) (any, error) {
	a, err := s.account(r)
	if err != nil {
		return nil, err
	}
	clients, err := session.ListTokens(r.Context(), s.b.Store, &a)
	if err != nil {
		return nil, err
	}
	return DescribeTokens(clients), nil
}

// DescribeTokens returns the form of a list for clients of the interface.
func DescribeTokens(clients []session.TokenClient) api.TokenList {
	list := api.TokenList{Clients: []api.TokenClient{}}
	for _, c := range clients {
		list.Clients = append(list.Clients, api.TokenClient{ID: c.ID, Software: c.Software, Device: c.Device, Mechanism: c.Mechanism,
			Issued: c.Issued, Expires: c.Expiry, Used: c.Used})
	}
	return list
}

func (s *Server) revokeAllTokens(r *request) (any, error) { return s.revoke(r, "") }

func (s *Server) revokeToken(r *request) (any, error) { return s.revoke(r, r.PathValue("client")) }

// revoke revokes the tokens of one client or, if id is empty, of all. A client without a
// token is no error: it is as it was to become.
func (s *Server) revoke(r *request, id string) (any, error) {
	a, err := s.account(r)
	if err != nil {
		return nil, err
	}
	clients, err := session.RevokeTokens(r.Context(), s.b.Store, a.JID, id)
	if err != nil {
		return nil, err
	}
	result := api.TokensRevoked{Clients: int64(clients)}
	if id != "" {
		ended, err := s.b.Router.EndSessions(r.Context(), a.JID, router.Ending{Client: id, Error: session.ErrPolicyViolation.WithText(defaultText)})
		if err != nil {
			s.notCounted(a.JID, err)
		}
		result.Sessions = int64(ended)
	}
	s.b.Logger.Info("tokens revoked by an administrator", "jid", a.JID.String(), "actor", r.actor, "clients", clients)
	return result, nil
}
