package session

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"syscall"
	"time"

	"roost/internal/peernet"
	"roost/jid"
	"roost/parser"
	"roost/store"
)

// Namespaces of stream negotiation.
const (
	nsTLS          = "urn:ietf:params:xml:ns:xmpp-tls"
	nsSASL         = "urn:ietf:params:xml:ns:xmpp-sasl"
	nsBind         = "urn:ietf:params:xml:ns:xmpp-bind"
	nsSession      = "urn:ietf:params:xml:ns:xmpp-session"
	nsStreamErrors = "urn:ietf:params:xml:ns:xmpp-streams"
	nsXML          = "http://www.w3.org/XML/1998/namespace"
)

// negotiation is the state that a session needs until it is bound.
type negotiation struct {
	binding   channelBindings
	network   peernet.Network
	began     time.Duration // when the connection was accepted, since Manager.started
	sasl      exchange      // nil outside an exchange
	mech      *mechanism
	login     *loginRequest // of a SASL2 exchange; otherwise nil
	profile   *authProfile  // of the last authentication attempt
	authTries int
	discarded int // exchanges that the client has not finished before it began another one
	bindTries int
	failure   saslError // of the last login attempt, until it is sent to the client
	text      string    // that is sent with failure
	delay     time.Duration
	timer     *time.Timer   // runs until the failure is sent to the client
	from      string        // bare JID of the last stream header's 'from', normalized
	held      int           // bytes last reported by Conn.Hold
	missing   store.HashSet // see missingKeys; the same until the next stream header
	upgrade   *upgrade      // the tasks of a SASL2 exchange whose client has authenticated; otherwise nil
}

// dropExchange forgets the exchange in progress.
func (n *negotiation) dropExchange() { n.sasl, n.mech, n.login, n.upgrade = nil, nil, nil, nil }

// Data handles bytes from the client. p is valid only until Data returns. It returns the
// number of bytes consumed, fewer than all when the session is busy.
func (s *Session) Data(loop int, p []byte) (n int) {
	if s.tooMuch(s.mgr.turns[loop]) {
		return 0
	}
	return s.input(loop, p, false)
}

// Message is Data for a connection with messages (Conn.Messages). p is all of a message or a
// part of it; last says that the message ends with p, which may be empty then.
func (s *Session) Message(loop int, p []byte, last bool) (n int) {
	if len(p) > 0 && s.tooMuch(s.mgr.turns[loop]) {
		return 0
	}
	return s.input(loop, p, last)
}

// input is Data and Message. On a stream there is no last part.
func (s *Session) input(loop int, p []byte, last bool) (n int) {
	t := s.mgr.turns[loop]
	defer s.guardData(t, &n, len(p))
	if last && len(p) == 0 {
		s.endMessage(t)
	}
	t.uncharged() // discard the cost of this turn's work for other sessions
	for n < len(p) && !s.has(flagClosing|flagBusy|flagBacklog|flagThrottled) {
		ev, used, err := s.parser.Next(t.scratch, p[n:])
		n += used
		t.cost += int64(used) >> costShift
		if err == nil && last && n == len(p) {
			err = s.parser.EndDocument(t.scratch) // before a worker has the session, which may reset the parser
		}
		if err != nil {
			s.endAfterHeld(t, parserError(err))
			break
		}
		if !s.mayHold(t) {
			break
		}
		switch ev {
		case parser.StreamOpen:
			s.openStream(t, t.scratch.Tape().Root())
		case parser.Stanza:
			if s.parser.InDocuments() && s.streamTag(t, t.scratch.Tape().Root()) {
				break
			}
			t.cost += costStanza
			t.charged += freeCost + int64(used)>>costShift
			s.element(t, p[n:])
			if s.has(flagTLS) {
				return len(p) // the next byte belongs to the handshake
			}
		case parser.StreamClose:
			s.closedByClient(t)
		}
		if s.has(flagDirty) && !s.has(flagBusy|flagClosing) && s.backlog(t) {
			break
		}
		if n < len(p) && t.Spent() && !s.has(flagBusy|flagClosing) {
			s.yield(t)
		}
	}
	s.settle(t)
	s.charge(t)
	if s.has(flagClosing) {
		return len(p)
	}
	if n < len(p) {
		// A Resume that was posted before the present reason to wait may have undone its
		// pause. Each reason ends with its own Resume.
		s.Conn().Pause()
	}
	return n
}

// hold reports the memory of a stream that is not bound to the connection: that of a partial
// element and of the login request, and job bytes for a worker's job. If that is too much,
// hold ends the stream and returns false.
func (s *Session) hold(t *Turn, job int) bool {
	n := s.negotiation()
	if n == nil {
		return true
	}
	held := s.parser.Held() + n.login.held() + n.upgrade.held() + job
	if held == n.held || s.has(flagClosing) {
		return true
	}
	n.held = held
	if s.Conn().Hold(held) {
		return true
	}
	s.end(t, errUnauthMemory)
	return false
}

// updateHeld reports the memory after a job; it has not increased.
func (s *Session) updateHeld() {
	if n := s.negotiation(); n != nil {
		n.held = s.parser.Held() + n.login.held() + n.upgrade.held()
		s.Conn().Hold(n.held)
	}
}

// errUnauthMemory ends a stream that uses too much memory before the login is complete, or
// whose memory others need more.
var errUnauthMemory = ErrResourceConstraint.WithText("The server is out of memory for clients that have not logged in.")

// freePartial releases the memory of a partial element.
func (s *Session) freePartial(t *Turn) {
	s.parser.Free(t.scratch)
	s.dropPartial()
	if n := s.negotiation(); n != nil {
		n.held = 0
		s.Conn().Hold(0)
	}
}

// Secured is called after the TLS handshake. [RFC 6120 section 5.4.3.3]: both parties
// discard what they learned from the stream before TLS. leaf is the certificate shown to
// the client in this handshake, nil if unknown.
//
// [RFC 6120 section 5.4.3.3]: https://www.rfc-editor.org/rfc/rfc6120#section-5.4.3.3
func (s *Session) Secured(loop int, state *tls.ConnectionState, leaf *x509.Certificate) {
	t := s.mgr.turns[loop]
	defer s.guard(t)
	s.freePartial(t)
	s.parser.Reset()
	s.parser.Restrict()
	s.unset(flagOpen | flagTLS)
	s.jid = jid.Compact{}
	if s.negotiation() != nil {
		// A SASL exchange that began before TLS must not complete over TLS.
		s.negotiation().dropExchange()
		s.negotiation().binding = s.mgr.endpoints.bindingsOf(state, leaf)
	}
}

// Expired is called when the login deadline has passed, or nothing was received for too
// long. The stream ends with <connection-timeout/> ([RFC 6120 section 4.9.3.4]). With
// syscall.ENOMEM it is called before the login is complete, when the connection holds too much
// memory; the stream then ends with <resource-constraint/> ([RFC 6120 section 4.9.3.17]). A
// session that a worker has is closed without an error.
//
// [RFC 6120 section 4.9.3.4]: https://www.rfc-editor.org/rfc/rfc6120#section-4.9.3.4
// [RFC 6120 section 4.9.3.17]: https://www.rfc-editor.org/rfc/rfc6120#section-4.9.3.17
func (s *Session) Expired(loop int, err error) {
	s.dropDelay(loop)
	if s.has(flagBusy) {
		return
	}
	reason := ErrConnectionTimeout
	if errors.Is(err, syscall.ENOMEM) {
		reason = errUnauthMemory
	}
	s.run(s.mgr.turns[loop], func(t *Turn) { s.end(t, reason) })
}

// Drained is called when a full socket has accepted all queued bytes, and after OnDrain.
func (s *Session) Drained(loop int) {
	s.runOrDefer(s.mgr.turns[loop], func(t *Turn) {
		if s.has(flagDetached) {
			return // it is called again when the session has a connection
		}
		s.unset(flagBacklog)
		for _, f := range s.takeOnDrain() {
			s.runOrDefer(t, f) // the previous one may have offloaded the session
		}
		if s.has(flagManaged) {
			s.flushLater(t) // to request an acknowledgement, for which there may have been no space
		}
		s.resume(t)
	})
}
