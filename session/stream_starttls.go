package session

import (
	"bytes"

	"roost/parser"
)

// startTLSFeature is STARTTLS ([RFC 6120 section 5]).
//
// [RFC 6120 section 5]: https://www.rfc-editor.org/rfc/rfc6120#section-5
var startTLSFeature = Feature{
	When:  func(*Session) bool { return true },
	Space: nsTLS,
	Offer: func(s *Session, b []byte) []byte {
		switch {
		case !s.mayStartTLS():
			return b
		case s.tlsRequired():
			return append(b, "<starttls xmlns='"+nsTLS+"'><required/></starttls>"...)
		}
		return append(b, "<starttls xmlns='"+nsTLS+"'></starttls>"...)
	},
	// RFC 6120 section 5.3.1: while TLS is required, no other feature is advertised.
	Required: (*Session).tlsRequired,
	Element: func(t *Turn, s *Session, el parser.Element, rest []byte) bool {
		if string(el.Local()) == "starttls" && s.mayStartTLS() {
			s.startTLS(t, rest)
		} else {
			// [RFC 6120 section 5.4.2.2]: the command is malformed, or "the receiving
			// entity did not offer the STARTTLS feature in its stream features".
			//
			// [RFC 6120 section 5.4.2.2]:
			// https://www.rfc-editor.org/rfc/rfc6120#section-5.4.2.2
			s.failTLS(t)
		}
		return true
	},
}

// mayStartTLS reports whether STARTTLS is offered. [RFC 7395 section 3.9]: over WebSocket "a
// server MUST NOT advertise TLS as a stream feature".
//
// [RFC 7395 section 3.9]: https://www.rfc-editor.org/rfc/rfc7395#section-3.9
func (s *Session) mayStartTLS() bool {
	return s.mgr.config().TLS != nil && !s.Conn().Secure() && !s.has(flagAuthed) && !s.Conn().Messages()
}

func (s *Session) tlsRequired() bool { return s.mayStartTLS() && !s.mgr.config().AllowPlaintext }

// startTLS handles <starttls/>. [RFC 6120 section 5.4.2.3]: TLS begins directly after
// <proceed/>. Bytes that the client sent in the clear after <starttls/> are never treated
// as input, because an attacker in the middle could have injected them.
//
// [RFC 6120 section 5.4.2.3]: https://www.rfc-editor.org/rfc/rfc6120#section-5.4.2.3
func (s *Session) startTLS(t *Turn, rest []byte) {
	// COMPAT: go-xmpp ends every element with a line feed. White space is not input; it is
	// dropped without parsing.
	if len(bytes.TrimSpace(rest)) > 0 {
		s.failTLS(t)
		return
	}
	s.SendBytes(t, []byte("<proceed xmlns='"+nsTLS+"'/>"))
	if err := s.Conn().StartTLS(s.mgr.config().TLS(s.Host())); err != nil {
		s.failTLS(t)
		return
	}
	s.set(flagTLS)
}

// failTLS ends a stream whose TLS negotiation failed (RFC 6120 section 5.4.2.2: the closing
// tag follows the failure).
func (s *Session) failTLS(t *Turn) {
	s.SendBytes(t, []byte("<failure xmlns='"+nsTLS+"'/>"))
	s.end(t, nil)
}
