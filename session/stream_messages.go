package session

import (
	"bytes"

	"roost/parser"
	"roost/stanza"
)

// This file handles what is different in the input of a connection with messages (RFC 7395):
// the elements that replace the tags of the stream, and the ends of messages.

// streamTag handles an element that replaces a tag of the stream, and returns false for
// other elements. [RFC 7395 section 3.4]: "The first message sent after the WebSocket opening
// handshake MUST be from the initiating entity and MUST be an <open/> element"; after a
// restart the same applies (section 3.7).
//
// [RFC 7395 section 3.4]: https://www.rfc-editor.org/rfc/rfc7395#section-3.4
func (s *Session) streamTag(t *Turn, el parser.Element) bool {
	switch {
	case s.NotOpen():
		s.openStream(t, el)
		return true
	case string(el.Local()) != "close" && string(el.Local()) != "open":
		return false
	case string(el.Space()) != nsFraming:
		// [RFC 7395 section 3.3.2]: an <open/> or <close/> of another namespace ends the
		// stream "with an error, which MUST be <invalid-namespace>".
		//
		// [RFC 7395 section 3.3.2]: https://www.rfc-editor.org/rfc/rfc7395#section-3.3.2
		s.endAfterHeld(t, ErrInvalidNamespace)
		return true
	case string(el.Local()) == "close":
		s.closedByClient(t)
		return true
	}
	return false // an <open/> in an open stream is an unknown element
}

// tooMuch makes the session's input wait, and returns true, if the session has already had
// input in this turn and the budget is used up. Each message is a call of Message, and each
// record of TLS one of Data. These do not know whether more follow, so the call that does has
// to wait. Loop.
func (s *Session) tooMuch(t *Turn) bool {
	if t.reader == s && t.Spent() && !s.has(flagBusy|flagClosing) {
		s.yield(t)
		return true
	}
	t.reader = s
	t.cost += costPart
	return false
}

// closedByClient ends the stream after the client has closed its side.
func (s *Session) closedByClient(t *Turn) {
	if s.has(flagTapped) {
		s.tapClosed()
	}
	s.endAfterHeld(t, nil)
}

// endMessage ends a message whose last part has no bytes.
func (s *Session) endMessage(t *Turn) {
	if s.has(flagClosing) {
		return
	}
	if err := s.parser.EndDocument(t.scratch); err != nil {
		s.endAfterHeld(t, parserError(err))
	}
}

// DeclareNamespace returns what has to be inserted into a unit of the stream, and where, so
// that it can be sent as a message: stanzas are written without a declaration of their
// namespace, which they inherit from the stream header where there is one. It returns "" if
// there is nothing to insert.
func DeclareNamespace(unit []byte) (at int, declaration string) {
	if !isStanza(unit) {
		return 0, ""
	}
	at = nameEnd(unit)
	if declaresDefault(unit[at:]) {
		return 0, ""
	}
	return at, " xmlns='" + stanza.NSClient + "'"
}

// nameEnd returns the offset of the end of a start tag's name.
func nameEnd(tag []byte) int {
	n := 1
	for n < len(tag) && 'a' <= tag[n] && tag[n] <= 'z' {
		n++
	}
	return n
}

// declaresDefault reports whether the attributes at the beginning of p, which follow the
// name of a start tag, declare the default namespace.
func declaresDefault(p []byte) bool {
	for {
		p = bytes.TrimLeft(p, " \t\r\n")
		if len(p) == 0 || p[0] == '>' || p[0] == '/' {
			return false
		}
		name, value, _ := bytes.Cut(p, []byte("="))
		if string(bytes.TrimSpace(name)) == "xmlns" {
			return true
		}
		value = bytes.TrimLeft(value, " \t\r\n")
		if len(value) == 0 {
			return false
		}
		end := bytes.IndexByte(value[1:], value[0]) // the other quote
		p = value[1+end+1:]
	}
}
