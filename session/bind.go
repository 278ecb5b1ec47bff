package session

import (
	"crypto/rand"
	"encoding/base64"

	"roost/jid"
	"roost/parser"
	"roost/stanza"
)

// maxBindTries is how often a client may try to bind a resource: RFC 6120
// section 7.7.1 recommends to allow at least 5 and no more than 10.
const maxBindTries = 5

// Bind puts an authenticated session in the tables under this resource, which
// is normalized, or under one of the server's choice when it is empty. Another
// session with the same resource is treated by the conflict policy. Bind runs
// on a worker.
func (m *Manager) Bind(t *Turn, s *Session, resource string) *stanza.ErrorReply {
	generated := resource == ""
	if generated {
		resource = newResource()
	}
	full, err := s.JID().WithResource(resource)
	if err != nil {
		return stanza.BadRequest.WithText("The resource is not a valid resourcepart.")
	}
	if err := m.cfg.Router.CatchUp(t, s.Event()); err != nil {
		m.cfg.Logger.Error("account events could not be read", "jid", s.BareJID(), "err", err)
		return stanza.InternalServerError
	}
	old, reply := m.link(s, full)
	if reply == stanza.Conflict && m.cfg.Conflict == RenameNew {
		full, _ = s.JID().WithResource(newResource())
		old, reply = m.link(s, full)
	}
	if reply != nil {
		return reply
	}
	m.unbound.Delete(s)
	if old != nil {
		m.announce(t, old)
		old.Close(ErrConflict)
	}
	s.ext.Store(nil) // the negotiation is over
	t.Flush()        // what the old one's contacts are told does not wait for the store
	if !m.cfg.Router.OnBind(t, s) {
		// The account was deleted between the login and now.
		m.Destroy(t, s) // before its stream ends, so that the reply is sent
		s.Close(ErrNotAuthorized.WithText("The account was removed."))
		return stanza.NotAuthorized
	}
	return nil
}

// link puts s in the table as full and takes out the session it replaces, in
// one step.
func (m *Manager) link(s *Session, full jid.JID) (old *Session, reply *stanza.ErrorReply) {
	before := s.jid
	s.jid = full.Compact()
	m.table.update(s.BareJID(), func(head *Session) *Session {
		n := 0
		for x := head.from(s.BareJID()); x != nil; x = x.Next() {
			n++
			if x.Resource() == s.Resource() {
				old = x
			}
		}
		switch {
		case old != nil && m.cfg.Conflict != KickOld:
			old, reply = nil, stanza.Conflict
			return head
		case old == nil && n >= m.cfg.MaxResources:
			reply = stanza.ResourceConstraint.WithText("Too many clients of this account are connected.")
			return head
		}
		if old != nil {
			head, _ = unlink(head, old)
			m.bound.Add(-1)
		}
		s.next.Store(head)
		s.state.Or(flagBound | flagBinding)
		m.bound.Add(1)
		return s
	})
	if reply != nil {
		s.jid = before
	}
	return old, reply
}

// newResource makes a resource that nobody can guess (RFC 6120 section 7.6).
func newResource() string {
	var b [12]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// bindFeature is resource binding (RFC 6120 section 7).
var bindFeature = Feature{
	XML:   "<bind xmlns='" + nsBind + "'/>",
	Space: nsBind,
	Set: func(t *Turn, s *Session, st *stanza.Stanza) bool {
		switch {
		case !st.Payload().Is(nsBind, "bind") || !s.addressed(st):
			return false
		case s.has(flagBound):
			// RFC 6120 section 7.6.2.2.
			s.reply(t, st, stanza.NotAllowed.WithText("A resource is bound already."))
		default:
			s.bindRequest(t, st)
		}
		return true
	},
}

// sessionFeature is the session of RFC 3921, which does nothing any more (RFC 6121
// section 1.4).
var sessionFeature = Feature{
	XML:   "<session xmlns='" + nsSession + "'><optional/></session>",
	Space: nsSession,
	Set: func(t *Turn, s *Session, st *stanza.Stanza) bool {
		if !st.Payload().Is(nsSession, "session") || !s.addressed(st) {
			return false
		}
		s.result(t, st)
		return true
	},
}

// bindRequest answers the iq that binds a resource (RFC 6120 section 7).
func (s *Session) bindRequest(t *Turn, st *stanza.Stanza) {
	if s.neg().bindTries++; s.neg().bindTries > maxBindTries {
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
	d := t.scratch.Take()
	need := Read
	if !s.mgr.cfg.Router.CaughtUp(s.Event()) {
		need = Write // CatchUp changes rosters, or waits for that
	}
	s.block(need, func(t *Turn) {
		defer d.Release()
		var st stanza.Stanza
		_ = stanza.Read(d, &st) // it was read before
		if e := s.mgr.Bind(t, s, resource); e != nil {
			s.reply(t, &st, e)
			return
		}
		s.mgr.logins.Add(1)
		if s.mgr.debug() {
			s.mgr.cfg.Logger.Debug("session bound", "jid", s.FullJID(), "peer", s.conn.RemoteAddr())
		}
		b := stanza.AppendResultStart(t.GetBuf(), &st, "")
		b = append(b, "<bind xmlns='"+nsBind+"'><jid>"...)
		b = parser.AppendEscaped(b, s.FullJID())
		b = append(b, "</jid></bind></iq>"...)
		s.SendBytes(t, b)
		t.PutBuf(b)
		s.unset(flagBinding)
	})
}

// reply answers a stanza with an error.
func (s *Session) reply(t *Turn, st *stanza.Stanza, e *stanza.ErrorReply) {
	if !st.CanError() {
		return
	}
	b := stanza.AppendError(t.GetBuf(), st, s.FullJID(), e)
	s.SendBytes(t, b)
	t.PutBuf(b)
}
