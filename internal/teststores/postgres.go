package teststores

import (
	"testing"

	"roost/internal/pgtest"
)

// PostgreSQL is the kind of store that several servers can share.
var PostgreSQL = Kind{
	Name: "postgresql", Durable: true, URL: postgresURL, New: located(postgresURL),
	Cuts: 1,
}

// postgresURL names a new schema in the server of this test binary.
func postgresURL(t testing.TB) string {
	t.Helper()
	return pgtest.Shared(t).URL(t)
}
