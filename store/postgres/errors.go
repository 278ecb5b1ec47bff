package postgres

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrUnknown means that the connection was lost while a write was being committed: it may
// have happened or not.
var ErrUnknown = errors.New("the connection to the database was lost during a commit: the change may have been made or not")

// errDown means that the database could not be reached in time.
var errDown = errors.New("the database is not available")

// wrap returns an error that says in one line what was being done, what is wrong and, if
// known, how to fix it.
func (s *Store) wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	if advice := advice(err); advice != "" {
		return fmt.Errorf("store: %s: %s (%w)", what, advice, oneLine{err})
	}
	return fmt.Errorf("store: %s: %w", what, oneLine{err})
}

// oneLine is an error whose text is one line: pgx lists the attempts to connect to several
// addresses in lines of their own.
type oneLine struct{ error }

// Error returns the text in one line.
func (e oneLine) Error() string {
	return strings.Join(strings.Fields(e.error.Error()), " ")
}

// Unwrap returns the error.
func (e oneLine) Unwrap() error { return e.error }

// SQLSTATE codes (PostgreSQL documentation, appendix A).
const (
	invalidPassword       = "28P01"
	invalidAuthorization  = "28000"
	noDatabase            = "3D000"
	insufficientPrivilege = "42501"
	readOnly              = "25006"
	diskFull              = "53100"
	tooManyConnections    = "53300"
	serialization         = "40001"
	deadlock              = "40P01"
	queryCanceled         = "57014"
	adminShutdown         = "57P01"
	crashShutdown         = "57P02"
	cannotConnectNow      = "57P03"
)

// code returns the SQLSTATE code of an error of the database, or "".
func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// advice returns a text for people about an error of the database, or "".
func advice(err error) string {
	switch code(err) {
	case invalidPassword, invalidAuthorization:
		return "the database refuses the login: check user and password of the URL, and pg_hba.conf"
	case noDatabase:
		return "the database does not exist: create it with createdb"
	case insufficientPrivilege:
		return "the user may not do this: the tables must belong to the user of the URL, or it needs the privileges in docs/storage.md"
	case readOnly:
		return "the database is read-only: name its primary server in the URL, with target_session_attrs=read-write if it has several"
	case diskFull:
		return "no space is left on the disk of the database: free some space"
	case tooManyConnections:
		return "the database has no free connection: raise max_connections there, or lower pool_max_conns in the URL"
	case queryCanceled:
		return "the database took too long: see its log, and what else it is doing"
	}
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return "the database cannot be reached: check that it is running, and host and port of the URL"
	}
	return ""
}

// isDown reports whether an error means that the database is not available at present, or
// that the connection was lost. What was being done may have happened or not.
func isDown(err error) bool {
	switch code(err) {
	case adminShutdown, crashShutdown, cannotConnectNow, tooManyConnections:
		return true
	case "":
		var ce *pgconn.ConnectError
		var ne net.Error
		return errors.As(err, &ce) || errors.As(err, &ne) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
			errors.Is(err, net.ErrClosed) || pgconn.SafeToRetry(err)
	}
	return strings.HasPrefix(code(err), "08") || isEnded(err) // connection exceptions
}

// isEnded reports whether the database has ended a connection that was established, for whatever reason:
// another one may succeed. If it refuses a connection, its error has the same severity.
func isEnded(err error) bool {
	var refused *pgconn.ConnectError
	var e *pgconn.PgError
	if errors.As(err, &refused) || !errors.As(err, &e) {
		return false
	}
	s := severity(e)
	return s == "FATAL" || s == "PANIC"
}

// isConflict reports whether the database has undone a transaction because of others that
// ran at the same time. It may be repeated.
func isConflict(err error) bool {
	c := code(err)
	return c == serialization || c == deadlock
}

// mayBeOfOne reports whether the error of a batch may be that of one of its writes, so that
// the others may succeed. Otherwise the database cannot execute any of them now: repeating
// each would take a timeout for each.
func mayBeOfOne(err error) bool {
	if !isAborted(err) || isConflict(err) {
		return false
	}
	switch code(err)[:2] { // the class
	case "25", "53", "57", "58": // wrong state, such as read-only; lack of resources; operator intervention; system error
		return false
	}
	return true
}

// isAborted reports whether the database has undone the transaction for certain: it has
// said so, and continues with the connection.
func isAborted(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && severity(e) == "ERROR"
}

// severity returns the severity of an error in English. Severity is in the language of the
// database (lc_messages); proxies may leave out the other field.
func severity(e *pgconn.PgError) string {
	return cmp.Or(e.SeverityUnlocalized, e.Severity)
}
