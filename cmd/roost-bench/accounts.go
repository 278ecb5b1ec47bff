package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dustin/go-humanize"

	"roost/internal/cli"
	"roost/jid"
	"roost/server"
	"roost/store"
	"roost/store/stores"
)

// accountFlags control whether accounts are created for a measurement. Their password is
// public, so they must not be mixed with others and must not remain.
type accountFlags struct {
	Create       string `placeholder:"DIR" type:"path" help:"Create the accounts first, in the database of the roost server with this data directory, and delete them at the end."`
	Store        string `placeholder:"URL" help:"With --create: the --store of that server, if it has one."`
	CreateAnyway bool   `help:"Create accounts even if the database has others."`
	KeepAccounts bool   `help:"Keep the created accounts for the next run."`
}

// database describes the database in messages.
func (f *accountFlags) database() string {
	if f.Store != "" {
		return stores.Redact(f.Store)
	}
	return f.Create
}

// validate rejects flags that require --create.
func (f *accountFlags) validate() error {
	if f.Create == "" && (f.Store != "" || f.CreateAnyway || f.KeepAccounts) {
		return cli.UsageError("--store, --create-anyway and --keep-accounts are about the accounts that --create makes: add --create DIR, or leave them out")
	}
	return nil
}

// importBatch is the number of accounts per transaction.
const importBatch = 256

// madeAccounts are the accounts that a run has created, with the salts of their
// passwords: an account that was deleted and added again meanwhile has a different salt.
type madeAccounts struct {
	from *accountFlags
	jids []jid.JID
	salt []byte
}

// create creates the missing accounts. remove deletes the accounts that create added,
// even if create returned an error.
func (f *fleetFlags) create(ctx context.Context, n int) (remove func() error, err error) {
	none := func() error { return nil }
	if err := f.mayCreate(); err != nil {
		return none, err
	}
	// Deriving keys is slow by design. One derivation is enough: all accounts have the
	// same public password.
	credentials, err := store.NewCredentials(f.Password, store.DefaultIterations)
	if err != nil {
		return none, cli.UsageError("--password: " + err.Error())
	}
	s, err := f.openExisting(ctx)
	if err != nil {
		return none, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if !f.CreateAnyway {
		if err := f.onlyOurs(ctx, s); err != nil {
			return none, err
		}
	}
	made := madeAccounts{from: &f.accountFlags, salt: credentials[store.SHA1].Salt}
	err = f.make(ctx, s, n, credentials, &made)
	if f.KeepAccounts {
		return none, err
	}
	return made.remove, err
}

// openExisting opens the server's store. It does not create one: no server would use it.
func (f *accountFlags) openExisting(ctx context.Context) (store.Store, error) {
	url, missing := f.Store, "there is no database "+stores.Redact(f.Store)+": name the server's database with --store"
	if url == "" {
		url, missing = stores.Default(f.Create), "there is no database in "+f.Create+": name the server's data directory with --create"
	}
	l, err := stores.Locate(url)
	if err != nil {
		return nil, cli.UsageError("--store: " + err.Error())
	}
	if store.Missing(l) {
		return nil, errors.New(missing)
	}
	return l.Open(ctx, store.Options{})
}

// mayCreate returns an error if clients could not log in to the accounts.
func (f *fleetFlags) mayCreate() error {
	domain, err := jid.NormalizeDomain(f.Domain)
	if err != nil {
		return cli.UsageError(fmt.Sprintf("--domain %s is not a domain name", f.Domain))
	}
	served, err := server.ServedDomains(f.Create)
	if err != nil {
		return err
	}
	if len(served) > 0 && !slices.Contains(served, domain) { // empty before a server has run with this data directory
		return cli.UsageError(fmt.Sprintf("--domain %s is not served by the server of %s (served: %s)", f.Domain, f.Create, strings.Join(served, ", ")))
	}
	return nil
}

// make writes the missing accounts of n clients and records them in made.
func (f *fleetFlags) make(ctx context.Context, s store.Accounts, n int, credentials store.Credentials, made *madeAccounts) error {
	batch := make([]store.Account, 0, importBatch)
	flush := func() error {
		// Complete the current batch even if ctx has ended: the database and the record
		// here must agree.
		_, _, err := s.ImportAccounts(context.WithoutCancel(ctx), batch, store.SkipExisting)
		if err == nil {
			for i := range batch {
				made.jids = append(made.jids, batch[i].JID)
			}
		}
		batch = batch[:0]
		return err
	}
	for i := range n {
		j, err := jid.New(fmt.Sprintf(f.User, f.First+i), f.Domain, "")
		if err != nil {
			return cli.UsageError(fmt.Sprintf("--user and --domain make no address for client %d: %v", f.First+i, err))
		}
		_, err = s.Account(ctx, j)
		switch {
		case ctx.Err() != nil:
			return errors.New("interrupted")
		case err == nil:
			continue
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
		if batch = append(batch, store.Account{JID: j, Credentials: credentials}); len(batch) == importBatch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// onlyOurs returns an error that names an account that no run of this command has
// created: somebody probably needs that account.
func (f *fleetFlags) onlyOurs(ctx context.Context, s store.Accounts) error {
	before, after, _ := strings.Cut(f.User, "%d")
	domain, err := jid.NormalizeDomain(f.Domain)
	if err != nil {
		return err
	}
	ours := func(j jid.JID) bool {
		digits, ok := strings.CutPrefix(j.Local(), before)
		digits, end := strings.CutSuffix(digits, after)
		return ok && end && j.Domain() == domain && digits != "" && strings.Trim(digits, "0123456789") == ""
	}
	return store.EachAccount(ctx, s, "", func(a store.Account) error {
		if !ours(a.JID) {
			return fmt.Errorf("%s has other accounts, such as %v, and accounts with a known password must not be beside them: use a separate server, or add --create-anyway", f.database(), a.JID)
		}
		return nil
	})
}

// removers is the number of concurrent deletions: the store combines concurrent writes
// into one transaction.
const removers = 64

// remove deletes the accounts unless they were replaced. It continues after the signal
// that ended the measurement; a second signal stops it.
func (m *madeAccounts) remove() (err error) {
	if len(m.jids) == 0 {
		return nil
	}
	fmt.Fprintf(os.Stderr, "roost-bench: deleting the accounts created for this run: %s\n", humanize.Comma(int64(len(m.jids))))
	ctx, stop := cli.Interrupted()
	defer stop()
	s, err := m.from.openExisting(context.WithoutCancel(ctx))
	if err == nil {
		defer func() { err = errors.Join(err, s.Close()) }()
		var left int
		if left, err = m.removeFrom(ctx, s); left == 0 {
			return err
		}
	}
	list := []string{"roost", "user", "list", "--data", m.from.Create}
	if m.from.Store != "" {
		list = append(list, "--store", stores.Redact(m.from.Store))
	}
	return fmt.Errorf("accounts with a known password are left in %s; list them with: %s; the first reason: %w",
		m.from.database(), cli.Quote(list...), err)
}

// removeFrom returns how many accounts could not be deleted, and the first error.
func (m *madeAccounts) removeFrom(ctx context.Context, s store.Accounts) (left int, err error) {
	var next, failed atomic.Int64
	var first sync.Once
	var workers sync.WaitGroup
	for range removers {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(m.jids); i = int(next.Add(1)) - 1 {
				if e := m.removeOne(ctx, s, m.jids[i]); e != nil {
					failed.Add(1)
					first.Do(func() { err = e })
				}
			}
		})
	}
	workers.Wait()
	return int(failed.Load()), err
}

// removeOne deletes an account unless it has been deleted, and created by somebody
// else, in the meantime.
func (m *madeAccounts) removeOne(ctx context.Context, s store.Accounts, j jid.JID) error {
	a, err := s.Account(ctx, j)
	if err == nil && bytes.Equal(a.Credentials[store.SHA1].Salt, m.salt) {
		err = s.DeleteAccount(ctx, j, a.Event)
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case errors.Is(err, store.ErrConflict):
		return m.removeOne(ctx, s, j) // it has changed since it was read
	}
	return err
}
