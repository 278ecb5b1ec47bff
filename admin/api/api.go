// Package api defines the types of the requests and responses of the administration
// interface, which are JSON, and contains a client. Package admin serves the interface, and
// the commands of roost use it. Times are in RFC 3339, durations in seconds, sizes in bytes.
package api

import (
	"fmt"
	"strings"
)

// Paths of the interface.
const (
	PathHealth  = "/healthz"
	PathReady   = "/readyz"
	PathStatus  = "/v1/status"
	PathOpenAPI = "/v1/openapi.json"
	PathMetrics = "/metrics"
)

// SocketName is the name of the Unix socket in the data directory.
const SocketName = "admin.sock"

// ErrorCode is what went wrong, for programs.
type ErrorCode string

// The codes of errors, each with its HTTP status.
const (
	CodeBadRequest   ErrorCode = "bad-request"       // 400: a parameter or the body is wrong
	CodeNotServed    ErrorCode = "not-served"        // 400: the server does not serve this domain
	CodeUnauthorized ErrorCode = "unauthorized"      // 401: no token, or an unknown one
	CodeForbidden    ErrorCode = "forbidden"         // 403: the token's scope does not include this request
	CodeNotFound     ErrorCode = "not-found"         // 404
	CodeMethod       ErrorCode = "method"            // 405: the path exists, and does not have this method
	CodeConflict     ErrorCode = "conflict"          // 409: it exists, or has changed meanwhile
	CodeBadConfig    ErrorCode = "bad-configuration" // 422: the configuration has mistakes, which details list
	CodeTooLarge     ErrorCode = "too-large"         // 413: the body is too large
	CodeMediaType    ErrorCode = "media-type"        // 415: the body is not application/json
	CodeTooMany      ErrorCode = "too-many-attempts" // 429: too many requests with wrong tokens
	CodeInternal     ErrorCode = "internal"          // 500
	CodeUnavailable  ErrorCode = "unavailable"       // 503: such as a store that does not respond
)

// Error is what went wrong with a request. Its JSON is the field "error" of the response.
type Error struct {
	Status  int       `json:"-"`
	Code    ErrorCode `json:"code"`
	Message string    `json:"message"`         // what is wrong
	Hint    string    `json:"hint,omitempty"`  // how to correct it
	Field   string    `json:"field,omitempty"` // what part of the request is wrong: a parameter, a field of the body, or a variable of the path. If the message names it, it begins with it

	// Each mistake, if there may be several.
	Details []string `json:"details,omitempty"`
}

// Error returns the message and the hint, and each detail on a line of its own.
func (e *Error) Error() string {
	text := e.Message
	if e.Hint != "" {
		text = fmt.Sprintf("%s: %s", text, e.Hint)
	}
	return strings.Join(append([]string{text}, e.Details...), "\n")
}

// Naming returns the error for somebody who has written the field under another name, such
// as a flag.
func (e *Error) Naming(name string) *Error {
	told := *e
	if rest, ok := strings.CutPrefix(e.Message, e.Field+" "); ok {
		told.Message = name + " " + rest
	} else {
		told.Message = name + ": " + e.Message
	}
	return &told
}

// ErrorResponse is the body of a response that is not a success.
type ErrorResponse struct {
	Error Error `json:"error"`
}
