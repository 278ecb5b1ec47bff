package sqlite

import (
	"context"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"roost/jid"
	"roost/store"
)

// Account implements store.Accounts.
func (s *Store) Account(ctx context.Context, bare jid.JID) (store.Account, error) {
	bare = bare.Bare()
	a := store.Account{JID: bare.Clone()}
	found := false
	err := s.read(ctx, "Account", "read account "+bare.String(), func(c *conn) error {
		st, err := c.account(qAccount, bare)
		if err != nil {
			return err
		}
		ok, err := st.Step()
		if err != nil {
			return err
		}
		defer st.Reset()
		if !ok {
			return nil // the store has no accounts
		}
		a.Credentials = readCredentials(st)
		a.Disabled = st.ColumnBool(8)
		a.Created = time.Unix(st.ColumnInt64(9), 0).UTC()
		a.Generation, a.Event = st.ColumnInt64(10), st.ColumnInt64(11)
		found = st.ColumnBool(12)
		return nil
	})
	if err != nil {
		return store.Account{}, err
	}
	if !found {
		// Without context: formatting takes time, which would tell whether the account
		// exists.
		return store.Account{}, store.ErrNotFound
	}
	return a, nil
}

// sampleSize is the maximum number of accounts that Shapes reads: to read a million
// would take more than a second.
const sampleSize = 1 << 11

// Shapes implements store.Accounts. It divides the IDs into ranges whose length is a
// power of two and reads the first account of each. So the sample is the same each time,
// until the number of accounts has doubled.
func (s *Store) Shapes(ctx context.Context) (map[store.Shape]int, error) {
	counts := make(map[store.Shape]int)
	err := s.read(ctx, "Shapes", "sample credentials", func(c *conn) error {
		last, err := c.lastAccount()
		if err != nil {
			return err
		}
		step := int64(1)
		for last/step >= sampleSize {
			step *= 2
		}
		for from := int64(0); from <= last; {
			st, err := c.stmt(qNextAccount)
			if err != nil {
				return err
			}
			st.BindInt64(1, from)
			ok, err := st.Step()
			if err != nil || !ok {
				return err
			}
			c := readCredentials(st)
			counts[c.Shape()]++
			from = (st.ColumnInt64(8)/step + 1) * step
			if err := st.Reset(); err != nil {
				return err
			}
		}
		return nil
	})
	return counts, err
}

// lastAccount returns the largest ID of an account, or 0 if there is none.
func (c *conn) lastAccount() (int64, error) {
	st, err := c.stmt(qLastAccount)
	if err != nil {
		return 0, err
	}
	return sqlitex.ResultInt64(st)
}

// CreateAccount implements store.Accounts.
func (s *Store) CreateAccount(ctx context.Context, a store.Account) error {
	return s.write(ctx, "CreateAccount", "create account "+a.JID.BareString(), 0, func(c *conn) error {
		created, err := c.insertAccount(&a)
		if err == nil && !created {
			return store.ErrExists
		}
		return err
	})
}

// insertAccount adds an account unless it exists.
func (c *conn) insertAccount(a *store.Account) (created bool, err error) {
	st, err := c.account(qInsertAccount, a.JID)
	if err != nil {
		return false, err
	}
	now := time.Now()
	at := a.Created
	if at.IsZero() {
		at = now
	}
	bindCredentials(st, &a.Credentials)
	st.BindBool(11, a.Disabled)
	st.BindInt64(12, at.Unix())
	// Roster versions start at the time in microseconds, which is larger than any
	// version of a former account of the same name. So no client uses its cached
	// roster of that account for this one.
	st.BindInt64(13, now.UnixMicro())
	n, err := c.run(st)
	if err != nil || n == 0 {
		return false, err
	}
	_, err = c.event(a.JID, store.AccountCreated, now)
	return true, err
}

// bindCredentials sets parameters 3 to 10.
func bindCredentials(st *sqlite.Stmt, c *store.Credentials) {
	for i, h := range keyOrder {
		k, first := &c[h], 3+4*i
		st.BindBytes(first, k.Salt)
		st.BindInt64(first+1, int64(k.Iterations))
		st.BindBytes(first+2, k.StoredKey)
		st.BindBytes(first+3, k.ServerKey)
	}
}

// keyOrder is the order of the hash functions in statements.
var keyOrder = [store.NumHashes]store.Hash{store.SHA1, store.SHA256}

// readCredentials returns the credentials in columns 0 to 7. Those of a hash function that
// the account has no keys for are zero.
func readCredentials(st *sqlite.Stmt) (c store.Credentials) {
	for i, h := range keyOrder {
		if first := 4 * i; st.ColumnLen(first+2) > 0 {
			c[h] = store.Keys{Salt: blob(st, first), Iterations: st.ColumnInt(first + 1), StoredKey: blob(st, first+2), ServerKey: blob(st, first+3)}
		}
	}
	return c
}

// SetCredentials implements store.Accounts.
func (s *Store) SetCredentials(ctx context.Context, bare jid.JID, was int64, k store.Credentials, keepSessions bool) (event int64, err error) {
	kind := store.CredentialsChanged
	if keepSessions {
		kind = store.CredentialsRenewed
	}
	err = s.write(ctx, "SetCredentials", "set credentials of "+bare.BareString(), 0, func(c *conn) error {
		if _, err := c.accountIf(bare, was); err != nil {
			return err
		}
		event, err = c.setCredentials(bare, &k, kind)
		return err
	})
	return event, err
}

// accountIf returns an account's row if its newest event is was, or was is AnyEvent.
func (c *conn) accountIf(bare jid.JID, was int64) (accountRow, error) {
	a, err := c.accountRow(bare)
	if err == nil && was != store.AnyEvent && a.event != was {
		err = store.ErrConflict
	}
	return a, err
}

func (c *conn) setCredentials(bare jid.JID, k *store.Credentials, kind store.EventKind) (event int64, err error) {
	st, err := c.account(qSetCredentials, bare)
	if err != nil {
		return 0, err
	}
	bindCredentials(st, k)
	st.BindBool(11, true)
	return c.change(st, bare, kind)
}

// AddKeys implements store.Accounts.
func (s *Store) AddKeys(ctx context.Context, bare jid.JID, was int64, add store.Credentials) error {
	return s.write(ctx, "AddKeys", "add keys of "+bare.BareString(), 0, func(c *conn) error {
		if _, err := c.accountIf(bare, was); err != nil {
			return err
		}
		has, err := c.credentials(bare)
		if err != nil {
			return err
		}
		before := has.Hashes()
		if has.Add(&add); has.Hashes() == before {
			return nil
		}
		st, err := c.account(qSetCredentials, bare)
		if err != nil {
			return err
		}
		bindCredentials(st, &has)
		st.BindBool(11, false)
		_, err = c.run(st)
		return err
	})
}

// credentials returns those of an account that exists.
func (c *conn) credentials(bare jid.JID) (has store.Credentials, err error) {
	st, err := c.account(qAccount, bare)
	if err != nil {
		return has, err
	}
	err = each(st, func() error {
		has = readCredentials(st)
		return nil
	})
	return has, err
}

// MissingKeys implements store.Accounts.
func (s *Store) MissingKeys(ctx context.Context, domain string) (missing store.HashSet, err error) {
	err = s.read(ctx, "MissingKeys", "look for missing keys", func(c *conn) error {
		st, err := c.stmt(qMissingKeys)
		if err != nil {
			return err
		}
		st.BindText(1, domain)
		return each(st, func() error {
			for i, h := range keyOrder {
				if st.ColumnBool(i) {
					missing |= store.SetOf(h)
				}
			}
			return nil
		})
	})
	return missing, err
}

// SetDisabled implements store.Accounts.
func (s *Store) SetDisabled(ctx context.Context, bare jid.JID, disabled bool) error {
	kind := store.AccountEnabled
	if disabled {
		kind = store.AccountDisabled
	}
	return s.write(ctx, "SetDisabled", "disable or enable "+bare.BareString(), 0, func(c *conn) error {
		st, err := c.account(qSetDisabled, bare)
		if err != nil {
			return err
		}
		st.BindBool(3, disabled)
		_, err = c.change(st, bare, kind)
		return err
	})
}

// change runs a statement that changes an account, and records an event.
func (c *conn) change(st *sqlite.Stmt, bare jid.JID, kind store.EventKind) (event int64, err error) {
	n, err := c.run(st)
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, store.ErrNotFound
	}
	return c.event(bare, kind, time.Now())
}
