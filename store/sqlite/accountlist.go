package sqlite

import (
	"context"
	"time"

	"roost/jid"
	"roost/store"
)

// listQueries list accounts: those of a domain, or all of them.
type listQueries struct{ domain, all query }

// lackingQueries list the accounts that have no keys for a hash function.
var lackingQueries = [store.NumHashes]listQueries{
	store.SHA1:   {qLackSHA1Domain, qLackSHA1All},
	store.SHA256: {qLackSHA256Domain, qLackSHA256All},
}

// ListAccounts implements store.Accounts.
func (s *Store) ListAccounts(ctx context.Context, domain string, after jid.JID, limit int) ([]store.Account, error) {
	return s.list(ctx, "ListAccounts", listQueries{qListDomain, qListAll}, domain, after, limit)
}

// ListLacking implements store.Accounts.
func (s *Store) ListLacking(ctx context.Context, h store.Hash, domain string, after jid.JID, limit int) ([]store.Account, error) {
	return s.list(ctx, "ListLacking", lackingQueries[h], domain, after, limit)
}

func (s *Store) list(ctx context.Context, name string, queries listQueries, domain string, after jid.JID, limit int) ([]store.Account, error) {
	var list []store.Account
	err := s.read(ctx, name, "list accounts", func(c *conn) error {
		q, from := queries.all, after.Domain()
		if domain != "" {
			q, from = queries.domain, domain
		}
		st, err := c.stmt(q)
		if err != nil {
			return err
		}
		st.BindText(1, from)
		st.BindText(2, after.Local())
		st.BindInt64(3, int64(limit))
		return each(st, func() error {
			j, err := jid.New(st.ColumnText(1), st.ColumnText(0), "")
			list = append(list, store.Account{JID: j, Disabled: st.ColumnBool(2), Created: time.Unix(st.ColumnInt64(3), 0).UTC(),
				Used: store.LastUse(st.ColumnInt64(4), store.Day(st.ColumnInt64(5)))})
			return err
		})
	})
	return list, err
}
