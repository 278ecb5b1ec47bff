package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"roost/internal/cli"
	"roost/server"
	"roost/store/sqlite"
)

// dataFlags name the data directory, for all commands that need it.
type dataFlags struct {
	Data string `default:"roost-data" env:"ROOST_DATA" placeholder:"DIR" type:"path" help:"Directory of the database, the certificates and all else that is kept (default: ${default})."`
}

// open opens the database in the data directory; both are made when they are
// missing.
func (f *dataFlags) open(ctx context.Context) (*sqlite.Store, error) {
	if f.Data == "" { // as of a variable that is set to nothing
		return nil, cli.UsageError("--data must name a directory")
	}
	return sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(f.Data, sqlite.FileName)})
}

// openExisting opens the database in the data directory, and makes none: whoever
// changes what is there has mistyped the directory where nothing is.
func (f *dataFlags) openExisting(ctx context.Context) (*sqlite.Store, error) {
	if f.Data != "" && f.missing() {
		return nil, fmt.Errorf("there is no database in %s: name the server's data directory with --data", f.Data)
	}
	return f.open(ctx)
}

// missing reports whether there is no database.
func (f *dataFlags) missing() bool {
	_, err := os.Stat(filepath.Join(f.Data, sqlite.FileName))
	return errors.Is(err, fs.ErrNotExist)
}

// newAccountFlags are for commands that add accounts: a database or a domain that
// no server reads is most likely a mistake.
type newAccountFlags struct {
	Create    bool `env:"ROOST_CREATE" help:"Make a new database where the data directory has none."`
	AnyDomain bool `env:"ROOST_ANY_DOMAIN" help:"Add accounts of domains that the server does not serve, too."`
	dataFlags
}

// openForNew opens the database that new accounts go into.
func (f *newAccountFlags) openForNew(ctx context.Context) (*sqlite.Store, error) {
	if f.Create {
		return f.open(ctx)
	}
	s, err := f.openExisting(ctx)
	if err != nil && f.missing() {
		err = fmt.Errorf("%w, or make a new database there with --create", err)
	}
	return s, err
}

// errNotServed is what a domain is refused with that the server does not serve.
// It does not name the domain: in a file with mistakes it may be a password.
type errNotServed struct{ served []string }

func (e errNotServed) Error() string {
	return "its domain is not served (served: " + e.list() + ")"
}

func (e errNotServed) list() string { return strings.Join(e.served, ", ") }

// domainFilter returns what refuses domains that the server does not serve.
func (f *newAccountFlags) domainFilter() (func(domain string) error, error) {
	if f.AnyDomain {
		return func(string) error { return nil }, nil
	}
	return f.dataFlags.domainFilter()
}

// domainFilter returns what refuses domains, by an errNotServed, that the server of
// the data directory does not serve. Before a server has run there, all are taken.
func (f *dataFlags) domainFilter() (func(domain string) error, error) {
	served, err := server.ServedDomains(f.Data)
	if err != nil {
		return nil, err
	}
	return func(domain string) error {
		if len(served) > 0 && !slices.Contains(served, domain) {
			return errNotServed{served}
		}
		return nil
	}, nil
}

// defaultData is the data directory when none is named.
func defaultData() string {
	dir, err := filepath.Abs("roost-data")
	if err != nil {
		return "roost-data"
	}
	return dir
}
