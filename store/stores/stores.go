// Package stores opens a store by its URL. It is the one place that knows which
// kinds of store there are: a new kind is a line in schemes.
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
	"roost/store/sqlite"
)

// schemes are the kinds of store, by the scheme of their URLs.
var schemes = map[string]func(*url.URL) (store.Location, error){
	sqlite.Scheme: sqlite.Locate,
}

// FileName is the name of the database that Default names.
const FileName = sqlite.FileName

// Default is the URL of the store in a data directory, for when no other is
// named.
func Default(dir string) string { return sqlite.URL(filepath.Join(dir, FileName)) }

// Locate returns the location that a URL names, and opens nothing. The error
// says what is wrong with the URL in one line, without its password.
func Locate(text string) (store.Location, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("the store's URL has a syntax error: " + known()) // err has the whole URL
	}
	locate := schemes[u.Scheme]
	switch {
	case locate != nil:
		location, err := locate(u)
		if err != nil {
			return nil, fmt.Errorf("the store %s: %w", u.Redacted(), err)
		}
		return location, nil
	case u.Scheme == "":
		return nil, errors.New("the store's URL has no scheme: " + known())
	}
	return nil, fmt.Errorf("there is no kind of store %q: %s", u.Scheme, known())
}

// known tells which schemes there are.
func known() string {
	return "it must begin with one of " + strings.Join(slices.Sorted(maps.Keys(schemes)), ":, ") + ":"
}

// Open opens the store that a URL names, and makes it where there is none.
func Open(ctx context.Context, text string, o store.Options) (store.Store, error) {
	location, err := Locate(text)
	if err != nil {
		return nil, err
	}
	return location.Open(ctx, o)
}

// Redact is a URL as it may be shown: without its password.
func Redact(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "URL"
	}
	return u.Redacted()
}
