package session

import "roost/internal/events"

// Events returns the bus on which sessions publish logins, failed ones, and ends. Others
// may use it, too.
func (m *Manager) Events() *events.Bus { return &m.events }

// publishLogin publishes that the session was bound.
func (s *Session) publishLogin() {
	s.mgr.events.Publish(events.Login, func() events.Event {
		return events.Event{JID: s.FullJID(), Peer: s.Conn().RemoteAddr()}
	})
}

// publishFailure publishes an attempt to authenticate that has failed. The name that the
// client has sent may be a password in the wrong place: it is published only if there is
// such an account.
func (s *Session) publishFailure(m *mechanism, result int) {
	s.mgr.events.Publish(events.LoginFailed, func() events.Event {
		e := events.Event{Peer: s.Conn().RemoteAddr(), Reason: attemptName(result)}
		if m != nil {
			e.Mechanism = m.name
		}
		if x := s.negotiation().sasl; x != nil && x.found().exists {
			e.JID = x.found().who.String()
		}
		return e
	})
}

// publishEnd publishes the end of the session, unless it has never been one of an account:
// a port scanner or a load balancer's check is of no interest.
func (s *Session) publishEnd(reason string, err error) {
	if !s.has(flagAuthed) {
		return
	}
	s.mgr.events.Publish(events.End, func() events.Event {
		e := events.Event{JID: s.name(), Peer: s.Conn().RemoteAddr(), Reason: reason}
		if err != nil {
			e.Err = err.Error()
		}
		return e
	})
}

// publishDetached publishes that the session has lost its connection and waits for its
// client.
func (s *Session) publishDetached(err error) {
	s.mgr.events.Publish(events.Detached, func() events.Event {
		e := events.Event{JID: s.FullJID()}
		if err != nil {
			e.Err = err.Error()
		}
		return e
	})
}

// publishResumed publishes that the client has resumed the session.
func (s *Session) publishResumed() {
	s.mgr.events.Publish(events.Resumed, func() events.Event {
		return events.Event{JID: s.FullJID(), Peer: s.Conn().RemoteAddr()}
	})
}
