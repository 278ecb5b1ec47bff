package session

import (
	"fmt"
	"strconv"

	"roost/parser"
)

// StreamManagement is the stream feature of XEP-0198
// (https://xmpp.org/extensions/xep-0198.html). Streams cannot be resumed yet.
var StreamManagement = Feature{
	// Section 3 (https://xmpp.org/extensions/xep-0198.html#enable): "The server SHALL enforce
	// this order and return a <failed/> element in response if the order is violated". So the
	// elements are handled on every stream; the feature is offered after authentication.
	When: func(*Session) bool { return true },
	Offer: func(s *Session, dst []byte) []byte {
		if s.has(flagAuthed) && !s.has(flagManaged) { // it may be enabled together with the login
			dst = append(dst, "<sm xmlns='"+nsSM+"'/>"...)
		}
		return dst
	},
	Space: nsSM,
	Element: func(t *Turn, s *Session, el parser.Element, _ []byte) bool {
		switch string(el.Local()) {
		case "enable":
			s.enable(t)
		case "resume":
			s.resumeStream(t)
		case "r":
			return s.ackRequested(t)
		case "a":
			return s.ackReceived(t, el)
		default:
			return false
		}
		return true
	},
	Enable: func(t *Turn, s *Session, request parser.Element, dst []byte) []byte {
		return s.enableInline(t, request, dst)
	},
}

// smEnabled tells the client that stream management is enabled.
const smEnabled = "<enabled xmlns='" + nsSM + "'/>"

// Conditions of <failed/>.
const (
	smUnexpected     = "unexpected-request"
	smNotImplemented = "feature-not-implemented"
)

func (s *Session) smFailed(t *Turn, condition string) {
	b := appendSMFailed(t.GetBuf(), condition)
	s.SendBytes(t, b)
	t.PutBuf(b)
}

func appendSMFailed(b []byte, condition string) []byte {
	b = append(b, "<failed xmlns='"+nsSM+"'><"...)
	b = append(b, condition...)
	return append(b, " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"...)
}

// enableInline handles <enable/> in Bind 2's <bind/>: "The <bound/> response MUST contain
// the resulting XEP-0198 <enabled/> (or <failed/>) element"
// (https://xmpp.org/extensions/xep-0386.html#bind-request). No stanza is sent before it.
func (s *Session) enableInline(t *Turn, request parser.Element, dst []byte) []byte {
	switch {
	case string(request.Local()) != "enable":
		return dst
	case s.has(flagManaged): // by an element before this one
		return appendSMFailed(dst, smUnexpected)
	}
	s.enableAcks(t, "")
	return append(dst, smEnabled...)
}

// enable handles <enable/>.
func (s *Session) enable(t *Turn) {
	switch {
	case !s.has(flagBound):
		s.smFailed(t, smUnexpected)
	case s.has(flagManaged):
		// Section 3 (https://xmpp.org/extensions/xep-0198.html#enable): "If a server receives
		// a second <enable/> element it SHOULD respond with a stream error, thus terminating
		// the client connection." The example next to it shows <failed/>. A client gets both.
		s.smFailed(t, smUnexpected)
		s.end(t, ErrPolicyViolation.WithText("Stream management is already enabled."))
	default:
		s.enableAcks(t, smEnabled)
	}
}

// resumeStream handles <resume/>. Section 5
// (https://xmpp.org/extensions/xep-0198.html#resumption): "If the server does not support
// session resumption, it MUST return a <failed/> element, which SHOULD include an error
// condition of <feature-not-implemented/>."
func (s *Session) resumeStream(t *Turn) {
	if s.has(flagAuthed) && !s.has(flagBound) {
		s.smFailed(t, smNotImplemented)
		return
	}
	s.smFailed(t, smUnexpected)
}

// ackRequested handles <r/>.
func (s *Session) ackRequested(t *Turn) bool {
	if !s.has(flagManaged) {
		return false
	}
	b := append(t.GetBuf(), "<a xmlns='"+nsSM+"' h='"...)
	b = strconv.AppendUint(b, uint64(s.cold.Load().handled), 10)
	b = append(b, "'/>"...)
	s.SendBytes(t, b)
	t.PutBuf(b)
	return true
}

// ackReceived handles <a/>.
func (s *Session) ackReceived(t *Turn, el parser.Element) bool {
	if !s.has(flagManaged) {
		return false
	}
	h, ok := parseCount(el.Attr("h"))
	if !ok {
		// Section 4 (https://xmpp.org/extensions/xep-0198.html#acking): "An <a/> element MUST
		// possess an 'h' attribute."
		s.end(t, ErrBadFormat.WithText("The acknowledgement has no valid number."))
		return true
	}
	if sent, ok := s.acknowledge(t, h); !ok {
		s.end(t, handledCountTooHigh(h, sent))
	}
	return true
}

// handledCountTooHigh returns the stream error for an acknowledgement of more stanzas than
// were sent (section 6, https://xmpp.org/extensions/xep-0198.html#errors).
func handledCountTooHigh(h, sent uint32) *StreamError {
	return &StreamError{
		Condition: "undefined-condition",
		Text:      fmt.Sprintf("You acknowledged %d stanzas, but only %d were sent.", h, sent),
		App:       fmt.Sprintf("<handled-count-too-high xmlns='"+nsSM+"' h='%d' send-count='%d'/>", h, sent),
	}
}

// parseCount parses a number of stanzas, an unsignedInt of XML Schema.
func parseCount(v []byte) (n uint32, ok bool) {
	for _, c := range v {
		if c < '0' || c > '9' || n > (1<<32-1)/10 || n == (1<<32-1)/10 && c > '5' {
			return 0, false
		}
		n = n*10 + uint32(c-'0')
	}
	return n, len(v) > 0
}
