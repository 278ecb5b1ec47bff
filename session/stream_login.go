package session

import (
	"encoding/base64"
	"slices"

	"roost/parser"
	"roost/stanza"
)

// finishLogin does what the client has requested in <authenticate/>, and sends <success/>.
// A request to resume a session "MUST be processed first" ([XEP-0386, Performing the bind]);
// its result comes from the loop of that session, so the login has up to three steps: the
// client's tokens, the resumption, and everything else. Without that request there is one.
//
// [XEP-0386, Performing the bind]: https://xmpp.org/extensions/xep-0386.html#bind-request
func (s *Session) finishLogin(t *Turn, l *loginRequest) {
	if !s.rememberCount(l) {
		return
	}
	resume, feature := s.resumeRequest(l)
	need := Done
	if feature == nil {
		need = s.requestsNeed(l)
	}
	if l.change != nil {
		need = Write
	}
	s.runOn(t, need, func(t *Turn) {
		if !s.changeTokens(l) {
			return
		}
		if feature == nil {
			s.handleRequests(t, l)
			return
		}
		s.onLoop(t, func(t *Turn) { s.resumeInline(t, l, feature, resume) })
	})
}

// resumeRequest returns the first request to resume a session, and what handles it, which is
// nil if there is none.
func (s *Session) resumeRequest(l *loginRequest) (parser.Element, *Inline) {
	if l.doc != nil {
		for c := l.doc.Root().First(); c.OK(); c = c.Next() {
			if x := s.inline(c); x != nil && x.resumes(c) {
				return c, x
			}
		}
	}
	return parser.Element{}, nil
}

// resumeInline has a feature resume an earlier session. If that fails, the login continues.
func (s *Session) resumeInline(t *Turn, l *loginRequest, feature *Inline, request parser.Element) {
	success := func(dst []byte, full string, result []byte) []byte {
		return appendSuccess(dst, l.data, full, append(slices.Clip(l.results), result...))
	}
	failed := func(t *Turn, result []byte) {
		l.results = append(l.results, result...)
		s.runOn(t, s.requestsNeed(l), func(t *Turn) { s.handleRequests(t, l) })
	}
	feature.Resume(t, s, request, success, failed)
}

// requestsNeed returns the kind of worker that handleRequests needs.
func (s *Session) requestsNeed(l *loginRequest) Work {
	need := Done
	if l.doc == nil {
		return need
	}
	for c := l.doc.Root().First(); c.OK(); c = c.Next() {
		if c.Is(nsBind2, "bind") {
			need = max(need, s.bindNeeds())
		} else if x := s.inline(c); x != nil && x.Needs != nil && !x.resumes(c) {
			need = max(need, x.Needs(s, c))
		}
	}
	return need
}

// handleRequests handles all requests but those to resume a session, and sends <success/>,
// which "is immediately followed by a <features> element" ([XEP-0388, Success]). Binding
// comes last.
//
// [XEP-0388, Success]: https://xmpp.org/extensions/xep-0388.html#success
func (s *Session) handleRequests(t *Turn, l *loginRequest) {
	var bind parser.Element
	if l.doc != nil {
		for c := l.doc.Root().First(); c.OK(); c = c.Next() {
			if c.Is(nsBind2, "bind") {
				bind = c
			} else if x := s.inline(c); x != nil && x.Handle != nil && !x.resumes(c) {
				l.results = x.Handle(t, s, c, l.results)
			}
		}
	}
	if !bind.OK() {
		s.sendSuccess(t, l)
		return
	}
	s.bind2(t, l, bind, func(t *Turn, reply *stanza.ErrorReply) {
		if reply != stanza.NotAuthorized { // the account was removed, and the stream ends
			s.sendSuccess(t, l)
		}
	})
}

// sendSuccess sends <success/> and the features that follow it.
func (s *Session) sendSuccess(t *Turn, l *loginRequest) {
	b := appendSuccess(t.GetBuf(), l.data, s.JID().String(), l.results)
	s.SendBytes(t, b)
	t.PutBuf(b)
	if n := s.negotiation(); n != nil {
		n.login = nil
		s.updateHeld()
	}
	s.sendFeatures(t)
	s.unset(flagBinding) // from now on, others may send to it
}

// runOn runs f now if this turn may do this kind of work, or on a worker that may, unless
// the session has ended before. Only the goroutine that handles the session's input may call
// it.
func (s *Session) runOn(t *Turn, need Work, f func(*Turn)) {
	if need == Done || t.MayBlock() && (need == Read || t.MayWrite()) {
		f(t)
		return
	}
	s.mgr.Offload(t, s, need, func(t *Turn) {
		if !s.abandoned() {
			f(t)
		}
	})
}

// onLoop runs f on the session's loop: now, or after the worker that has the session, unless
// the session has ended before. Only the goroutine that handles the session's input may call
// it.
func (s *Session) onLoop(t *Turn, f func(*Turn)) {
	if !t.MayBlock() {
		f(t)
		return
	}
	s.runOnLoop(func(t *Turn) {
		if !s.abandoned() {
			f(t)
		}
	})
}

// appendSuccess appends <success/> for a client with this address. data is the mechanism's
// last message, and results are the elements that the client's requests have led to.
func appendSuccess(b, data []byte, address string, results []byte) []byte {
	b = append(b, "<success xmlns='"+nsSASL2+"'>"...)
	if len(data) > 0 {
		b = append(b, "<additional-data>"...)
		b = base64.StdEncoding.AppendEncode(b, data)
		b = append(b, "</additional-data>"...)
	}
	b = append(b, "<authorization-identifier>"...)
	b = parser.AppendEscaped(b, address)
	b = append(b, "</authorization-identifier>"...)
	b = append(b, results...)
	return append(b, "</success>"...)
}
