package session

import "roost/stanza"

// element handles one first-level element. rest is what follows it in the same read.
func (s *Session) element(t *Turn, rest []byte) {
	d := t.scratch.Tape()
	root := d.Root()
	if s.has(flagTapped) {
		s.tapReceived(d)
	}
	st := &t.stanza
	err := stanza.Read(d, st)
	reply, bad := err.(*stanza.ErrorReply) // errors.As would allocate
	if err == nil || bad {
		countReceived.Add(t, int(st.Kind), 1)
	}
	replaceable := err == nil && s.has(flagAvailable) && s.replaceable(st)
	if t.held != nil {
		if replaceable {
			s.replaceHeld(t)
		} else {
			s.settle(t)
		}
	}
	switch {
	case s.has(flagBusy):
		s.handleTaken(t, t.scratch.Take())
	case replaceable && presenceNext(rest):
		t.held = t.scratch.Take()
	case !s.has(flagAuthed) && s.interrupts(root):
		s.end(t, ErrNotAuthorized.WithText("The authentication is not finished."))
	case err == stanza.ErrUnsupported:
		s.negotiate(t, root, rest)
	case !s.has(flagAuthed) && len(st.ID) > maxUnauthID:
		// The reply would have to repeat the id. [RFC 6120 section 4.9.3.14]: "a stanza
		// exceeds a configured size limit".
		//
		// [RFC 6120 section 4.9.3.14]:
		// https://www.rfc-editor.org/rfc/rfc6120#section-4.9.3.14
		s.end(t, ErrPolicyViolation.WithText("The id of the stanza is too long."))
	case !s.has(flagAuthed):
		s.beforeAuth(t, st, reply)
	case bad:
		s.countHandled()
		s.reply(t, st, reply)
	case !s.has(flagBound):
		s.beforeBinding(t, st)
	default:
		s.countHandled()
		s.route(t, st)
	}
	t.stanza = stanza.Stanza{}
}

// maxUnauthID is the maximum length of a stanza's id before authentication, in bytes.
const maxUnauthID = 1 << 10

// route handles a stanza of a client that has bound a resource.
func (s *Session) route(t *Turn, st *stanza.Stanza) {
	if st.Kind == stanza.IQ && st.Type == stanza.Set && s.featureSet(t, st) {
		return
	}
	s.handOver(t, st)
}

// handOver passes a stanza to the router, on a worker if it has to wait.
func (s *Session) handOver(t *Turn, st *stanza.Stanza) {
	stage, need := s.ask(t, st, 0)
	switch {
	case need == Done:
	case s.has(flagBound):
		s.offloadStanza(t, st, t.scratch.Take(), stage, need)
	default:
		if d := t.scratch.TakeCompact(); s.hold(t, d.Held()) {
			s.offloadStanza(t, st, d, stage, need)
		}
	}
}

// ask calls the router: see Router.Stanza.
func (s *Session) ask(t *Turn, st *stanza.Stanza, stage int) (int, Work) {
	r := s.mgr.config().Router
	if s.has(flagBound) {
		return r.Stanza(t, s, st, stage)
	}
	known, need := r.PreBindIQ(t, s, st)
	if !known {
		// [RFC 6120 section 8.2.3]: an entity that receives an iq request "MUST reply".
		//
		// [RFC 6120 section 8.2.3]: https://www.rfc-editor.org/rfc/rfc6120#section-8.2.3
		s.reply(t, st, stanza.ServiceUnavailable)
	}
	return 0, need
}

// addressed reports whether a stanza is addressed to the server or to the client's own
// account.
func (s *Session) addressed(st *stanza.Stanza) bool {
	return !st.HasTo || st.To.String() == s.Host() || st.To.String() == s.BareJID()
}

// beforeAuth handles a stanza of a client that has not authenticated. Only in-band
// registration is allowed. bad is the stanza's error, nil if it is valid.
func (s *Session) beforeAuth(t *Turn, st *stanza.Stanza, bad *stanza.ErrorReply) {
	switch {
	case st.Kind != stanza.IQ || !st.CanError() || !s.mayAuthenticate() || !s.mgr.config().Router.PreAuthIQ(st.Payload()):
		// [RFC 6120 section 4.9.3.12]: "The entity has attempted to send XML stanzas or
		// other outbound data before the stream has been authenticated".
		//
		// [RFC 6120 section 4.9.3.12]:
		// https://www.rfc-editor.org/rfc/rfc6120#section-4.9.3.12
		s.end(t, ErrNotAuthorized)
	case bad == stanza.JIDMalformed || !s.addressed(st):
		// It is addressed to someone else, which is not allowed either. A stanza error
		// would echo the address.
		s.end(t, ErrNotAuthorized)
	case bad != nil:
		// The client may send such requests, so an invalid one does not end the stream (RFC
		// 6120 section 8.3).
		s.reply(t, st, bad)
	default:
		s.handOver(t, st)
	}
}

// beforeBinding handles a stanza of a client that has not bound a resource. [RFC 6120
// section 7.1]: a stanza "to an entity other than the server itself or the client's
// account" is not processed; it ends the stream. A request to one of these that cannot be
// handled yet gets a stanza error.
//
// [RFC 6120 section 7.1]: https://www.rfc-editor.org/rfc/rfc6120#section-7.1
func (s *Session) beforeBinding(t *Turn, st *stanza.Stanza) {
	if st.Kind != stanza.IQ || !s.addressed(st) || !st.Type.IsRequest() {
		s.end(t, ErrNotAuthorized)
		return
	}
	if st.Type == stanza.Set && s.featureSet(t, st) {
		return
	}
	s.handOver(t, st)
}

// result replies to an iq with an empty result.
func (s *Session) result(t *Turn, st *stanza.Stanza) {
	b := stanza.AppendResult(t.GetBuf(), st, s.FullJID())
	s.SendBytes(t, b)
	t.PutBuf(b)
}
