package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"roost/jid"
	"roost/store"
)

// Lists of accounts: a condition comes after sqlList.
const (
	sqlList = `SELECT domain, local, disabled, created, coalesce((SELECT at FROM last_activity l WHERE l.account = account.id), 0),
		coalesce((SELECT day FROM account_use u WHERE u.account = account.id), 0) FROM account WHERE `
	sqlListAll    = ` AND (domain, local) > ($1, $2) ORDER BY domain, local LIMIT $3`
	sqlListDomain = ` AND domain = $1 AND local > $2 ORDER BY local LIMIT $3`
)

// sqlLacking selects the accounts that have no keys for a hash function. These conditions
// must be the same as in the indexes.
var sqlLacking = [store.NumHashes]string{store.SHA1: `sha1_stored = ''`, store.SHA256: `sha256_stored = ''`}

// ListAccounts implements store.Accounts.
func (s *Store) ListAccounts(ctx context.Context, domain string, after jid.JID, limit int) ([]store.Account, error) {
	return s.list(ctx, "ListAccounts", "true", domain, after, limit)
}

// ListLacking implements store.Accounts.
func (s *Store) ListLacking(ctx context.Context, h store.Hash, domain string, after jid.JID, limit int) ([]store.Account, error) {
	return s.list(ctx, "ListLacking", sqlLacking[h], domain, after, limit)
}

// list lists the accounts for which a condition is true.
func (s *Store) list(ctx context.Context, name, condition, domain string, after jid.JID, limit int) (list []store.Account, err error) {
	sql, from := sqlList+condition+sqlListAll, after.Domain()
	if domain != "" {
		sql, from = sqlList+condition+sqlListDomain, domain
	}
	reset := func() { list = nil }
	err = s.query(ctx, name, "list accounts", sql, []any{from, after.Local(), limit}, reset, func(rows pgx.Rows) error {
		var domain, local string
		var disabled bool
		var created, at, day int64
		if err := rows.Scan(&domain, &local, &disabled, &created, &at, &day); err != nil {
			return err
		}
		j, err := jid.New(local, domain, "")
		list = append(list, store.Account{JID: j, Disabled: disabled, Created: time.Unix(created, 0).UTC(), Used: store.LastUse(at, store.Day(day))})
		return err
	})
	return list, err
}
