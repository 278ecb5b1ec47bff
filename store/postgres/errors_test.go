package postgres

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestAborted: whether the database has undone a transaction does not depend on the language of its
// messages.
func TestAborted(t *testing.T) {
	for _, test := range []struct {
		err  error
		want bool
	}{
		{&pgconn.PgError{Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: "22021"}, true},
		{&pgconn.PgError{Severity: "FEHLER", SeverityUnlocalized: "ERROR", Code: "22021"}, true},
		{&pgconn.PgError{Severity: "ERREUR", SeverityUnlocalized: "ERROR", Code: "22021"}, true},
		{&pgconn.PgError{Severity: "ERROR", Code: "22021"}, true},
		{&pgconn.PgError{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "57P05"}, false},
		{&pgconn.PgError{Severity: "FEHLER", SeverityUnlocalized: "PANIC", Code: "XX000"}, false},
		{errors.New("ERROR"), false},
		{nil, false},
	} {
		err := test.err
		if err != nil {
			err = fmt.Errorf("a statement: %w", err)
		}
		if isAborted(err) != test.want || mayBeOfOne(err) != test.want {
			t.Errorf("%#v: aborted %v, may be of one %v; want %v", test.err, isAborted(err), mayBeOfOne(err), test.want)
		}
	}
}
