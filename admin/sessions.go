package admin

import (
	"net/http"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"roost/admin/api"
	"roost/jid"
	"roost/poller"
	"roost/router"
	"roost/session"
)

var sessionRoutes = []route{
	{id: "session.list", method: http.MethodGet, path: api.PathSessions, scope: ScopeRead, response: api.SessionPage{}, handle: (*Server).listSessions,
		summary: "List connected sessions.",
		query: []param{
			{"domain", "string", "Sessions of this domain."},
			{"account", "string", "Sessions of this account: a bare JID."},
			{"network", "string", "Sessions of clients with this address, or in this network: 192.0.2.0/24."},
			{"min_idle", "number", "Sessions whose clients were silent for at least so many seconds."},
			{"tls", "string", "Sessions with this protection: none, tls12, std or lean."},
			{"sort", "string", "jid (the default), idle (the longest first) or queued (the most bytes first)."},
			{"limit", "integer", "Sessions on a page, 1 to 1000; default 100."},
			{"cursor", "string", "The cursor of the page before."},
		}},
	{id: "session.show", method: http.MethodGet, path: api.PathSession, scope: ScopeRead, response: api.SessionDetail{}, handle: (*Server).showSession,
		summary: "Show one session, by its full JID."},
	{id: "session.end", method: http.MethodDelete, path: api.PathSession, scope: ScopeWrite, response: api.SessionEnd{}, handle: (*Server).endSession,
		summary: "End one session with the stream error policy-violation.",
		query:   []param{{"text", "string", "What the client is told, at most 200 characters."}}},
}

// wire is what the connection of a session tells of itself, as those of package poller do.
type wire interface {
	LastRead() time.Time
	TLS() poller.TLSKind
}

var tlsKinds = [...]api.TLSKind{poller.NoTLS: api.TLSNone, poller.TLS12: api.TLS12, poller.StdTLS: api.TLSStd, poller.LeanTLS: api.TLSLean}

// describe returns what is known of a session.
func describe(s *session.Session, now time.Time) api.Session {
	d := api.Session{
		JID: s.FullJID(), Transport: transport(s), TLS: api.TLSNone, Available: s.Available(), Priority: s.Priority(), QueuedBytes: int64(s.Conn().Queued()),
	}
	if a := s.Conn().RemoteAddr(); a.IsValid() {
		d.Address = netip.AddrPortFrom(a.Addr().Unmap(), a.Port()).String()
	}
	if w, ok := s.Conn().(wire); ok {
		d.TLS = tlsKinds[w.TLS()]
		d.LastInput = w.LastRead().UTC().Truncate(time.Second)
		d.IdleSeconds = max(0, now.Sub(w.LastRead()).Truncate(time.Second).Seconds())
	}
	return d
}

// transport returns what carries the stream of a session.
func transport(s *session.Session) api.Transport {
	switch {
	case s.Detached():
		return api.TransportNone
	case s.Conn().Messages():
		return api.TransportWebSocket
	}
	return api.TransportTCP
}

// find returns the session that the path of a request names, if it is on this node.
func (s *Server) find(r *request) (*session.Session, error) {
	j, err := fullJID(r)
	if err != nil {
		return nil, err
	}
	if found := s.b.Sessions.Find(j.BareString(), j.Resource()); found != nil {
		return found, nil
	}
	return nil, s.noSession(j)
}

// fullJID returns the full JID in the path of a request.
func fullJID(r *request) (jid.JID, error) {
	j, err := jid.Parse(r.PathValue("jid"))
	if err != nil || j.Local() == "" || !j.IsFull() {
		return jid.JID{}, badField("jid", "such as romeo@example.org%2Fphone", "%q is not the full JID of a session", r.PathValue("jid"))
	}
	return j, nil
}

func (s *Server) noSession(j jid.JID) error {
	return &api.Error{Status: 404, Code: api.CodeNotFound, Message: "there is no session " + j.String(), Hint: "GET /v1/sessions lists sessions"}
}

func (s *Server) showSession(r *request) (any, error) {
	found, err := s.find(r)
	if err != nil {
		return nil, err
	}
	d := api.SessionDetail{
		Session: describe(found, time.Now()), Interested: router.Interested(found),
		DirectedPresence: int64(router.DirectedPresence(found)), Conditions: found.Conditions(),
	}
	if p := found.Presence(); p != nil {
		d.PresenceBytes = int64(p.Size())
	}
	return d, nil
}

// maxText is the maximum length of a text for a client, in characters.
const maxText = 200

// defaultText is the default text for a client whose session is ended.
const defaultText = "The administrator of this server has ended the session."

// endSession ends a session. RFC 6120 section 4.9.3.14, policy-violation: "The entity has
// violated some local service policy [...]; the server MAY choose to specify the policy in
// the <text/> element". Of the other conditions, undefined-condition needs one of the
// application's own, and conflict and reset mean something else to clients.
func (s *Server) endSession(r *request) (any, error) {
	text, err := clientText("text", r.URL.Query().Get("text"), defaultText)
	if err != nil {
		return nil, err
	}
	j, err := fullJID(r)
	if err != nil {
		return nil, err
	}
	e := session.ErrPolicyViolation.WithText(text)
	switch ended, err := s.b.Router.EndSessions(r.Context(), j, router.Ending{Resource: j.Resource(), Error: e}); {
	case ended > 0:
	case err != nil:
		s.b.Logger.Warn("an administrator wants to end a session, but the cluster's directory cannot be reached", "jid", j.String(), "actor", r.actor, "err", err)
		return nil, &api.Error{Status: 503, Code: api.CodeUnavailable, Message: "there is no session " + j.String() + " on this node, and the cluster's directory cannot be reached, so it is not known whether there is one on another node",
			Hint: "the other nodes were told to end it if they can be reached; try again when roost status shows that Redis can be reached"}
	default:
		return nil, s.noSession(j)
	}
	result := api.SessionEnd{JID: j.String(), Condition: e.Condition, Text: text}
	s.b.Logger.Info("session ended by an administrator", "jid", result.JID, "actor", r.actor)
	return result, nil
}

// notCounted logs that sessions on other nodes were told to end, but not counted.
func (s *Server) notCounted(j jid.JID, err error) {
	s.b.Logger.Warn("the cluster's directory cannot be reached: sessions on other nodes were told to end, and were not counted", "jid", j.String(), "err", err)
}

// clientText checks a text that clients are told, from a field of the request; an empty one
// is def.
func clientText(field, text, def string) (string, error) {
	if text == "" {
		return def, nil
	}
	if !utf8.ValidString(text) || utf8.RuneCountInString(text) > maxText || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "", badField(field, "", "%s must be at most %d printable characters", field, maxText)
	}
	return text, nil
}
