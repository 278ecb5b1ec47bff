package session

import (
	"errors"
	"fmt"
	"testing"

	"roost/parser"
	"roost/stanza"
)

// TestErrorsIs: an error with a text matches the predeclared one, even if wrapped. Another
// condition, another text, or another type of error does not match.
func TestErrorsIs(t *testing.T) {
	f := func(err, target error, want bool) {
		t.Helper()
		for _, err := range []error{err, fmt.Errorf("session: %w", err)} {
			if got := errors.Is(err, target); got != want {
				t.Errorf("errors.Is(%+v, %+v) = %v", err, target, got)
			}
		}
	}
	f(ErrConflict, ErrConflict, true)
	f(ErrNotAuthorized.WithText("The account was removed."), ErrNotAuthorized, true)
	f(ErrNotAuthorized.WithText("a"), ErrNotAuthorized.WithText("a"), true)
	f(ErrNotAuthorized.WithText("a"), ErrNotAuthorized.WithText("b"), false)
	f(ErrNotAuthorized, ErrNotAuthorized.WithText("a"), false)
	f(errUnauthMemory, ErrResourceConstraint, true)
	f(ErrConflict, ErrReset, false)
	f(ErrConflict, stanza.Conflict, false)
	f(parserError(&parser.Error{Condition: "not-well-formed", Text: "a text"}), &StreamError{Condition: "not-well-formed"}, true)
	f(parserError(errors.New("no error of the parser")), ErrInternal, true)

	f(stanza.Conflict, stanza.Conflict, true)
	f(stanza.NotAuthorized.WithText("a"), stanza.NotAuthorized, true)
	f(stanza.NotAuthorized, stanza.NotAuthorized.WithText("a"), false)
	f(stanza.NotAuthorized.WithText("a"), stanza.Forbidden, false)
	f(stanza.Conflict, ErrConflict, false)
	special := *stanza.BadRequest
	special.Extra = "<special xmlns='urn:example:x'/>"
	f(special.WithText("a"), stanza.BadRequest, true)
	f(special.WithText("a"), &special, true)
	f(stanza.BadRequest, &special, false)
}
