package stanza

import (
	"slices"

	"roost/parser"
)

// ErrorReply is a stanza error (RFC 6120 section 8.3,
// https://www.rfc-editor.org/rfc/rfc6120#section-8.3). It is sent in reply to a stanza, and
// the stream continues.
type ErrorReply struct {
	Type      string // cancel, modify, auth, wait or continue (section 8.3.2)
	Condition string // defined condition (section 8.3.3)
	Text      string // for a person to read; may be empty
	Extra     string // an application-specific condition as XML; may be empty
}

// Error makes an ErrorReply usable as a Go error inside the server.
func (e *ErrorReply) Error() string { return "stanza: error " + e.Condition }

// Is reports whether target is an ErrorReply with the condition of e and, if target has a
// text or an application-specific condition, also those of e: errors.Is(err, Conflict) is
// true for Conflict with any text.
func (e *ErrorReply) Is(target error) bool {
	t, ok := target.(*ErrorReply)
	return ok && t != nil && e.Condition == t.Condition &&
		(t.Text == "" || e.Text == t.Text) && (t.Extra == "" || e.Extra == t.Extra)
}

// WithText returns a copy of e with a sentence for a person to read.
func (e *ErrorReply) WithText(text string) *ErrorReply {
	c := *e
	c.Text = text
	return &c
}

// The stanza errors that roost sends, each with the type that RFC 6120 section 8.3.3
// (https://www.rfc-editor.org/rfc/rfc6120#section-8.3.3) recommends.
var (
	BadRequest           = &ErrorReply{Type: "modify", Condition: "bad-request"}
	Conflict             = &ErrorReply{Type: "cancel", Condition: "conflict"}
	Forbidden            = &ErrorReply{Type: "auth", Condition: "forbidden"}
	InternalServerError  = &ErrorReply{Type: "wait", Condition: "internal-server-error"}
	ItemNotFound         = &ErrorReply{Type: "cancel", Condition: "item-not-found"}
	JIDMalformed         = &ErrorReply{Type: "modify", Condition: "jid-malformed"}
	NotAcceptable        = &ErrorReply{Type: "modify", Condition: "not-acceptable"}
	NotAllowed           = &ErrorReply{Type: "cancel", Condition: "not-allowed"}
	NotAuthorized        = &ErrorReply{Type: "auth", Condition: "not-authorized"}
	RemoteServerNotFound = &ErrorReply{Type: "cancel", Condition: "remote-server-not-found"}
	RemoteServerTimeout  = &ErrorReply{Type: "wait", Condition: "remote-server-timeout"}
	ResourceConstraint   = &ErrorReply{Type: "wait", Condition: "resource-constraint"}
	ServiceUnavailable   = &ErrorReply{Type: "cancel", Condition: "service-unavailable"}
	UnexpectedRequest    = &ErrorReply{Type: "wait", Condition: "unexpected-request"}
)

// Conditions are the defined conditions of stanza errors (RFC 6120 section 8.3.3).
var Conditions = [...]string{
	"bad-request", "conflict", "feature-not-implemented", "forbidden", "gone", "internal-server-error", "item-not-found", "jid-malformed",
	"not-acceptable", "not-allowed", "not-authorized", "policy-violation", "recipient-unavailable", "redirect", "registration-required",
	"remote-server-not-found", "remote-server-timeout", "resource-constraint", "service-unavailable", "subscription-required",
	undefinedCondition, "unexpected-request",
}

const undefinedCondition = "undefined-condition"

// ConditionIndex returns the index in Conditions of a condition, or of undefined-condition
// if it is not a defined one.
func ConditionIndex(condition string) int {
	if i := slices.Index(Conditions[:], condition); i >= 0 {
		return i
	}
	return slices.Index(Conditions[:], undefinedCondition)
}

// AppendXML appends the <error/> element.
func (e *ErrorReply) AppendXML(dst []byte) []byte {
	dst = append(dst, "<error type='"...)
	dst = append(dst, e.Type...)
	dst = append(dst, "'><"...)
	dst = append(dst, e.Condition...)
	dst = append(dst, " xmlns='"+NSStanzas+"'/>"...)
	if e.Text != "" {
		dst = append(dst, "<text xmlns='"+NSStanzas+"' xml:lang='en'>"...)
		dst = parser.AppendEscaped(dst, e.Text)
		dst = append(dst, "</text>"...)
	}
	dst = append(dst, e.Extra...)
	return append(dst, "</error>"...)
}

// CanError reports whether an error may be sent in reply to the stanza. RFC 6120 section
// 8.3.1 (https://www.rfc-editor.org/rfc/rfc6120#section-8.3.1): "An entity that receives an
// error stanza MUST NOT respond to the stanza with a further error stanza". An iq result is
// itself a reply (section 8.2.3).
func (st *Stanza) CanError() bool {
	return st.Type != Error && !(st.Kind == IQ && st.Type == Result)
}

// AppendError appends the error reply to st, with the same id and with the addresses
// swapped. sender is the full JID that sent st. The reply comes from the address that st
// was sent to. If st has no 'to', the reply has no 'from', which means the sender's own
// account (RFC 6120 section 8.1.2.1,
// https://www.rfc-editor.org/rfc/rfc6120#section-8.1.2.1).
func AppendError(dst []byte, st *Stanza, sender string, e *ErrorReply) []byte {
	dst = append(dst, '<')
	dst = append(dst, st.Kind.String()...)
	dst = append(dst, " type='error'"...)
	dst = st.appendReplyAddresses(dst, sender)
	dst = append(dst, '>')
	dst = e.AppendXML(dst)
	dst = append(dst, "</"...)
	dst = append(dst, st.Kind.String()...)
	return append(dst, '>')
}

// AppendResultStart appends the start tag of the iq result that replies to st. The caller
// appends the payload and "</iq>".
func AppendResultStart(dst []byte, st *Stanza, sender string) []byte {
	dst = append(dst, "<iq type='result'"...)
	dst = st.appendReplyAddresses(dst, sender)
	return append(dst, '>')
}

// AppendResult appends an empty iq result that replies to st.
func AppendResult(dst []byte, st *Stanza, sender string) []byte {
	dst = append(dst, "<iq type='result'"...)
	dst = st.appendReplyAddresses(dst, sender)
	return append(dst, "/>"...)
}

// maxAddress is the length of the longest JID in bytes: three parts of 1,023 bytes each and
// two separators (RFC 7622 section 3.1,
// https://www.rfc-editor.org/rfc/rfc7622#section-3.1). Anything longer is not an address,
// and is not returned to its sender, because escaping could make it six times as long.
const maxAddress = 3*1023 + 2

func (st *Stanza) appendReplyAddresses(dst []byte, sender string) []byte {
	if st.ID != nil {
		dst = appendAttr(dst, "id", st.ID)
	}
	if to := st.Root.Attr("to"); to != nil && len(to) <= maxAddress {
		// The address is echoed as it was written: clients compare it as text.
		dst = appendAttr(dst, "from", to)
	}
	if sender != "" {
		dst = appendAttr(dst, "to", sender)
	}
	return dst
}
