package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"roost/admin/api"
	"roost/jid"
	"roost/router"
	"roost/session"
	"roost/store"
)

var accountRoutes = []route{
	{id: "account.list", method: http.MethodGet, path: api.PathAccounts, scope: ScopeRead, response: api.AccountPage{}, handle: (*Server).listAccounts,
		summary: "List accounts in the order of domain and localpart.",
		query: append([]param{
			{"domain", "string", "Accounts of this domain."},
			{"prefix", "string", "Accounts whose localparts begin with this. It needs a domain, unless the server has only one."},
			{"lacking", "string", "Accounts that have no keys for this mechanism: SCRAM-SHA-256 or SCRAM-SHA-1."},
			{"limit", "integer", "Accounts on a page, 1 to 1000; default 100."},
			{"cursor", "string", "The cursor of the page before."},
		}, useParams...)},
	{id: "account.create", method: http.MethodPost, path: api.PathAccounts, scope: ScopeWrite, response: api.Account{}, handle: (*Server).createAccount,
		body: func() any { return new(api.AccountCreate) }, summary: "Create an account."},
	{id: "account.show", method: http.MethodGet, path: api.PathAccount, scope: ScopeRead, response: api.AccountDetail{}, handle: (*Server).showAccount,
		summary: "Show one account."},
	{id: "account.delete", method: http.MethodDelete, path: api.PathAccount, scope: ScopeWrite, handle: (*Server).deleteAccount,
		summary: "Delete an account with its roster, messages and all other data. With unused_days or never_used_days, only if that selects it and no client is connected; otherwise the response is 409.",
		query:   useParams},
	{id: "account.password", method: http.MethodPost, path: api.PathAccountPassword, scope: ScopeWrite, response: api.Account{}, handle: (*Server).setPassword,
		body: func() any { return new(api.AccountPassword) }, summary: "Change the password of an account. Its clients have to log in again, unless keep_sessions is true."},
	{id: "account.disable", method: http.MethodPost, path: api.PathAccountDisable, scope: ScopeWrite, response: api.Account{}, handle: (*Server).disableAccount,
		summary: "Lock an account: its sessions end, its tokens are revoked, and it may not log in."},
	{id: "account.enable", method: http.MethodPost, path: api.PathAccountEnable, scope: ScopeWrite, response: api.Account{}, handle: (*Server).enableAccount,
		summary: "Let an account that was locked log in again."},
	{id: "account.logout", method: http.MethodPost, path: api.PathAccountLogout, scope: ScopeWrite, response: api.AccountLogout{}, handle: (*Server).logoutAccount,
		summary: "Revoke all tokens of an account, and end its sessions with the stream error policy-violation. Its clients may log in again, with the password.",
		query:   []param{{"text", "string", "What the clients are told, at most 200 characters."}}},
}

// parseAccount parses the address of an account, which a field of the request has.
func parseAccount(field, text string) (jid.JID, error) {
	j, err := jid.Parse(text)
	if err != nil || !j.IsAccount() {
		return j, badField(field, "such as romeo@example.org", "%q is not the address of an account", text)
	}
	return j, nil
}

// account returns the account that the path of a request names.
func (s *Server) account(r *request) (store.Account, error) {
	j, err := parseAccount("jid", r.PathValue("jid"))
	if err != nil {
		return store.Account{}, err
	}
	a, err := s.b.Store.Account(r.Context(), j)
	return a, accountError(j, err)
}

// accountError is the error of a request for an account.
func accountError(j jid.JID, err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return &api.Error{Status: 404, Code: api.CodeNotFound, Message: "there is no account " + j.String(), Hint: "GET /v1/accounts lists accounts"}
	case errors.Is(err, store.ErrExists):
		return &api.Error{Status: 409, Code: api.CodeConflict, Message: j.String() + " exists already"}
	case errors.Is(err, store.ErrConflict):
		return &api.Error{Status: 409, Code: api.CodeConflict, Message: j.String() + " has changed in the meantime", Hint: "read it again"}
	}
	return err
}

// connected is the number of an account's sessions.
func (s *Server) connected(bare string) (n int64) {
	for x := s.b.Sessions.First(bare); x != nil; x = x.Next() {
		if x.Bound() {
			n++
		}
	}
	return n
}

func (s *Server) describeAccount(a *store.Account) api.Account {
	return api.Account{JID: a.JID.String(), Created: a.Created, Disabled: a.Disabled, Sessions: s.connected(a.JID.String()), Used: UsedAt(a)}
}

// UsedAt is when an account of a list was used last, as the interface tells it.
func UsedAt(a *store.Account) *time.Time {
	if a.Used.IsZero() {
		return nil
	}
	if now := time.Now().UTC(); a.Used.After(now) { // the end of today
		return &now
	}
	return &a.Used
}

// accountCursor is the Sort of a position in the list of accounts.
const accountCursor = "account"

func (s *Server) listAccounts(r *request) (any, error) {
	var after jid.JID
	f, err := s.accountFilter(r)
	if err != nil {
		return nil, err
	}
	limit, err := r.limit()
	if err != nil {
		return nil, err
	}
	if text := r.URL.Query().Get("cursor"); text != "" {
		p, err := parseCursor(text, accountCursor)
		if err == nil {
			after, err = parseAccount("cursor", p.JID)
		}
		if err != nil {
			return nil, err
		}
	}
	var found []store.Account
	var next jid.JID
	if f.use.IsZero() {
		if found, err = s.findAccounts(r.Context(), &f, after, limit+1); len(found) > limit {
			found, next = found[:limit], found[limit-1].JID
		}
	} else {
		found, next, err = s.findUnused(r.Context(), &f, after, limit)
	}
	if err != nil {
		return nil, err
	}
	page := api.AccountPage{Accounts: []api.Account{}}
	for i := range found {
		page.Accounts = append(page.Accounts, s.describeAccount(&found[i]))
	}
	if !next.IsZero() {
		p := position{Sort: accountCursor, JID: next.String()}
		page.Cursor = p.cursor()
	}
	return page, nil
}

// accountFilter is which accounts a list has. Empty values mean any.
type accountFilter struct {
	domain, prefix string
	lacking        *store.Hash // for which they have no keys
	use            UseRule
}

func (s *Server) accountFilter(r *request) (f accountFilter, err error) {
	get := r.URL.Query().Get
	if text := get("domain"); text != "" {
		if f.domain, err = jid.NormalizeDomain(text); err != nil {
			return f, badField("domain", "", "%q is not a domain", text)
		}
	}
	if text := get("prefix"); text != "" {
		if served := s.b.Domains(); f.domain == "" && len(served) == 1 {
			f.domain = served[0]
		}
		if f.domain == "" {
			return f, badField("prefix", "give the domain, too", "a name is of one domain")
		}
		j, err := jid.New(text, f.domain, "")
		if err != nil {
			return f, badField("prefix", "", "%q cannot be the beginning of a localpart", text)
		}
		f.prefix = j.Local()
	}
	if text := get("lacking"); text != "" {
		h, err := store.ParseHash(text)
		if err != nil {
			return f, badField("lacking", "", "%v", err)
		}
		f.lacking = &h
	}
	f.use, err = r.useRule()
	return f, err
}

// findAccounts returns at most limit accounts after the address after, all of them with the
// prefix. Those are next to one another in the store's list.
func (s *Server) findAccounts(ctx context.Context, f *accountFilter, after jid.JID, limit int) (found []store.Account, err error) {
	if f.prefix != "" && after.Local() < f.prefix {
		if after, err = jid.New(f.prefix, f.domain, ""); err != nil {
			return nil, err
		}
		first, err := s.b.Store.Account(ctx, after)
		switch {
		case err == nil && (f.lacking == nil || !first.Credentials.Hashes().Has(*f.lacking)):
			found = append(found, first)
			limit--
		case err != nil && !errors.Is(err, store.ErrNotFound):
			return nil, err
		}
	}
	var more []store.Account
	if f.lacking != nil {
		more, err = s.b.Store.ListLacking(ctx, *f.lacking, f.domain, after, limit)
	} else {
		more, err = s.b.Store.ListAccounts(ctx, f.domain, after, limit)
	}
	for _, a := range more {
		if !strings.HasPrefix(a.JID.Local(), f.prefix) {
			break
		}
		found = append(found, a)
	}
	return found, err
}

func (s *Server) showAccount(r *request) (any, error) {
	a, err := s.account(r)
	if err != nil {
		return nil, err
	}
	d := api.AccountDetail{Account: s.describeAccount(&a), Keys: DescribeKeys(&a.Credentials), Event: a.Event}
	n, err := s.b.Store.CountOffline(r.Context(), a.JID)
	if err != nil {
		return nil, err
	}
	d.OfflineMessages = int64(n)
	last, err := s.b.Store.LastActivity(r.Context(), a.JID)
	if err == nil {
		d.LastSeen = &last.At
	} else if !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	return d, nil
}

// derive makes credentials, those of one request at a time: it takes a CPU.
func (s *Server) derive(ctx context.Context, password string, iterations int) (c store.Credentials, err error) {
	switch {
	case len(password) > store.MaxPassword:
		return c, badField("password", "", "the password is longer than %d bytes", store.MaxPassword)
	case iterations != 0 && (iterations < store.MinIterations || iterations > store.MaxIterations):
		return c, badField("iterations", "", "iterations must be %d to %d", store.MinIterations, store.MaxIterations)
	}
	select {
	case s.deriving <- struct{}{}:
		defer func() { <-s.deriving }()
	case <-ctx.Done():
		return c, ctx.Err()
	}
	c, err = store.NewCredentials(password, iterations)
	var bad store.PasswordError
	if errors.As(err, &bad) {
		err = badField("password", "", "%v", bad)
	}
	return c, err
}

func (s *Server) createAccount(r *request) (any, error) {
	body := r.body.(*api.AccountCreate)
	j, err := parseAccount("jid", body.JID)
	if err != nil {
		return nil, err
	}
	r.object = j.String()
	if served := s.b.Domains(); !body.AnyDomain && !slices.Contains(served, j.Domain()) {
		return nil, &api.Error{Status: 400, Code: api.CodeNotServed, Field: "jid", Message: fmt.Sprintf("%v not added: its domain is not served (served: %s)", j, strings.Join(served, ", ")), Hint: "serve the domain, or set any_domain"}
	}
	_, err = s.b.Store.Account(r.Context(), j)
	if err == nil {
		return nil, accountError(j, store.ErrExists) // before the derivation, which takes longer
	}
	if !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	credentials, err := s.derive(r.Context(), body.Password, body.Iterations)
	if err != nil {
		return nil, err
	}
	if err := s.b.Store.CreateAccount(r.Context(), store.Account{JID: j, Credentials: credentials}); err != nil {
		return nil, accountError(j, err)
	}
	return s.changed(r, j, "account created by an administrator")
}

func (s *Server) setPassword(r *request) (any, error) {
	body := r.body.(*api.AccountPassword)
	a, err := s.account(r)
	if err != nil {
		return nil, err
	}
	credentials, err := s.derive(r.Context(), body.Password, body.Iterations)
	if err != nil {
		return nil, err
	}
	if _, err := s.b.Store.SetCredentials(r.Context(), a.JID, cmp.Or(body.Event, store.AnyEvent), credentials, body.KeepSessions); err != nil {
		return nil, accountError(a.JID, err)
	}
	return s.changed(r, a.JID, "password changed by an administrator")
}

func (s *Server) disableAccount(r *request) (any, error) {
	return s.setDisabled(r, true, "account disabled by an administrator")
}

func (s *Server) enableAccount(r *request) (any, error) {
	return s.setDisabled(r, false, "account enabled by an administrator")
}

func (s *Server) setDisabled(r *request, disabled bool, text string) (any, error) {
	a, err := s.account(r)
	if err != nil {
		return nil, err
	}
	if err := s.b.Store.SetDisabled(r.Context(), a.JID, disabled); err != nil {
		return nil, accountError(a.JID, err)
	}
	if disabled {
		_, err = session.RevokeTokens(r.Context(), s.b.Store, a.JID, "")
	}
	result, changed := s.changed(r, a.JID, text)
	return result, errors.Join(err, changed)
}

// changed logs a change of an account, has the sessions concerned ended, and returns the
// account.
func (s *Server) changed(r *request, j jid.JID, text string) (any, error) {
	s.b.Logger.Info(text, "jid", j.String(), "actor", r.actor)
	s.b.AccountsChanged(r.Context())
	a, err := s.b.Store.Account(r.Context(), j)
	if err == nil {
		return s.describeAccount(&a), nil
	}
	if err = accountError(j, err); failure(err).Code == api.CodeInternal {
		s.b.Logger.Error("an account was changed, and could not be read afterwards", "jid", j.String(), "err", err)
		return nil, &api.Error{Status: 500, Code: api.CodeInternal, Message: j.String() + " is changed as requested, but could not be read afterwards", Hint: "the server's log has the reason"}
	}
	return nil, err
}

func (s *Server) deleteAccount(r *request) (any, error) {
	j, err := parseAccount("jid", r.PathValue("jid"))
	if err != nil {
		return nil, err
	}
	rule, err := r.useRule()
	switch {
	case err != nil:
	case rule.IsZero():
		err = accountError(j, s.b.Store.DeleteAccount(r.Context(), j, store.AnyEvent))
	default:
		err = s.deleteIfUnused(r.Context(), rule, j)
	}
	if err != nil {
		return nil, err
	}
	s.b.Logger.Info("account deleted by an administrator", "jid", j.String(), "actor", r.actor)
	s.b.AccountsChanged(r.Context())
	return nil, nil
}

func (s *Server) logoutAccount(r *request) (any, error) {
	text, err := clientText("text", r.URL.Query().Get("text"), defaultText)
	if err != nil {
		return nil, err
	}
	a, err := s.account(r)
	if err != nil {
		return nil, err
	}
	tokens, err := session.RevokeTokens(r.Context(), s.b.Store, a.JID, "") // first: otherwise, clients could log in by them again
	if err != nil {
		return nil, err
	}
	e := session.ErrPolicyViolation.WithText(text)
	result := api.AccountLogout{JID: a.JID.String(), Tokens: int64(tokens), Condition: e.Condition, Text: text}
	ended, err := s.b.Router.EndSessions(r.Context(), a.JID, router.Ending{Error: e})
	if err != nil {
		s.notCounted(a.JID, err)
	}
	result.Sessions = int64(ended)
	s.b.Logger.Info("account logged out by an administrator", "jid", result.JID, "actor", r.actor, "sessions", result.Sessions)
	return result, nil
}
