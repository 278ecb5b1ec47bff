package session

import (
	"crypto/rand"
	"encoding/base64"

	"roost/jid"
	"roost/stanza"
)

// Bind puts an authenticated session in the tables under this resource, which must be
// normalized, or under a generated one if it is empty. policy decides about another session
// that has the resource. If that session is to be replaced and has stanzas to hand on, Bind
// ends it and returns a succession, which waits until it has left: s is not bound, and the
// caller has to try again then. In the last attempt Bind does not wait. Bind must be called on
// a worker for writes unless Router.CaughtUp returns true.
func (m *Manager) Bind(t *Turn, s *Session, resource string, policy ConflictPolicy, last bool) (*succession, *stanza.ErrorReply) {
	generated := resource == ""
	if generated {
		resource = newResource()
	}
	full, err := s.JID().WithResource(resource)
	if err != nil {
		return nil, stanza.BadRequest.WithText("The resource is not a valid resourcepart.")
	}
	if err := m.config().Router.CatchUp(t, s.Event()); err != nil {
		m.logFault("cannot read account events; binding refused", s.BareJID(), err)
		return nil, stanza.InternalServerError
	}
	first, reply := m.enter(t, s, full, policy, last)
	if reply == stanza.Conflict && policy == RenameNew {
		full, _ = s.JID().WithResource(newResource())
		first, reply = m.enter(t, s, full, policy, last)
	}
	return first, reply
}

// enter puts s in the tables as full, and has the router prepare for it. After an error,
// other than that the account no longer exists, nothing has changed.
func (m *Manager) enter(t *Turn, s *Session, full jid.JID, policy ConflictPolicy, last bool) (*succession, *stanza.ErrorReply) {
	before := s.jid
	old, first, reply := m.link(s, full, policy, last)
	if reply != nil {
		return nil, reply
	}
	if first != nil {
		old.Close(ErrConflict)
		return first, nil
	}
	if old != nil {
		m.announce(t, old)
		old.Close(ErrConflict)
	}
	negotiation := s.cold.Swap(nil) // it is over
	t.Flush()                       // the announcement of the old session's end must not wait for the store
	switch reply = m.config().Router.OnBind(t, s, policy); reply {
	case nil:
		s.admit()
		m.unbound.Delete(s) // not before: those who end an account's streams look there first
	case stanza.NotAuthorized:
		// The account was removed after the login.
		m.unbound.Delete(s)
		m.Destroy(t, s) // before the stream ends, so that the reply is sent
		s.Close(ErrNotAuthorized.WithText("The account was removed."))
	default:
		m.unlink(s)
		s.jid = before
		s.unset(flagBound | flagBinding)
		s.cold.Store(negotiation)
	}
	return nil, reply
}

// link puts s in the table as full and removes the session that it replaces, in one step. If
// that session has stanzas to hand on, and last is false, link does neither and returns a
// succession that waits until it has left.
func (m *Manager) link(s *Session, full jid.JID, policy ConflictPolicy, last bool) (old *Session, first *succession, reply *stanza.ErrorReply) {
	before := s.jid
	s.jid = full.Compact()
	m.table.update(s.BareJID(), func(head *Session) *Session {
		n := 0
		var waiting *Session // its client is not connected
		for x := head.from(s.BareJID()); x != nil; x = x.Next() {
			n++
			if x.Resource() == s.Resource() {
				old = x
			} else if x.Detached() {
				waiting = x
			}
		}
		if old == nil && n >= m.config().MaxResources {
			old = waiting // a client that cannot resume its session must not be locked out by it
		}
		switch {
		case old != nil && policy != KickOld && !old.Detached():
			old, reply = nil, stanza.Conflict
			return head
		case old == nil && n >= m.config().MaxResources:
			reply = stanza.ResourceConstraint.WithText("Too many clients of this account are connected.")
			return head
		case old != nil && !old.yields() && !last:
			first = m.successions.expect(old)
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
	if reply != nil || first != nil {
		s.jid = before
	}
	return old, first, reply
}

// newResource generates a resource that nobody can guess ([RFC 6120 section 7.6]).
//
// [RFC 6120 section 7.6]: https://www.rfc-editor.org/rfc/rfc6120#section-7.6
func newResource() string {
	var b [12]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}
