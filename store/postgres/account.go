package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"roost/jid"
	"roost/store"
)

// keyColumns are the columns of an account's credentials; see keyVars.
const keyColumns = `sha1_salt, sha1_iterations, sha1_stored, sha1_server, sha256_salt, sha256_iterations, sha256_stored, sha256_server`

// If the account does not exist, this reads another one, so that both cases take the same
// time. The last column distinguishes them.
const sqlAccount = `SELECT ` + keyColumns + `, disabled, created, generation, event, domain = $1 AND local = $2
	FROM account WHERE id = coalesce((SELECT id FROM account WHERE domain = $1 AND local = $2), (SELECT min(id) FROM account))`

// Account implements store.Accounts.
func (s *Store) Account(ctx context.Context, bare jid.JID) (store.Account, error) {
	bare = bare.Bare()
	var a store.Account
	var found bool
	err := s.lookup(ctx, "Account", "read account "+bare.String(), sqlAccount, address(bare), nil, func(rows pgx.Rows) error {
		var created int64
		err := rows.Scan(append(keyVars(&a.Credentials), &a.Disabled, &created, &a.Generation, &a.Event, &found)...)
		a.Created = time.Unix(created, 0).UTC()
		return err
	})
	if err != nil {
		return store.Account{}, err
	}
	if !found {
		// Without context: formatting takes time, which would tell whether the account
		// exists.
		return store.Account{}, store.ErrNotFound
	}
	removeEmpty(&a.Credentials)
	a.JID = bare.Clone()
	return a, nil
}

// address returns the first two arguments of most statements.
func address(j jid.JID) []any { return []any{j.Domain(), j.Local()} }

// sampleSize is the maximum number of accounts that Shapes reads: to read a million
// would take more than a second.
const sampleSize = 1 << 11

const (
	sqlLastAccount = `SELECT coalesce(max(id), 0) FROM account`
	sqlSample      = `SELECT DISTINCT a.id, ` + keyColumns + ` FROM generate_series(0::bigint, $1::bigint, $2::bigint) AS start,
		LATERAL (SELECT * FROM account WHERE id >= start ORDER BY id LIMIT 1) AS a`
)

// Shapes implements store.Accounts. It divides the IDs into ranges whose length is a power
// of two and reads the first account of each. So the sample is the same each time, until the
// number of accounts has doubled.
func (s *Store) Shapes(ctx context.Context) (counts map[store.Shape]int, err error) {
	const what = "sample credentials"
	done, err := s.cfg.Options.Begin(ctx, store.Op{Name: "Shapes"})
	if err != nil {
		return nil, err
	}
	defer done()
	var last int64
	if err := s.queryPart(ctx, what, sqlLastAccount, nil, nil, into(&last)); err != nil {
		return nil, err
	}
	step := int64(1)
	for last/step >= sampleSize {
		step *= 2
	}
	reset := func() { counts = make(map[store.Shape]int) }
	err = s.queryPart(ctx, what, sqlSample, []any{last, step}, reset, func(rows pgx.Rows) error {
		var c store.Credentials
		var id int64
		err := rows.Scan(append([]any{&id}, keyVars(&c)...)...)
		removeEmpty(&c)
		counts[c.Shape()]++
		return err
	})
	return counts, err
}

// keyOrder is the order of the hash functions in statements.
var keyOrder = [store.NumHashes]store.Hash{store.SHA1, store.SHA256}

// keyVars returns where rows.Scan stores keyColumns. Afterwards, removeEmpty is to be called.
func keyVars(c *store.Credentials) (vars []any) {
	for _, h := range keyOrder {
		k := &c[h]
		vars = append(vars, &k.Salt, &k.Iterations, &k.StoredKey, &k.ServerKey)
	}
	return vars
}

// removeEmpty makes the keys zero of hash functions that the account has none for.
func removeEmpty(c *store.Credentials) {
	for h := range c {
		if len(c[h].StoredKey) == 0 {
			c[h] = store.Keys{}
		}
	}
}

// keyArgs returns the arguments for keyColumns.
func keyArgs(c *store.Credentials) (args []any) {
	for _, h := range keyOrder {
		k := &c[h]
		args = append(args, bytesOf(k.Salt), k.Iterations, bytesOf(k.StoredKey), bytesOf(k.ServerKey))
	}
	return args
}

const sqlAddKeys = `SELECT add_keys($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`

// AddKeys implements store.Accounts.
func (s *Store) AddKeys(ctx context.Context, bare jid.JID, was int64, add store.Credentials) error {
	var id int64
	args := append(append(address(bare), was), keyArgs(&add)...)
	return s.exec(ctx, "AddKeys", "add keys of "+bare.BareString(), &write{sql: sqlAddKeys, args: args, row: result(&id), owner: ownerOf(bare)})
}

// The conditions must be the same as in the indexes.
const sqlMissingKeys = `SELECT EXISTS (SELECT 1 FROM account WHERE domain = $1 AND sha1_stored = ''),
	EXISTS (SELECT 1 FROM account WHERE domain = $1 AND sha256_stored = '')`

// MissingKeys implements store.Accounts.
func (s *Store) MissingKeys(ctx context.Context, domain string) (missing store.HashSet, err error) {
	var none [store.NumHashes]bool
	err = s.query(ctx, "MissingKeys", "look for missing keys", sqlMissingKeys, []any{domain}, nil, into(&none[0], &none[1]))
	for i, h := range keyOrder {
		if none[i] {
			missing |= store.SetOf(h)
		}
	}
	return missing, err
}

const sqlPutAccount = `SELECT put_account($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0::smallint)`

// CreateAccount implements store.Accounts.
func (s *Store) CreateAccount(ctx context.Context, a store.Account) error {
	return s.exec(ctx, "CreateAccount", "create account "+a.JID.BareString(), &write{sql: sqlPutAccount, args: accountArgs(&a), row: created})
}

// accountArgs returns the arguments for a new account.
func accountArgs(a *store.Account) []any {
	now := time.Now()
	at := a.Created
	if at.IsZero() {
		at = now
	}
	// Roster versions start at the time in microseconds, which is larger than any
	// version of a former account of the same name. So no client uses its cached
	// roster of that account for this one.
	return append(append(address(a.JID), keyArgs(&a.Credentials)...), a.Disabled, at.Unix(), now.UnixMicro(), now.Unix())
}

const sqlRegisterAccount = `SELECT register_account($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`

// RegisterAccount implements store.Accounts.
func (s *Store) RegisterAccount(ctx context.Context, a store.Account, since time.Time) error {
	w := &write{sql: sqlRegisterAccount, args: append(accountArgs(&a), since.Unix()), row: created}
	return s.exec(ctx, "RegisterAccount", "register account "+a.JID.BareString(), w)
}

const sqlSetCredentials = `SELECT set_credentials($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13::smallint)`

// SetCredentials implements store.Accounts.
func (s *Store) SetCredentials(ctx context.Context, bare jid.JID, was int64, k store.Credentials, keepSessions bool) (event int64, err error) {
	kind := store.CredentialsChanged
	if keepSessions {
		kind = store.CredentialsRenewed
	}
	args := append(address(bare), was)
	args = append(append(args, keyArgs(&k)...), time.Now().Unix(), int16(kind))
	err = s.exec(ctx, "SetCredentials", "set credentials of "+bare.BareString(), &write{sql: sqlSetCredentials, args: args, row: result(&event)})
	if err != nil {
		return 0, err
	}
	return event, nil
}

const sqlSetDisabled = `SELECT set_disabled($1, $2, $3, $4, $5::smallint)`

// SetDisabled implements store.Accounts.
func (s *Store) SetDisabled(ctx context.Context, bare jid.JID, disabled bool) error {
	kind := store.AccountEnabled
	if disabled {
		kind = store.AccountDisabled
	}
	var event int64
	args := append(address(bare), disabled, time.Now().Unix(), int16(kind))
	return s.exec(ctx, "SetDisabled", "disable or enable "+bare.BareString(), &write{sql: sqlSetDisabled, args: args, row: result(&event)})
}

const sqlDeleteAccount = `SELECT bury_account($1, $2, $3, $4, $5)`

// DeleteAccount implements store.Accounts.
func (s *Store) DeleteAccount(ctx context.Context, bare jid.JID, was int64) error {
	var event int64
	now := time.Now()
	args := append(address(bare), was, now.Unix(), now.Add(-store.HoldLimit).Unix())
	return s.exec(ctx, "DeleteAccount", "delete account "+bare.BareString(), &write{sql: sqlDeleteAccount, args: args, row: result(&event)})
}

// Nobody notes a use after this has looked at it: both kinds of batches take their lock alone.
const sqlDeleteUnused = `SELECT coalesce((
	SELECT CASE WHEN coalesce(greatest((u.day + 1) * 86400 - 1, l.at) < $3::bigint, a.created < $4::bigint)
		THEN bury_account(a.domain, a.local, -1, $5, $6) ELSE -2 END
	FROM account a LEFT JOIN account_use u ON u.account = a.id LEFT JOIN last_activity l ON l.account = a.id
	WHERE a.domain = $1 AND a.local = $2), -1)`

// DeleteUnused implements store.Accounts.
func (s *Store) DeleteUnused(ctx context.Context, bare jid.JID, unused, never time.Time) error {
	var event int64
	now := time.Now()
	args := append(address(bare), unused.Unix(), never.Unix(), now.Unix(), now.Add(-store.HoldLimit).Unix())
	return s.exec(ctx, "DeleteUnused", "delete unused account "+bare.BareString(), &write{sql: sqlDeleteUnused, args: args, row: result(&event)})
}

// ImportAccounts implements store.Accounts.
func (s *Store) ImportAccounts(ctx context.Context, accounts []store.Account, mode store.ImportMode) (created, existing int, err error) {
	var kind store.EventKind
	switch mode {
	case store.UpdateExisting:
		kind = store.CredentialsChanged
	case store.UpdateQuietly:
		kind = store.CredentialsRenewed
	}
	now := time.Now()
	var columns accountColumns
	for i := range accounts {
		columns.add(&accounts[i], now)
	}
	w := &write{
		sql: importSQL, args: append(columns.args(), now.UnixMicro(), now.Unix(), int16(kind)),
		reset: func() { created, existing = 0, 0 },
		row: func(rows pgx.Rows) error {
			var n int64
			err := rows.Scan(&n)
			if n == 1 {
				created++
			} else {
				existing++
			}
			return err
		},
	}
	if err := s.exec(ctx, "ImportAccounts", "import accounts", w); err != nil {
		return 0, 0, err
	}
	return created, existing, nil
}
