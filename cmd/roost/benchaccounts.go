package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dustin/go-humanize"
	"golang.org/x/term"

	"roost/jid"
	"roost/store"
)

// benchAccountFlags say whether accounts are made for a measurement. Their password
// is known, so that they do not belong among others, and not there for long.
type benchAccountFlags struct {
	Create       string `env:"-" placeholder:"DIR" type:"path" help:"Make the accounts first, in the database of the roost whose data directory this is, and delete them at the end."`
	CreateAnyway bool   `env:"-" help:"Make them although the database has other accounts."`
	KeepAccounts bool   `env:"-" help:"Do not delete the accounts that were made: the next run needs not make them."`
}

// madeAccount is an account that a run has made, with the salt of its password: an
// account that was deleted and added anew meanwhile has another.
type madeAccount struct {
	jid  jid.JID
	salt []byte
}

// create makes the accounts that are not there. remove deletes those that it made,
// also when there is an error.
func (f *fleetFlags) create(ctx context.Context, n int) (remove func() error, err error) {
	none := func() error { return nil }
	data := dataFlags{Data: f.Create}
	if err := f.mayCreate(data); err != nil {
		return none, err
	}
	s, err := data.openExisting(ctx)
	if err != nil {
		return none, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if !f.CreateAnyway {
		if err := f.onlyOurs(ctx, s); err != nil {
			return none, err
		}
	}
	var made []madeAccount
	im := &importer{store: s, iterations: store.DefaultIterations, made: func(batch []store.Account) {
		for i := range batch {
			made = append(made, madeAccount{batch[i].JID, batch[i].Credentials.Salt})
		}
	}}
	im.show("accounts", n, os.Stderr, term.IsTerminal(int(os.Stderr.Fd())))
	if err = im.run(ctx, f.accounts(n)); ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	if f.KeepAccounts {
		return none, err
	}
	return func() error { return removeAccounts(data, made) }, err
}

// mayCreate returns an error where no client could log in to the accounts.
func (f *fleetFlags) mayCreate(data dataFlags) error {
	domain, err := jid.NormalizeDomain(f.Domain)
	if err != nil {
		return usageError(fmt.Sprintf("--domain %s is not a domain name", f.Domain))
	}
	allowed, err := data.domainFilter()
	if err != nil {
		return err
	}
	var not errNotServed
	if errors.As(allowed(domain), &not) {
		return usageError(fmt.Sprintf("--domain %s is not served by the server of %s (served: %s)", f.Domain, data.Data, not.list()))
	}
	if _, err := store.NewCredentials(f.Password, store.MinIterations); err != nil {
		return usageError("--password: " + err.Error())
	}
	return nil
}

// accounts produces the accounts of n clients.
func (f *fleetFlags) accounts(n int) producer {
	return func(ctx context.Context, accounts chan<- passwordRecord) error {
		for i := range n {
			j, err := jid.New(fmt.Sprintf(f.User, f.First+i), f.Domain, "")
			if err != nil {
				return usageError(fmt.Sprintf("--user and --domain make no address for client %d: %v", f.First+i, err))
			}
			select {
			case accounts <- passwordRecord{line: i + 1, jid: j, password: f.Password}:
			case <-ctx.Done():
				return nil
			}
		}
		return nil
	}
}

// onlyOurs returns an error that names an account which no run of this command has
// made: there is most likely a reason for it.
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
	return eachAccount(ctx, s, "", func(a store.Account) error {
		if !ours(a.JID) {
			return fmt.Errorf("%s has other accounts, such as %v, and a known password does not belong beside them: measure a server of its own, or add --create-anyway", f.Create, a.JID)
		}
		return nil
	})
}

// removers is how many accounts are deleted at once: the store puts what comes
// together into one transaction.
const removers = 64

// removeAccounts deletes accounts unless they are others by now. It goes on after
// the signal that has ended the measurement; one more ends it, too.
func removeAccounts(data dataFlags, made []madeAccount) (err error) {
	if len(made) == 0 {
		return nil
	}
	fmt.Fprintf(os.Stderr, "roost: deleting the accounts that were made, %s\n", humanize.Comma(int64(len(made))))
	ctx, stop := interrupted()
	defer stop()
	s, err := data.open(context.WithoutCancel(ctx))
	if err == nil {
		defer func() { err = errors.Join(err, s.Close()) }()
		var left int
		if left, err = removeFrom(ctx, s, made); left == 0 {
			return err
		}
	}
	return fmt.Errorf("accounts with a known password are left in %s; list them with: %s; the first reason: %w",
		data.Data, suggest(data.Data, "user", "list"), err)
}

// removeFrom returns how many accounts could not be deleted, and the first reason.
func removeFrom(ctx context.Context, s store.Accounts, made []madeAccount) (left int, err error) {
	var next, failed atomic.Int64
	var first sync.Once
	var workers sync.WaitGroup
	for range removers {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(made); i = int(next.Add(1)) - 1 {
				if e := removeAccount(ctx, s, made[i]); e != nil {
					failed.Add(1)
					first.Do(func() { err = e })
				}
			}
		})
	}
	workers.Wait()
	return int(failed.Load()), err
}

func removeAccount(ctx context.Context, s store.Accounts, made madeAccount) error {
	a, err := s.Account(ctx, made.jid)
	if err == nil && bytes.Equal(a.Credentials.Salt, made.salt) {
		err = s.DeleteAccount(ctx, made.jid)
	}
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}
