package session

import (
	"bytes"

	"roost/parser"
	"roost/stanza"
)

// Of successive broadcasts of presence in one read only the last goes to others:
// each replaces the one before (RFC 6121 section 4.4), and a client that sends
// thousands at once would have each delivered to all of its contacts. It gets all
// of them back, as section 4.4.2 says, in the place of the answer that tells it
// that they were taken. Whatever comes between two of them keeps its place.

// replaceable reports whether a stanza is an update of presence that the next one
// makes void: not the initial one, which brings the presence of others, and not
// directed presence.
func (s *Session) replaceable(st *stanza.Stanza) bool {
	if st.Kind != stanza.Presence || st.Type != stanza.Available || st.HasTo || !s.Available() || !s.Bound() {
		return false
	}
	_, ok := st.Priority()
	return ok
}

// presenceNext reports whether what follows in a read may be presence.
func presenceNext(p []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(p, " \t\r\n"), []byte("<presence"))
}

// replaceHeld drops the presence that is held, for a later one.
func (s *Session) replaceHeld(t *Turn) {
	d := t.held
	t.held = nil
	defer d.Release()
	var st stanza.Stanza
	_ = stanza.Read(d, &st) // it was read before
	b := stanza.AppendForward(t.GetBuf(), &st, stanza.Edit{From: s.FullJID(), To: s.BareJID()})
	s.SendBytes(t, b)
	t.PutBuf(b)
}

// settle routes the presence that is held, before what follows it.
func (s *Session) settle(t *Turn) {
	if d := t.held; d != nil {
		t.held = nil
		s.handleTaken(t, d)
	}
}

// handleTaken handles an element of a bound session that was put off, as soon as
// what came before it is done.
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
		s.reply(t, &st, reply)
	case st.Kind == stanza.IQ && st.Type == stanza.Set && s.featureSet(t, &st):
	default:
		if stage, need := s.ask(t, &st, 0); need != Done {
			s.offloadStanza(t, &st, d, stage, need)
			return
		}
	}
	d.Release()
}
