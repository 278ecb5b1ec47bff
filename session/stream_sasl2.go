package session

import (
	"bytes"
	"encoding/base64"

	"roost/parser"
)

const nsSASL2 = "urn:xmpp:sasl:2"

// sasl2Feature is authentication as defined by the Extensible SASL Profile ([XEP-0388]):
// the stream continues without a new header, and the client may request a resource and
// other features together with its authentication.
//
// [XEP-0388]: https://xmpp.org/extensions/xep-0388.html
var sasl2Feature = Feature{
	When:  (*Session).MayLogIn,
	Offer: (*Session).appendAuthentication,
	Space: nsSASL2,
	Element: func(t *Turn, s *Session, el parser.Element, _ []byte) bool {
		s.sasl2Element(t, el)
		return true
	},
}

// sasl2Profile writes an authentication as defined by XEP-0388.
var sasl2Profile = authProfile{
	challenge: (*Session).sendSASL2Challenge,
	success:   (*Session).sasl2Success,
	failure:   (*Session).sendSASL2Failure,
}

// appendAuthentication appends the mechanisms, as in the profile of RFC 6120, and what may
// be requested together with the authentication.
func (s *Session) appendAuthentication(b []byte) []byte {
	b = append(b, "<authentication xmlns='"+nsSASL2+"'>"...)
	b = s.appendMechanismList(b, false)
	b = append(b, "<inline>"...)
	b = s.appendInline(b)
	b = append(b, "</inline>"...)
	b = s.appendUpgrades(b)
	return append(b, "</authentication>"...)
}

// sasl2Element handles an element of the namespace.
func (s *Session) sasl2Element(t *Turn, el parser.Element) {
	n := s.negotiation()
	exchange := n.sasl != nil && n.profile == &sasl2Profile
	if exchange && n.upgrade != nil && s.upgradeElement(t, el) {
		return
	}
	switch string(el.Local()) {
	case "authenticate":
		if exchange {
			// [XEP-0388, During Authentication]: clients "MUST send only <response/>
			// elements as appropriate or an <abort/> element".
			//
			// [XEP-0388, During Authentication]: https://xmpp.org/extensions/xep-0388.html#overview
			s.end(t, ErrNotAuthorized.WithText("The authentication is not finished."))
			return
		}
		s.authenticate(t, el)
	case "response":
		if !exchange || n.upgrade != nil {
			s.refuse(t, &sasl2Profile, saslMalformedRequest)
			return
		}
		s.sasl2Message(t, el)
	case "abort":
		s.refuse(t, &sasl2Profile, saslAborted)
	default:
		s.refuse(t, &sasl2Profile, saslMalformedRequest)
	}
}

// interrupts reports whether an element must not arrive during the exchange in progress:
// "Servers MUST disconnect Clients immediately if any other traffic is received"
// ([XEP-0388, During Authentication]).
//
// [XEP-0388, During Authentication]: https://xmpp.org/extensions/xep-0388.html#overview
func (s *Session) interrupts(el parser.Element) bool {
	n := s.negotiation()
	return n.sasl != nil && n.profile == &sasl2Profile && string(el.Space()) != nsSASL2
}

// authenticate begins an exchange.
func (s *Session) authenticate(t *Turn, el parser.Element) {
	n := s.negotiation()
	if !s.discardExchange(t) { // one of the profile of RFC 6120
		return
	}
	login, ok := s.readLogin(t, el)
	if !ok {
		s.refuse(t, &sasl2Profile, saslMalformedRequest)
		return
	}
	if !s.beginAuth(&sasl2Profile, string(el.Attr("mechanism")), login.fast != nil && login.fast.uses && login.agent != "") {
		s.refuse(t, &sasl2Profile, saslInvalidMechanism)
		return
	}
	n.login = login
	if !s.hold(t, 0) {
		return
	}
	s.parser.RefuseSpace(true)
	first := el.Child(nsSASL2, "initial-response")
	if !first.OK() {
		s.continueAuth(t, nil)
		return
	}
	s.sasl2Message(t, first)
}

// sasl2Message decodes the client's message, which may be empty, and passes it on. White
// space around it is ignored: the examples of XEP-0388 have some.
func (s *Session) sasl2Message(t *Turn, el parser.Element) {
	message, err := decodeBase64(bytes.TrimSpace(el.AppendText(nil)))
	if err != nil {
		s.refuseMessage(t, &sasl2Profile, err)
		return
	}
	s.continueAuth(t, message)
}

func (s *Session) sendSASL2Challenge(t *Turn, data []byte) {
	b := append(t.GetBuf(), "<challenge xmlns='"+nsSASL2+"'>"...)
	b = base64.StdEncoding.AppendEncode(b, data)
	b = append(b, "</challenge>"...)
	s.SendBytes(t, b)
	t.PutBuf(b)
}

func (s *Session) sendSASL2Failure(t *Turn, cond saslError) {
	s.parser.RefuseSpace(false)
	b := append(t.GetBuf(), "<failure xmlns='"+nsSASL2+"'><"...)
	b = append(b, cond...)
	b = append(b, " xmlns='"+nsSASL+"'/>"...)
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

// sasl2Success is called when the client has authenticated. It may have tasks to do before
// the exchange ends.
func (s *Session) sasl2Success(t *Turn, o outcome) {
	if !s.beginUpgrade(t, o) {
		s.sasl2Done(t, o)
	}
}

// sasl2Done ends the exchange and does what the client has requested with it.
func (s *Session) sasl2Done(t *Turn, o outcome) {
	s.parser.RefuseSpace(false)
	l := s.negotiation().login
	if l == nil { // the stream has ended during the exchange
		l = new(loginRequest)
	}
	l.keys, l.data = o.keys, o.data
	l.change = s.tokenChange(l)
	s.become(o)
	s.negotiation().login = l // it is held until <success/> is sent
	s.finishLogin(t, l)
}
