package session

import (
	"errors"

	"roost/parser"
)

// StreamError ends a stream (RFC 6120 section 4.9): it is sent, then the stream
// is closed.
type StreamError struct {
	Condition string // defined condition (section 4.9.3)
	Text      string // for a human being; may be empty
}

// Error makes a StreamError usable as a Go error.
func (e *StreamError) Error() string { return "session: stream error " + e.Condition }

// Is reports whether e has the condition of target, another StreamError, and its text,
// if target has one: errors.Is(err, ErrConflict) is true for ErrConflict with any text.
func (e *StreamError) Is(target error) bool {
	t, ok := target.(*StreamError)
	return ok && t != nil && e.Condition == t.Condition && (t.Text == "" || e.Text == t.Text)
}

// WithText returns the same error with a sentence for a human being.
func (e *StreamError) WithText(text string) *StreamError {
	return &StreamError{Condition: e.Condition, Text: text}
}

// The stream errors that roost sends, each with the RFC's meaning (RFC 6120
// section 4.9.3).
var (
	// the XML is well-formed but cannot be processed here
	ErrBadFormat = &StreamError{Condition: "bad-format"}
	// a new stream for the same resource replaces this one
	ErrConflict = &StreamError{Condition: "conflict"}
	// the client was silent for too long, or took too long to log in
	ErrConnectionTimeout = &StreamError{Condition: "connection-timeout"}
	// the 'to' of the header is no domain of this server
	ErrHostUnknown = &StreamError{Condition: "host-unknown"}
	// something in the server went wrong
	ErrInternal = &StreamError{Condition: "internal-server-error"}
	// the 'from' of the header is not the authenticated account
	ErrInvalidFrom = &StreamError{Condition: "invalid-from"}
	// the stream namespace or the content namespace is not ours
	ErrInvalidNamespace = &StreamError{Condition: "invalid-namespace"}
	// data that needs an authenticated or bound stream
	ErrNotAuthorized = &StreamError{Condition: "not-authorized"}
	// a local rule was broken
	ErrPolicyViolation = &StreamError{Condition: "policy-violation"}
	// what the client authenticated with is not valid any more: it is to
	// authenticate again
	ErrReset = &StreamError{Condition: "reset"}
	// the server has no memory for what the client wants
	ErrResourceConstraint = &StreamError{Condition: "resource-constraint"}
	// the server is being shut down
	ErrSystemShutdown = &StreamError{Condition: "system-shutdown"}
	// a first-level child that is not understood
	ErrUnsupportedStanza = &StreamError{Condition: "unsupported-stanza-type"}
	// a version that is not supported
	ErrUnsupportedVersion = &StreamError{Condition: "unsupported-version"}
)

// parserError is the stream error that answers what the parser refused.
func parserError(err error) *StreamError {
	var pe *parser.Error
	if errors.As(err, &pe) {
		return &StreamError{Condition: pe.Condition, Text: pe.Text}
	}
	return ErrInternal
}
