// Package stores opens stores by URL. It is the only package that knows all kinds of store:
// a new kind is one line in schemes.
package stores

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"roost/store"
	"roost/store/postgres"
	"roost/store/sqlite"
)

// schemes has the kinds of store by the scheme of their URLs.
var schemes = map[string]func(*url.URL) (store.Location, error){
	sqlite.Scheme:       sqlite.Locate,
	postgres.Scheme:     postgres.Locate,
	postgres.LongScheme: postgres.Locate,
}

// FileName is the file name of the default database.
const FileName = sqlite.FileName

// Default returns the URL of the default store in a data directory.
func Default(dir string) string { return InFile(filepath.Join(dir, FileName)) }

// InFile returns the URL of a store in a file.
func InFile(name string) string { return sqlite.URL(name) }

// NewestTables returns the newest version of the tables of a database that this program can
// open, by the name that the database has in a backup.
func NewestTables(snapshotName string) int {
	if snapshotName == postgres.DumpName {
		return postgres.NewestTables()
	}
	return sqlite.NewestTables()
}

// Locate returns the location that a URL names, and opens nothing. The error says in one
// line what is wrong with the URL, without its password.
func Locate(text string) (store.Location, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("the store's URL has a syntax error: " + known()) // err contains the complete URL
	}
	locate := schemes[u.Scheme]
	switch {
	case locate != nil:
		location, err := locate(u)
		if err != nil {
			return nil, fmt.Errorf("the store %s: %w", redacted(u), err)
		}
		return location, nil
	case u.Scheme == "":
		return nil, errors.New("the store's URL has no scheme: " + known())
	}
	return nil, fmt.Errorf("there is no kind of store %q: %s", u.Scheme, known())
}

// known returns a text with all schemes.
func known() string {
	return "it must begin with one of " + strings.Join(slices.Sorted(maps.Keys(schemes)), ":, ") + ":"
}

// Open opens the store that a URL names, and creates it if it does not exist.
func Open(ctx context.Context, text string, o store.Options) (store.Store, error) {
	location, err := Locate(text)
	if err != nil {
		return nil, err
	}
	return location.Open(ctx, o)
}

// Redact returns a URL without its password.
func Redact(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "URL"
	}
	return redacted(u)
}

// redacted returns a URL without its password, which may also be a parameter, and without that of
// a client's key.
func redacted(u *url.URL) string {
	hidden := *u
	q := hidden.Query()
	for _, name := range []string{"password", "sslpassword"} {
		if q.Has(name) {
			q.Set(name, "xxxxx")
			hidden.RawQuery = q.Encode()
		}
	}
	return hidden.Redacted()
}
