package session

import (
	"errors"

	"roost/parser"
)

// StreamError is an error that ends a stream ([RFC 6120 section 4.9]): it is sent, and then
// the stream is closed.
//
// [RFC 6120 section 4.9]: https://www.rfc-editor.org/rfc/rfc6120#section-4.9
type StreamError struct {
	Condition string // defined condition (section 4.9.3)
	Host      string // content of the condition see-other-host
	Text      string // optional text for people
	App       string // optional application-specific condition, as XML (section 4.9.4)

	tooLarge bool // something that the client has sent is too large
}

// Error makes a StreamError usable as a Go error.
func (e *StreamError) Error() string { return "session: stream error " + e.Condition }

// Is reports whether e has the condition of target, another StreamError, and its text,
// if target has one: errors.Is(err, ErrConflict) is true for ErrConflict with any text.
func (e *StreamError) Is(target error) bool {
	t, ok := target.(*StreamError)
	return ok && t != nil && e.Condition == t.Condition && (t.Text == "" || e.Text == t.Text)
}

// WithText returns a copy of e with a text for people.
func (e *StreamError) WithText(text string) *StreamError {
	with := *e
	with.Text = text
	return &with
}

// The stream errors that roost sends, each with the RFC's meaning (RFC 6120
// section 4.9.3).
var (
	// the XML is well-formed but not valid on a stream
	ErrBadFormat = &StreamError{Condition: "bad-format"}
	// a new stream for the same resource replaces this one
	ErrConflict = &StreamError{Condition: "conflict"}
	// the client was silent for too long, or took too long to log in
	ErrConnectionTimeout = &StreamError{Condition: "connection-timeout"}
	// the 'to' of the header was a domain of this server, which it no longer serves
	ErrHostGone = &StreamError{Condition: "host-gone"}
	// the 'to' of the header is not a domain of this server
	ErrHostUnknown = &StreamError{Condition: "host-unknown"}
	// an internal error of the server
	ErrInternal = &StreamError{Condition: "internal-server-error"}
	// the 'from' of the header is not the authenticated account
	ErrInvalidFrom = &StreamError{Condition: "invalid-from"}
	// the stream namespace or the content namespace is not supported
	ErrInvalidNamespace = &StreamError{Condition: "invalid-namespace"}
	// data that requires an authenticated or bound stream
	ErrNotAuthorized = &StreamError{Condition: "not-authorized"}
	// a local limit or rule was violated
	ErrPolicyViolation = &StreamError{Condition: "policy-violation"}
	// the client's credentials are no longer valid, and it must authenticate again
	ErrReset = &StreamError{Condition: "reset"}
	// the server lacks the memory for the client's request
	ErrResourceConstraint = &StreamError{Condition: "resource-constraint"}
	// the server is being shut down
	ErrSystemShutdown = &StreamError{Condition: "system-shutdown"}
	// an unknown first-level element
	ErrUnsupportedStanza = &StreamError{Condition: "unsupported-stanza-type"}
	// an unsupported version
	ErrUnsupportedVersion = &StreamError{Condition: "unsupported-version"}
)

// SeeOtherHost returns the stream error that sends a client to another host of the same
// service ([RFC 6120 section 4.9.3.19]): "a valid domainpart or a domainpart plus port
// number". An IPv6 address is in square brackets. The RFC asks not to send it before TLS.
//
// [RFC 6120 section 4.9.3.19]: https://www.rfc-editor.org/rfc/rfc6120#section-4.9.3.19
func SeeOtherHost(host string) *StreamError {
	return &StreamError{Condition: "see-other-host", Host: host}
}

// parserError converts a parser's error to the stream error to send.
func parserError(err error) *StreamError {
	var pe *parser.Error
	if errors.As(err, &pe) {
		return &StreamError{Condition: pe.Condition, Text: pe.Text, tooLarge: pe == parser.ErrTooLarge}
	}
	return ErrInternal
}
