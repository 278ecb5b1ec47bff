package session

import (
	"encoding/base64"
	"errors"

	"roost/parser"
)

// maxSASLTries is how many failed attempts a stream has: RFC 6120 section 6.4.5
// asks for at least 2 and recommends no more than 5.
const maxSASLTries = 5

// maxSASLMessage bounds one decoded SASL message, in bytes. The longest that
// has a meaning is PLAIN with three strings of 1,023 bytes.
const maxSASLMessage = 4096

// exchangeBytes is about what an exchange takes while a worker has it, besides the
// message.
const exchangeBytes = 1 << 10

// saslError is a condition of RFC 6120 section 6.5.
type saslError string

const (
	saslAborted            saslError = "aborted"
	saslAccountDisabled    saslError = "account-disabled"
	saslEncryptionRequired saslError = "encryption-required"
	saslIncorrectEncoding  saslError = "incorrect-encoding"
	saslInvalidAuthzid     saslError = "invalid-authzid"
	saslInvalidMechanism   saslError = "invalid-mechanism"
	saslMalformedRequest   saslError = "malformed-request"
	saslNotAuthorized      saslError = "not-authorized"
	saslTemporaryFailure   saslError = "temporary-auth-failure"
)

func (e saslError) Error() string { return "session: sasl: " + string(e) }

// exchange is one authentication under way.
type exchange interface {
	// step takes the client's message, nil where there was no initial response,
	// and answers with the server's. done says that the client is who it says
	// it is.
	step(message []byte) (answer []byte, done bool, err error)

	// blocks reports whether the next step must run on a worker, because it
	// asks the store or derives keys.
	blocks() bool

	// found is what is known of the account.
	found() *lookup
}

// mechanism is one SASL mechanism that can be offered.
type mechanism struct {
	name  string
	keys  bool // a step derives keys: it runs where that cannot starve the loops
	offer func(s *Session) bool
	start func(s *Session) exchange
}

// appendMechanisms appends the mechanisms offered on this stream, the strongest
// first, and the channel bindings they can use (XEP-0440).
func (s *Session) appendMechanisms(b []byte) []byte {
	b = append(b, "<mechanisms xmlns='"+nsSASL+"'>"...)
	for i := range s.mgr.mechs {
		if m := &s.mgr.mechs[i]; m.offer(s) {
			b = append(b, "<mechanism>"...)
			b = append(b, m.name...)
			b = append(b, "</mechanism>"...)
		}
	}
	b = append(b, "</mechanisms>"...)
	return s.neg().binding.appendXML(b)
}

// saslElement handles an element of the SASL namespace (RFC 6120 section 6.4).
func (s *Session) saslElement(t *Turn, el parser.Element) {
	switch string(el.Local()) {
	case "auth":
		// RFC 6120 section 6.4.2: a new <auth/> discards the exchange under way.
		s.neg().sasl = nil
		s.saslAuth(t, el)
	case "response":
		if s.neg().sasl == nil {
			s.saslFail(t, saslMalformedRequest)
			return
		}
		s.saslStep(t, el)
	case "abort":
		s.saslFail(t, saslAborted)
	default:
		s.saslFail(t, saslMalformedRequest)
	}
}

func (s *Session) saslAuth(t *Turn, el parser.Element) {
	name := string(el.Attr("mechanism"))
	for i := range s.mgr.mechs {
		m := &s.mgr.mechs[i]
		if m.name == name && m.offer(s) {
			// RFC 6120 section 6.3.5: no white space between the elements of
			// the exchange.
			s.parser.RefuseSpace(true)
			s.neg().mech, s.neg().sasl = m, m.start(s)
			s.saslStep(t, el)
			return
		}
	}
	s.saslFail(t, saslInvalidMechanism)
}

// saslStep decodes the client's message and gives it to the exchange, on a
// worker where that may take its time.
func (s *Session) saslStep(t *Turn, el parser.Element) {
	message, err := decodeSASL(el.AppendText(nil))
	if err != nil {
		var cond saslError
		if !errors.As(err, &cond) {
			cond = saslIncorrectEncoding
		}
		s.saslFail(t, cond)
		return
	}
	if message == nil && string(el.Local()) == "response" {
		message = []byte{}
	}
	n := s.neg()
	if !n.sasl.blocks() {
		s.saslAnswer(t, message)
		return
	}
	block := func(f func(*Turn)) { s.block(s.mgr.reads, f) }
	if n.mech.keys && message != nil {
		block = s.blockKeys
	}
	if s.hold(t, cap(message)+exchangeBytes) {
		block(func(t *Turn) {
			if !s.has(flagGone) { // it may have waited for long
				s.saslAnswer(t, message)
			}
			s.heldNow()
		})
	}
}

// saslAnswer takes one step of the exchange.
func (s *Session) saslAnswer(t *Turn, message []byte) {
	answer, done, err := s.neg().sasl.step(message)
	clear(message) // PLAIN's holds the password
	switch {
	case err != nil:
		s.loginFailed(t, err)
	case done:
		s.saslSuccess(t, answer)
	default:
		s.sendSASL(t, "challenge", answer)
	}
}

// decodeSASL decodes a message: nothing at all is no message, "=" is an empty
// one (RFC 6120 section 6.4.2).
func decodeSASL(text []byte) ([]byte, error) {
	switch {
	case len(text) == 0:
		return nil, nil
	case string(text) == "=":
		return []byte{}, nil
	case base64.StdEncoding.DecodedLen(len(text)) > maxSASLMessage:
		return nil, saslMalformedRequest
	}
	// RFC 6120 section 6.4.2 and RFC 4648 section 3.3: no line feeds, and the
	// padding bits are zero.
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
	b := append(t.Buf(), '<')
	b = append(b, name...)
	b = append(b, " xmlns='"+nsSASL+"'>"...)
	b = base64.StdEncoding.AppendEncode(b, data)
	b = append(b, "</"...)
	b = append(b, name...)
	b = append(b, '>')
	s.SendBytes(t, b)
	t.Keep(b)
}

// saslSuccess ends the exchange. RFC 6120 section 6.4.6: the client sends a new
// stream header, and what was known from the old one is dropped.
func (s *Session) saslSuccess(t *Turn, data []byte) {
	x := s.neg().sasl.found()
	account := x.who
	if s.neg().from != "" && s.neg().from != account.String() {
		// The client said on its header that it is somebody else.
		s.saslFail(t, saslInvalidAuthzid)
		return
	}
	if len(data) > 0 {
		s.sendSASL(t, "success", data)
	} else {
		s.SendBytes(t, []byte("<success xmlns='"+nsSASL+"'/>"))
	}
	s.mgr.throttle.succeeded(x.guess)
	s.neg().sasl, s.neg().mech = nil, nil
	s.jid = account.Keep()
	s.SetEvent(x.event)
	s.set(flagAuthed)
	s.unset(flagOpen)
	s.parser.Reset()
	s.conn.Authenticated()
}

// saslFail answers a failed attempt; too many end the stream with
// <policy-violation/> (RFC 6120 section 6.4.5).
func (s *Session) saslFail(t *Turn, cond saslError) {
	s.neg().sasl, s.neg().mech = nil, nil
	s.parser.RefuseSpace(false)
	b := append(t.Buf(), "<failure xmlns='"+nsSASL+"'><"...)
	b = append(b, cond...)
	b = append(b, "/></failure>"...)
	s.SendBytes(t, b)
	t.Keep(b)
	if s.neg().saslTries++; s.neg().saslTries >= maxSASLTries {
		s.end(t, ErrPolicyViolation.WithText("Too many failed attempts to authenticate."))
	}
}
