package session

import (
	"encoding/base64"
	"errors"

	"roost/parser"
)

// maxSASLMessage is the maximum length of a decoded SASL message, in bytes. The longest
// useful one is PLAIN with three strings of 1,023 bytes.
const maxSASLMessage = 4096

// saslFeature is SASL negotiation as defined by [RFC 6120 section 6].
//
// [RFC 6120 section 6]: https://www.rfc-editor.org/rfc/rfc6120#section-6
var saslFeature = Feature{
	When:  func(s *Session) bool { return !s.has(flagAuthed) },
	Offer: (*Session).appendMechanisms,
	Space: nsSASL,
	Element: func(t *Turn, s *Session, el parser.Element, _ []byte) bool {
		if s.mayAuthenticate() {
			s.saslElement(t, el)
		} else {
			// RFC 6120 section 6.5.4: the mechanism requires TLS first.
			s.refuse(t, &saslProfile, saslEncryptionRequired)
		}
		return true
	},
}

// saslProfile writes an authentication as defined by RFC 6120 section 6.4.
var saslProfile = authProfile{
	challenge: func(s *Session, t *Turn, data []byte) { s.sendSASL(t, "challenge", data) },
	success:   (*Session).saslSuccess,
	failure:   (*Session).sendSASLFailure,
}

// appendMechanisms appends the mechanisms offered on this stream, the strongest first, and
// the supported channel bindings ([XEP-0440]).
//
// [XEP-0440]: https://xmpp.org/extensions/xep-0440.html
func (s *Session) appendMechanisms(b []byte) []byte {
	if !s.mayAuthenticate() && s.Conn().Messages() {
		return b // there is no STARTTLS either
	}
	b = append(b, "<mechanisms xmlns='"+nsSASL+"'>"...)
	b = s.appendMechanismList(b, false)
	b = append(b, "</mechanisms>"...)
	return s.negotiation().binding.appendXML(b)
}

// appendMechanismList appends the mechanisms for tokens, or all others.
func (s *Session) appendMechanismList(b []byte, token bool) []byte {
	for i := range s.mgr.mechs {
		if m := &s.mgr.mechs[i]; m.token == token && m.offer(s) {
			b = append(b, "<mechanism>"...)
			b = append(b, m.name...)
			b = append(b, "</mechanism>"...)
		}
	}
	return b
}

// saslElement handles an element of the SASL namespace (RFC 6120 section 6.4).
func (s *Session) saslElement(t *Turn, el parser.Element) {
	switch string(el.Local()) {
	case "auth":
		// RFC 6120 section 6.4.2: a new <auth/> discards the exchange in progress.
		if !s.discardExchange(t) {
			return
		}
		if !s.beginAuth(&saslProfile, string(el.Attr("mechanism")), false) {
			s.refuse(t, &saslProfile, saslInvalidMechanism)
			return
		}
		// RFC 6120 section 6.3.5: no white space between the elements of the exchange.
		s.parser.RefuseSpace(true)
		s.saslMessage(t, el)
	case "response":
		if s.negotiation().sasl == nil {
			s.refuse(t, &saslProfile, saslMalformedRequest)
			return
		}
		s.saslMessage(t, el)
	case "abort":
		s.refuse(t, &saslProfile, saslAborted)
	default:
		s.refuse(t, &saslProfile, saslMalformedRequest)
	}
}

// saslMessage decodes the client's message and passes it on.
func (s *Session) saslMessage(t *Turn, el parser.Element) {
	message, err := decodeSASL(el.AppendText(nil))
	if err != nil {
		s.refuseMessage(t, &saslProfile, err)
		return
	}
	if message == nil && string(el.Local()) == "response" {
		message = []byte{}
	}
	s.continueAuth(t, message)
}

// refuseMessage refuses a message that could not be decoded.
func (s *Session) refuseMessage(t *Turn, p *authProfile, err error) {
	var cond saslError
	if !errors.As(err, &cond) {
		cond = saslIncorrectEncoding
	}
	s.refuse(t, p, cond)
}

// decodeSASL decodes a message. Empty text is no message; "=" is an empty message (RFC 6120
// section 6.4.2).
func decodeSASL(text []byte) ([]byte, error) {
	switch string(text) {
	case "":
		return nil, nil
	case "=":
		return []byte{}, nil
	}
	return decodeBase64(text)
}

// decodeBase64 decodes a message, which may be empty but is not nil.
func decodeBase64(text []byte) ([]byte, error) {
	if base64.StdEncoding.DecodedLen(len(text)) > maxSASLMessage {
		return nil, saslMalformedRequest
	}
	// [RFC 6120 section 6.4.2] and [RFC 4648 section 3.3]: no line feeds. The padding bits
	// must be zero.
	//
	// [RFC 6120 section 6.4.2]: https://www.rfc-editor.org/rfc/rfc6120#section-6.4.2
	//
	// [RFC 4648 section 3.3]: https://www.rfc-editor.org/rfc/rfc4648#section-3.3
	for _, c := range text {
		if c == '\r' || c == '\n' {
			return nil, saslIncorrectEncoding
		}
	}
	out := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Strict().Decode(out, text)
	return out[:n], err
}

func (s *Session) sendSASL(t *Turn, name string, data []byte) {
	b := append(t.GetBuf(), '<')
	b = append(b, name...)
	b = append(b, " xmlns='"+nsSASL+"'>"...)
	b = base64.StdEncoding.AppendEncode(b, data)
	b = append(b, "</"...)
	b = append(b, name...)
	b = append(b, '>')
	s.SendBytes(t, b)
	t.PutBuf(b)
}

// saslSuccess ends the exchange. [RFC 6120 section 6.4.6]: the client sends a new stream
// header, and knowledge from the old one is discarded.
//
// [RFC 6120 section 6.4.6]: https://www.rfc-editor.org/rfc/rfc6120#section-6.4.6
func (s *Session) saslSuccess(t *Turn, o outcome) {
	if len(o.data) > 0 {
		s.sendSASL(t, "success", o.data)
	} else {
		s.SendBytes(t, []byte("<success xmlns='"+nsSASL+"'/>"))
	}
	s.become(o)
	s.unset(flagOpen)
	s.parser.Reset()
	s.parser.Restrict() // until the client has bound a resource
}

func (s *Session) sendSASLFailure(t *Turn, cond saslError) {
	s.parser.RefuseSpace(false)
	b := append(t.GetBuf(), "<failure xmlns='"+nsSASL+"'><"...)
	b = append(b, cond...)
	b = append(b, "/>"...)
	if n := s.negotiation(); n.text != "" {
		b = append(b, "<text xml:lang='en'>"...)
		b = parser.AppendEscaped(b, n.text)
		b = append(b, "</text>"...)
		n.text = ""
	}
	b = append(b, "</failure>"...)
	s.SendBytes(t, b)
	t.PutBuf(b)
}
