package admin

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"roost/admin/api"
	"roost/store"
)

// maxImport limits the body of an import or a lookup, in bytes: 256 addresses of the largest
// size, with keys, need about 650 KB.
const maxImport = 1 << 20

// An import comes in batches, each a request and a transaction, with keys that the client
// has derived: that takes milliseconds of CPU for each account.
var importRoutes = []route{
	{id: "account.lookup", method: http.MethodPost, path: api.PathAccountLookup, scope: ScopeRead, response: api.AccountsFound{}, handle: (*Server).lookupAccounts,
		body: func() any { return new(api.AccountLookup) }, maxBody: maxImport, summary: "Find out which of up to 256 addresses are accounts."},
	{id: "account.import", method: http.MethodPost, path: api.PathAccountImport, scope: ScopeWrite, response: api.AccountsImported{}, handle: (*Server).importAccounts,
		body: func() any { return new(api.AccountImport) }, maxBody: maxImport,
		summary: "Create up to 256 accounts with keys that were derived from their passwords elsewhere, all or none."},
}

// checkBatch checks the number of accounts in a request.
func checkBatch(field string, n int) error {
	if n < 1 || n > api.MaxAccounts {
		return badField(field, "send them in several requests", "there must be 1 to %d accounts, not %d", api.MaxAccounts, n)
	}
	return nil
}

func (s *Server) lookupAccounts(r *request) (any, error) {
	q := r.body.(*api.AccountLookup)
	if err := checkBatch("jids", len(q.JIDs)); err != nil {
		return nil, err
	}
	found := api.AccountsFound{JIDs: []string{}}
	for _, text := range q.JIDs {
		j, err := parseAccount("jids", text)
		if err != nil {
			return nil, err
		}
		_, err = s.b.Store.Account(r.Context(), j)
		if err == nil {
			found.JIDs = append(found.JIDs, j.String())
		} else if !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
	}
	return found, nil
}

func (s *Server) importAccounts(r *request) (any, error) {
	q := r.body.(*api.AccountImport)
	all, err := s.checkImport(q)
	if err != nil {
		return nil, err
	}
	created, existing, err := s.b.Store.ImportAccounts(r.Context(), all, store.ImportModeOf(q.Update, q.KeepSessions))
	if err != nil {
		return nil, err
	}
	s.b.Logger.Info("accounts imported by an administrator", "actor", r.actor, "created", created, "existing", existing)
	s.b.AccountsChanged(r.Context())
	return api.AccountsImported{Created: int64(created), Existing: int64(existing)}, nil
}

// checkImport returns the accounts of an import, or an error with all that is wrong with
// them.
func (s *Server) checkImport(q *api.AccountImport) ([]store.Account, error) {
	if err := checkBatch("accounts", len(q.Accounts)); err != nil {
		return nil, err
	}
	served := s.b.Domains()
	all := make([]store.Account, len(q.Accounts))
	var wrong []string
	for i := range q.Accounts {
		a := &q.Accounts[i]
		j, err := parseAccount("accounts", a.JID)
		if err == nil && !q.AnyDomain && !slices.Contains(served, j.Domain()) {
			err = fmt.Errorf("%v: its domain is not served (served: %s)", j, strings.Join(served, ", "))
		}
		all[i] = store.Account{JID: j, Credentials: credentials(&a.Keys)}
		if err == nil {
			err = all[i].Credentials.Check()
		}
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("accounts[%d]: %v", i, err))
		}
	}
	if wrong != nil {
		return nil, &api.Error{Status: 400, Code: api.CodeBadRequest, Message: "no account was imported", Hint: "correct these", Field: "accounts", Details: wrong}
	}
	return all, nil
}

// credentials are the keys as they are stored.
func credentials(k *api.AccountKeys) store.Credentials {
	var c store.Credentials
	for h, keys := range map[store.Hash]*api.ScramKeys{store.SHA1: k.SHA1, store.SHA256: k.SHA256} {
		if keys != nil {
			c[h] = store.Keys(*keys)
		}
	}
	return c
}

// ImportedKeys are credentials as an import has them.
func ImportedKeys(c *store.Credentials) (k api.AccountKeys) {
	has := c.Hashes()
	if has.Has(store.SHA1) {
		k.SHA1 = (*api.ScramKeys)(&c[store.SHA1])
	}
	if has.Has(store.SHA256) {
		k.SHA256 = (*api.ScramKeys)(&c[store.SHA256])
	}
	return k
}

// DescribeKeys describes credentials without their keys.
func DescribeKeys(c *store.Credentials) []api.KeysShown {
	all := []api.KeysShown{}
	for i := range c {
		h := store.NumHashes - 1 - store.Hash(i) // the strongest first
		if c.Hashes().Has(h) {
			all = append(all, api.KeysShown{Mechanism: h.Mechanism(), Iterations: int64(c[h].Iterations)})
		}
	}
	return all
}
