package session

import (
	"time"

	"roost/jid"
	"roost/parser"
	"roost/stanza"
)

// maxBindTries is the number of bind attempts per stream. [RFC 6120 section 7.7.1]
// recommends to allow at least 5 and no more than 10.
//
// [RFC 6120 section 7.7.1]: https://www.rfc-editor.org/rfc/rfc6120#section-7.7.1
const maxBindTries = 5

// bindFeature is resource binding (RFC 6120 section 7).
var bindFeature = Feature{
	Offer: func(s *Session, b []byte) []byte {
		if s.has(flagBound) {
			return b
		}
		return append(b, "<bind xmlns='"+nsBind+"'/>"...)
	},
	Space: nsBind,
	Set: func(t *Turn, s *Session, st *stanza.Stanza) bool {
		switch {
		case !st.Payload().Is(nsBind, "bind") || !s.addressed(st):
			return false
		case s.has(flagBound):
			// RFC 6120 section 7.6.2.2.
			s.reply(t, st, stanza.NotAllowed.WithText("A resource is already bound."))
		default:
			s.bindRequest(t, st)
		}
		return true
	},
}

// sessionFeature is session establishment of RFC 3921, which no longer does anything ([RFC
// 6121 section 1.4]).
//
// [RFC 6121 section 1.4]: https://www.rfc-editor.org/rfc/rfc6121#section-1.4
var sessionFeature = Feature{
	Offer: func(s *Session, b []byte) []byte {
		if s.has(flagBound) {
			return b
		}
		return append(b, "<session xmlns='"+nsSession+"'><optional/></session>"...)
	},
	Space: nsSession,
	Set: func(t *Turn, s *Session, st *stanza.Stanza) bool {
		if !st.Payload().Is(nsSession, "session") || !s.addressed(st) {
			return false
		}
		s.result(t, st)
		return true
	},
}

// bindRequest handles the iq that binds a resource (RFC 6120 section 7).
func (s *Session) bindRequest(t *Turn, st *stanza.Stanza) {
	if s.negotiation().bindTries++; s.negotiation().bindTries > maxBindTries {
		s.end(t, ErrPolicyViolation.WithText("Too many attempts to bind a resource."))
		return
	}
	resource := ""
	if el := st.Payload().Child(nsBind, "resource"); el.OK() {
		text := string(el.AppendText(nil))
		normal, err := jid.NormalizeResource(text)
		if err != nil && text != "" {
			s.reply(t, st, stanza.BadRequest.WithText("The resource is not a valid resourcepart."))
			return
		}
		resource = normal
	}
	d := t.scratch.TakeCompact()
	if !s.hold(t, d.Held()) {
		return
	}
	s.offload(s.bindNeeds(), func(t *Turn) {
		s.bind(t, resource, s.mgr.config().Conflict, func(t *Turn, e *stanza.ErrorReply) {
			defer d.Release()
			var st stanza.Stanza
			_ = stanza.Read(d, &st) // it was parsed without an error before
			if e != nil {
				s.reply(t, &st, e)
				s.updateHeld()
				return
			}
			b := stanza.AppendResultStart(t.GetBuf(), &st, "")
			b = append(b, "<bind xmlns='"+nsBind+"'><jid>"...)
			b = parser.AppendEscaped(b, s.FullJID())
			b = append(b, "</jid></bind></iq>"...)
			s.SendBytes(t, b)
			t.PutBuf(b)
			s.unset(flagBinding)
		})
	})
}

// bindNeeds returns the kind of worker that bind needs.
func (s *Session) bindNeeds() Work {
	if !s.mgr.config().Router.CaughtUp(s.Event()) {
		return Write // CatchUp changes rosters or waits for such a change
	}
	return Read
}

// bind binds a resource and counts the login. Then it calls done with the result, on this
// worker, or later on another one: if a session that it replaces has to leave first, and s has
// not ended by then. done tells the client, and then clears flagBinding.
func (s *Session) bind(t *Turn, resource string, policy ConflictPolicy, done func(*Turn, *stanza.ErrorReply)) {
	began := s.negotiation().began // Bind drops it
	first, e := s.mgr.Bind(t, s, resource, policy, false)
	if first == nil {
		s.finishBinding(t, e, began, done)
		return
	}
	s.waitFor(first, func(t *Turn) {
		_, e := s.mgr.Bind(t, s, resource, policy, true)
		s.finishBinding(t, e, began, done)
	})
}

// waitFor runs f on a worker, as bind needs, when an earlier session has left, or after a while.
// No input of s is handled until then. The caller is a worker that has s.
func (s *Session) waitFor(first *succession, f func(*Turn)) {
	s.runOnLoop(func(*Turn) {
		if s.abandoned() {
			return
		}
		s.set(flagBusy)
		s.Conn().Pause()
		first.after(successionLimit, func() {
			run := func(t *Turn) Work {
				f(t)
				return Done
			}
			if !s.submit(s.bindNeeds(), run) { // the server is stopping and will end the session
				s.Conn().Post(s.returnToLoop)
			}
		})
	})
}

// finishBinding is the end of bind.
func (s *Session) finishBinding(t *Turn, e *stanza.ErrorReply, began time.Duration, done func(*Turn, *stanza.ErrorReply)) {
	if e != nil {
		done(t, e)
		return
	}
	s.mgr.logins.Add(1)
	s.mgr.loginTime.Observe(int64(time.Since(s.mgr.started) - began))
	s.publishLogin()
	if s.mgr.debug() {
		s.mgr.config().Logger.Debug("session bound", "jid", s.FullJID(), "peer", s.Conn().RemoteAddr())
	}
	done(t, nil)
}

// reply replies to a stanza with a stanza error, unless its type forbids that.
func (s *Session) reply(t *Turn, st *stanza.Stanza, e *stanza.ErrorReply) {
	if !st.CanError() {
		return
	}
	t.CountError(e)
	b := stanza.AppendError(t.GetBuf(), st, s.FullJID(), e)
	s.SendBytes(t, b)
	t.PutBuf(b)
}
