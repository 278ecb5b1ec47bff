package postgres

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"roost/store"
)

// Scheme and LongScheme are the schemes of the URLs of databases.
const (
	Scheme     = "postgres"
	LongScheme = "postgresql"
)

// location is a database.
type location struct{ url string }

var (
	_ store.Location  = location{}
	_ store.Inspector = location{}
)

// Locate returns the location that a URL names, postgres://USER:PASSWORD@HOST/DATABASE. It
// accepts the parameters of libpq, such as sslmode, those of pgxpool, such as
// pool_max_conns, and settings of the database, such as search_path.
func Locate(u *url.URL) (store.Location, error) {
	text := u.String()
	if u.Opaque != "" || u.Fragment != "" {
		return nil, errors.New("write postgres://USER:PASSWORD@HOST/DATABASE")
	}
	if strings.Trim(u.Path, "/") == "" {
		return nil, errors.New("the name of the database is missing: write postgres://USER:PASSWORD@HOST/DATABASE")
	}
	if _, err := parseURL(text); err != nil {
		return nil, err
	}
	return location{text}, nil
}

// Open implements store.Location.
func (l location) Open(ctx context.Context, o store.Options) (store.Store, error) {
	s, err := Open(ctx, Config{URL: l.url, Options: o})
	if err != nil {
		return nil, err // not an interface with a nil *Store
	}
	return s, nil
}

// errURL means that pgx rejects a URL. Its error is not shown, because it contains the URL.
var errURL = errors.New("a parameter has a wrong value, or a file that it names cannot be read: check sslmode, sslrootcert, port and the pool_ parameters")

// parseURL parses a URL of a database.
func parseURL(text string) (*pgxpool.Config, error) {
	pc, err := pgxpool.ParseConfig(text)
	if err != nil {
		return nil, errURL
	}
	return pc, nil
}

// hasParameter reports whether a URL has a parameter.
func hasParameter(text, name string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Query().Has(name)
}

// redact returns a URL without its password.
func redact(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "URL"
	}
	q := u.Query()
	for _, name := range []string{"password", "sslpassword"} {
		if q.Has(name) {
			q.Set(name, "xxxxx")
			u.RawQuery = q.Encode()
		}
	}
	return u.Redacted()
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
