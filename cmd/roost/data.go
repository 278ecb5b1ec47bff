package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"roost/internal/cli"
	"roost/jid"
	"roost/server"
	"roost/store"
	"roost/store/stores"
)

// dataFlags name the data directory and the store, for all commands that use them.
type dataFlags struct {
	Data  string `sets:"DataDir" default:"roost-data" env:"ROOST_DATA" placeholder:"DIR" type:"path" help:"Data directory: database, self-signed certificate and other state (default: ${default})."`
	Store string `sets:"Store" env:"ROOST_STORE" placeholder:"URL" help:"Database of accounts, rosters and messages, such as sqlite:/srv/roost.db or postgres://roost@db.example.org/roost (default: roost.db in the data directory)."`
}

// location returns the location of the store. It opens nothing.
func (f *dataFlags) location() (store.Location, error) {
	if f.Data == "" { // such as from a variable with an empty value
		return nil, cli.UsageError("--data must name a directory")
	}
	l, err := stores.Locate(f.url())
	if err != nil {
		return nil, cli.UsageError("--store: " + err.Error())
	}
	return l, nil
}

// url returns the URL of the store.
func (f *dataFlags) url() string {
	if f.Store != "" {
		return f.Store
	}
	return stores.Default(f.Data)
}

// used returns the location of the store, or an error if the server of the data directory uses
// another one, and none is named: a database that was left in the directory, such as after roost
// store copy, is not what anybody wants to read, to change or to save.
func (f *dataFlags) used() (store.Location, error) {
	l, err := f.location()
	if err != nil || f.Store != "" {
		return l, err
	}
	url, err := server.StoreElsewhere(f.Data)
	switch {
	case err != nil:
		return nil, err
	case url != "":
		return nil, fmt.Errorf("the server of %s uses the database %s: name it with --store or ROOST_STORE; --store %s is the one in the directory", f.Data, printable(url), stores.Default(f.Data))
	}
	return l, nil
}

// open opens the store and creates it if necessary.
func (f *dataFlags) open(ctx context.Context) (store.Store, error) {
	l, err := f.used()
	if err != nil {
		return nil, err
	}
	return l.Open(ctx, store.Options{})
}

// openExisting opens the store, but does not create one: for a command that changes
// existing accounts, a missing store means a wrong directory.
func (f *dataFlags) openExisting(ctx context.Context) (store.Store, error) {
	l, err := f.existing()
	if err != nil {
		return nil, err
	}
	return l.Open(ctx, store.Options{})
}

// existing returns the location of a store that exists.
func (f *dataFlags) existing() (store.Location, error) {
	l, err := f.used()
	if err != nil {
		return nil, err
	}
	if store.Missing(l) {
		if f.Store != "" {
			return nil, errNoStore(fmt.Sprintf("there is no database %s: name the server's database with --store", l.(store.Local).Path()))
		}
		return nil, errNoStore(fmt.Sprintf("there is no database in %s: name the server's data directory with --data", f.Data))
	}
	return l, nil
}

// errNoStore returns the error for a missing store.
type errNoStore string

func (e errNoStore) Error() string { return string(e) }

// suggest returns a command line with the same data directory and store.
func (f *dataFlags) suggest(args ...string) string {
	if f.Store != "" {
		args = append(args, "--store", stores.Redact(f.Store))
	}
	return suggest(f.Data, args...)
}

// newAccountFlags are for commands that add accounts: a database or domain that no server
// uses is probably a mistake.
type newAccountFlags struct {
	Create    bool `env:"ROOST_CREATE" help:"Create the database if there is none."`
	AnyDomain bool `field:"any_domain" env:"ROOST_ANY_DOMAIN" help:"Also accept domains that the server does not serve."`
	dataFlags
}

// openForNew opens the store for new accounts.
func (f *newAccountFlags) openForNew(ctx context.Context) (store.Store, error) {
	if f.Create {
		return f.open(ctx)
	}
	s, err := f.openExisting(ctx)
	if no := errNoStore(""); errors.As(err, &no) {
		err = fmt.Errorf("%w, or create a database there with --create", err)
	}
	return s, err
}

// errNotServed is the error for a domain that the server does not serve. It does not
// contain the domain: in a malformed file, that may be a password.
type errNotServed struct{ served []string }

func (e errNotServed) Error() string {
	return "its domain is not served (served: " + e.list() + ")"
}

func (e errNotServed) list() string { return strings.Join(e.served, ", ") }

// domainFilter returns a function that rejects domains that the server of the data
// directory does not serve, with an errNotServed. It accepts all domains before a server
// has run, except with a database elsewhere: then the server's data directory is another
// one.
func (f *newAccountFlags) domainFilter() (func(domain string) error, error) {
	if f.AnyDomain {
		return func(string) error { return nil }, nil
	}
	served, err := server.ServedDomains(f.Data)
	if err != nil {
		return nil, err
	}
	if len(served) == 0 && f.Store != "" && !f.Create {
		return nil, fmt.Errorf("no server has run with the data directory %s, so its domains are unknown: name the data directory of the server with --data, in addition to --store, or accept any domain with --any-domain", f.Data)
	}
	return onlyServed(served), nil
}

// onlyServed returns a function that rejects other domains than these; without any it
// accepts all.
func onlyServed(served []string) func(domain string) error {
	return func(domain string) error {
		if len(served) > 0 && !slices.Contains(served, domain) {
			return errNotServed{served}
		}
		return nil
	}
}

// explainEmpty explains why there are no accounts where there should be some: what a running
// server has stored is at first beside the database's file, and a copy of that file alone lacks
// it.
func (f *dataFlags) explainEmpty(ctx context.Context, s onStore) error {
	l, err := f.location()
	local, ok := l.(store.Local)
	if err != nil || !ok {
		return err
	}
	if first, err := s.ListAccounts(ctx, "", jid.JID{}, 1); err != nil || len(first) > 0 {
		return err
	}
	_, err = fmt.Fprintf(os.Stderr, "no accounts in %[1]s; if you have copied it from a running server, you have not copied %[1]s-wal, where they are: roost backup copies everything\n", local.Path())
	return err
}

// defaultData is the default data directory.
func defaultData() string {
	dir, err := filepath.Abs("roost-data")
	if err != nil {
		return "roost-data"
	}
	return dir
}
