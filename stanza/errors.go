package stanza

import "roost/parser"

// ErrorReply is a stanza error (RFC 6120 section 8.3): it is answered to the
// sender and the stream lives.
type ErrorReply struct {
	Type      string // cancel, modify, auth, wait or continue (section 8.3.2)
	Condition string // defined condition (section 8.3.3)
	Text      string // for a human being; may be empty
	Extra     string // an application-specific condition as XML; may be empty
}

// Error makes an ErrorReply usable as a Go error inside the server.
func (e *ErrorReply) Error() string { return "stanza: error " + e.Condition }

// Is reports whether e has the condition of target, another ErrorReply, and its text and
// application-specific condition, if target has them: errors.Is(err, Conflict) is true
// for Conflict with any text.
func (e *ErrorReply) Is(target error) bool {
	t, ok := target.(*ErrorReply)
	return ok && t != nil && e.Condition == t.Condition &&
		(t.Text == "" || e.Text == t.Text) && (t.Extra == "" || e.Extra == t.Extra)
}

// WithText returns the same error with a sentence for a human being.
func (e *ErrorReply) WithText(text string) *ErrorReply {
	c := *e
	c.Text = text
	return &c
}

// The stanza errors that roost answers, with the type that RFC 6120 section
// 8.3.3 recommends for each.
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
	ResourceConstraint   = &ErrorReply{Type: "wait", Condition: "resource-constraint"}
	ServiceUnavailable   = &ErrorReply{Type: "cancel", Condition: "service-unavailable"}
	UnexpectedRequest    = &ErrorReply{Type: "wait", Condition: "unexpected-request"}
)

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

// CanError reports whether the stanza may be answered with an error: "An
// entity that receives an error stanza MUST NOT respond to the stanza with a
// further error stanza" (RFC 6120 section 8.3.1), and an iq result is an answer
// already (section 8.2.3).
func (st *Stanza) CanError() bool {
	return st.Type != Error && !(st.Kind == IQ && st.Type == Result)
}

// AppendError appends the error answer to st: from and to change places, the id
// is echoed. sender is the full JID that sent st; the answer comes from the
// address that st was sent to, or carries no 'from' where it had none, which
// means the sender's own account (RFC 6120 section 8.1.2.1).
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

// AppendResultStart appends the start of an iq result that answers st, ready
// for its payload; the caller ends it with "</iq>".
func AppendResultStart(dst []byte, st *Stanza, sender string) []byte {
	dst = append(dst, "<iq type='result'"...)
	dst = st.appendReplyAddresses(dst, sender)
	return append(dst, '>')
}

// AppendResult appends an empty iq result that answers st.
func AppendResult(dst []byte, st *Stanza, sender string) []byte {
	dst = append(dst, "<iq type='result'"...)
	dst = st.appendReplyAddresses(dst, sender)
	return append(dst, "/>"...)
}

// maxAddress is the length of the longest JID in bytes: three parts of 1,023
// bytes each and two separators (RFC 7622 section 3.1). What is longer is no
// address, and is not returned to its sender, for whom it would grow six times
// by being escaped.
const maxAddress = 3*1023 + 2

func (st *Stanza) appendReplyAddresses(dst []byte, sender string) []byte {
	if st.ID != nil {
		dst = appendAttr(dst, "id", st.ID)
	}
	if to := st.Root.Attr("to"); to != nil && len(to) <= maxAddress {
		// The address is echoed as it came: the asker compares it as text.
		dst = appendAttr(dst, "from", to)
	}
	if sender != "" {
		dst = appendAttr(dst, "to", sender)
	}
	return dst
}
