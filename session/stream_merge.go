package session

import (
	"bytes"

	"roost/parser"
	"roost/stanza"
)

// If one read contains several presence broadcasts in a row, only the last is delivered to
// others: each replaces the one before ([RFC 6121 section 4.4]), and a client that sends
// thousands at once would have each delivered to all its contacts. The client itself gets
// all of them back, as section 4.4.2 requires, which tells it that they were accepted.
// Other stanzas between two broadcasts keep their place.
//
// [RFC 6121 section 4.4]: https://www.rfc-editor.org/rfc/rfc6121#section-4.4

// replaceable reports whether a stanza is a presence update that a following one makes
// obsolete: not initial presence, which requests the contacts' presence, and not directed
// presence.
func (s *Session) replaceable(st *stanza.Stanza) bool {
	if st.Kind != stanza.Presence || st.Type != stanza.Available || st.HasTo || !s.Available() || !s.Bound() {
		return false
	}
	_, ok := st.Priority()
	return ok
}

// presenceNext reports whether the next element in a read may be presence.
func presenceNext(p []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(p, " \t\r\n"), []byte("<presence"))
}

// replaceHeld drops the held presence in favor of a later one.
func (s *Session) replaceHeld(t *Turn) {
	d := t.held
	t.held = nil
	defer d.Release()
	s.countHandled()
	var st stanza.Stanza
	_ = stanza.Read(d, &st) // it was parsed without an error before
	b := stanza.AppendForward(t.GetBuf(), &st, stanza.Edit{From: s.FullJID(), To: s.BareJID()})
	s.SendBytes(t, b)
	t.PutBuf(b)
}

// settle routes the held presence, before what follows it.
func (s *Session) settle(t *Turn) {
	if d := t.held; d != nil {
		t.held = nil
		s.handleTaken(t, d)
	}
}

// handleTaken handles an element of a bound session that was postponed, after everything
// before it.
func (s *Session) handleTaken(t *Turn, d *parser.Tape) {
	if s.has(flagBusy) {
		s.runOrDefer(t, func(t *Turn) { s.handleTaken(t, d) })
		return
	}
	var st stanza.Stanza
	err := stanza.Read(d, &st)
	reply, bad := err.(*stanza.ErrorReply)
	switch {
	case s.has(flagClosing):
	case err == stanza.ErrUnsupported:
		s.negotiate(t, d.Root(), nil)
	case bad:
		s.countHandled()
		s.reply(t, &st, reply)
	case st.Kind == stanza.IQ && st.Type == stanza.Set && s.featureSet(t, &st):
		s.countHandled()
	default:
		s.countHandled()
		if stage, need := s.ask(t, &st, 0); need != Done {
			s.offloadStanza(t, &st, d, stage, need)
			return
		}
	}
	d.Release()
}
