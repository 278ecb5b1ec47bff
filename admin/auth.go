package admin

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"os/user"
	"strconv"
	"strings"
	"sync"
	"time"

	"roost/admin/api"
)

// authorize returns who makes a request, as far as that is known: a user of this machine or
// the name of a token. action is the requested action.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request, need Scope, action string) (actor string, err error) {
	p, _ := r.Context().Value(peerKey{}).(peer)
	if p.local {
		return s.authorizeLocal(p, action)
	}
	if user, ok := r.Context().Value(dashboardKey{}).(dashboardUser); ok {
		return s.authorizeDashboard(w, r, user, need, action)
	}
	header := r.Header.Get("Authorization")
	if need == ScopeNone && header == "" {
		return "", nil
	}
	if secret, ok := bearer(header); ok {
		if t, ok := s.tokens.find(secret); ok {
			if p.trust != nil {
				p.trust()
			}
			return s.authorizeToken(r, t, need, action)
		}
	}
	w.Header().Set("Connection", "close")
	reason := "unknown token"
	if header == "" {
		reason = "no token"
	}
	return "", s.unauthorized(w, r, action, reason)
}

// unauthorized records a request without a valid token and returns its error.
func (s *Server) unauthorized(w http.ResponseWriter, r *http.Request, action, reason string) error {
	if s.refuse(AuditEntry{From: r.RemoteAddr, Action: action, Result: string(api.CodeUnauthorized)}, reason) {
		w.Header().Set("Retry-After", "60")
		return &api.Error{Status: 429, Code: api.CodeTooMany, Message: "there were too many requests without a valid token", Hint: "try again in a minute, or use a valid token, which is always accepted"}
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="roost"`) // RFC 6750 section 3
	return &api.Error{Status: 401, Code: api.CodeUnauthorized, Message: reason, Hint: "send the header Authorization: Bearer TOKEN; roost admin token add makes a token"}
}

// authorizeDashboard checks the token with which a browser has logged in.
func (s *Server) authorizeDashboard(w http.ResponseWriter, r *http.Request, user dashboardUser, need Scope, action string) (actor string, err error) {
	if t, ok := s.tokens.withHash(user.token); ok {
		return s.authorizeToken(r, t, need, action)
	}
	return "", s.unauthorized(w, r, action, "unknown token")
}

// authorizeLocal checks the user of a request on the Unix socket.
func (s *Server) authorizeLocal(p peer, action string) (actor string, err error) {
	actor = userName(p.uid)
	if !p.allowed() {
		s.refuse(AuditEntry{Actor: actor, Action: action, Result: string(api.CodeForbidden)}, "not the server's user")
		err = &api.Error{Status: 403, Code: api.CodeForbidden, Message: "only root and the server's user may use this socket"}
	}
	return actor, err
}

// authorizeToken checks the scope of a token.
func (s *Server) authorizeToken(r *http.Request, t token, need Scope, action string) (actor string, err error) {
	actor = "token " + t.name
	if !t.scope.includes(need) {
		message := fmt.Sprintf("the token %s has the scope %s, and this request needs %s", t.name, t.scope, need)
		s.refuse(AuditEntry{Actor: actor, From: r.RemoteAddr, Action: action, Result: string(api.CodeForbidden)}, message)
		err = &api.Error{Status: 403, Code: api.CodeForbidden, Message: message, Hint: "use a token with the scope write"}
	}
	return actor, err
}

// bearer returns the token in the header Authorization.
func bearer(header string) (secret string, ok bool) {
	kind, secret, _ := strings.Cut(header, " ")
	return strings.TrimSpace(secret), strings.EqualFold(kind, "Bearer")
}

// refuse logs and audits a request that was not allowed, unless there were too many of
// them.
func (s *Server) refuse(e AuditEntry, reason string) (tooMany bool) {
	n := s.refusals.count(time.Now())
	if n > maxRefusals {
		return true
	}
	text := "a request to the administration interface was refused"
	if n == maxRefusals {
		text = "requests to the administration interface are refused, and not logged for a minute"
	}
	s.b.Logger.Warn(text, "peer", cmp.Or(e.From, e.Actor), "reason", reason)
	s.recordAction(e)
	return false
}

// refusals counts requests that were not allowed. A valid token is accepted whatever
// others do: its 256 bits cannot be guessed, and nobody can lock the operator out.
type refusals struct {
	mu     sync.Mutex
	minute time.Time // when counting began
	n      int
}

// maxRefusals is how many requests may be refused in a minute before they are neither
// logged nor told what is wrong.
const maxRefusals = 30

// count counts a request and returns how many there are in this minute.
func (a *refusals) count(now time.Time) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Sub(a.minute) > time.Minute {
		a.minute, a.n = now, 0
	}
	a.n++
	return a.n
}

// LocalActor is the user of this process, as the audit log names the user of a request on
// the Unix socket.
func LocalActor() string { return userName(uint32(os.Getuid())) }

// userName is a user of this machine, as it is logged.
func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return fmt.Sprintf("%s (uid %s)", u.Username, id)
	}
	return "uid " + id
}
