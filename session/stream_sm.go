package session

import (
	"fmt"
	"strconv"

	"roost/parser"
)

// StreamManagement is the stream feature of XEP-0198
// (https://xmpp.org/extensions/xep-0198.html).
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
			s.enable(t, el)
		case "resume":
			s.resumeStream(t, el)
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
	Inline: &Inline{
		Offer: func(s *Session, dst []byte) []byte {
			if s.mgr.config().ResumeTimeout > 0 {
				dst = append(dst, "<sm xmlns='"+nsSM+"'/>"...)
			}
			return dst
		},
		Handle: func(_ *Turn, _ *Session, request parser.Element, dst []byte) []byte {
			if string(request.Local()) == "enable" { // it belongs in <bind/>
				dst = appendSMFailed(dst, smUnexpected)
			}
			return dst
		},
		Resume: func(t *Turn, s *Session, request parser.Element, success AppendSuccess, failed func(*Turn, []byte)) {
			s.startResume(t, request, success, func(t *Turn, _ *Session, result []byte) { failed(t, result) })
		},
	},
}

// Conditions of <failed/>.
const (
	smUnexpected     = "unexpected-request"
	smBadRequest     = "bad-request"
	smNotFound       = "item-not-found"
	smInternal       = "internal-server-error"
	smNotImplemented = "feature-not-implemented"
)

func (s *Session) smFailed(t *Turn, condition string) {
	b := appendSMFailed(t.GetBuf(), condition)
	s.SendBytes(t, b)
	t.PutBuf(b)
}

func appendSMFailed(b []byte, condition string) []byte {
	return appendSMCondition(append(b, "<failed xmlns='"+nsSM+"'"...), condition)
}

// appendSMCondition appends the rest of <failed/> after its attributes.
func appendSMCondition(b []byte, condition string) []byte {
	b = append(b, "><"...)
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
	return s.enableAcksInline(t, askedWait(request), dst)
}

// enable handles <enable/>.
func (s *Session) enable(t *Turn, el parser.Element) {
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
		s.enableAcks(t, askedWait(el))
	}
}

// askedWait returns the code of the time that a client asks for in <enable/>, waitNever if it
// does not want to resume the session.
func askedWait(el parser.Element) uint8 {
	if r := string(el.Attr("resume")); r != "true" && r != "1" {
		return waitNever
	}
	if seconds, ok := parseCount(el.Attr("max")); ok {
		return waitCode(seconds)
	}
	return waitFull
}

// resumeStream handles <resume/>. If the session cannot be resumed, the client may bind a
// resource (section 5, https://xmpp.org/extensions/xep-0198.html#resumption).
func (s *Session) resumeStream(t *Turn, el parser.Element) {
	if !s.has(flagAuthed) || s.has(flagBound) {
		s.smFailed(t, smUnexpected)
		return
	}
	s.startResume(t, el, nil, func(t *Turn, s *Session, result []byte) { s.SendBytes(t, result) })
}

// startResume starts the resumption of the session that <resume/> names. Only the session's
// loop may call it, after the client has authenticated.
func (s *Session) startResume(t *Turn, el parser.Element, success AppendSuccess, failed resumeFailed) {
	h, ok := parseCount(el.Attr("h"))
	id := el.Attr("previd")
	if !ok || len(id) == 0 {
		failed(t, s, appendSMFailed(nil, smBadRequest))
		return
	}
	r := &resumption{from: s, h: h, id: string(id), success: success, failed: failed}
	if s.mgr.config().Router.CaughtUp(s.Event()) {
		r.look(t)
		return
	}
	// The session may have to end first: it may be one of a former account of this name.
	s.runOn(t, Write, func(t *Turn) {
		err := s.mgr.config().Router.CatchUp(t, s.Event())
		s.onLoop(t, func(t *Turn) {
			if err != nil {
				s.mgr.logFault("cannot read account events; resumption refused", s.BareJID(), err)
				failed(t, s, appendSMFailed(nil, smInternal))
				return
			}
			r.look(t)
		})
	})
}

// look looks for the session, and has the client resume it or tells the client that there is
// none. Only the loop of r.from may call it.
func (r *resumption) look(t *Turn) {
	s := r.from
	number, ok := s.mgr.readResumeID([]byte(r.id), s.BareJID())
	if !ok {
		r.tellNotFound(t, 0, false)
		return
	}
	earlier := s.mgr.resumable(s.BareJID(), number)
	if earlier != nil && !earlier.has(flagMoving) {
		r.begin(earlier)
		return
	}
	handled, known := s.mgr.past.get(s.BareJID(), number)
	if !s.fetch(r, number, handled, known) {
		r.tellNotFound(t, handled, known)
	}
}

// tellNotFound tells the client that there is no session to resume, and how many of its
// stanzas that session had handled, if that is known.
func (r *resumption) tellNotFound(t *Turn, h uint32, known bool) {
	countEvents.Add(t, eventNotResumed, 1)
	condition := smNotFound
	if !known && r.from.mgr.config().ResumeTimeout <= 0 {
		// Section 5 (https://xmpp.org/extensions/xep-0198.html#resumption): "If the server does
		// not support session resumption, it MUST return a <failed/> element, which SHOULD
		// include an error condition of <feature-not-implemented/>." A session that the server
		// remembers is from before a reload, and h is worth more to its client.
		condition = smNotImplemented
	}
	b := append(t.GetBuf(), "<failed xmlns='"+nsSM+"'"...)
	if known {
		b = append(b, " h='"...)
		b = strconv.AppendUint(b, uint64(h), 10)
		b = append(b, '\'')
	}
	b = appendSMCondition(b, condition)
	r.failed(t, r.from, b)
	t.PutBuf(b)
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
