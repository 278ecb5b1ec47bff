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

// negotiation is what a session needs until it is bound, and then no more.
type negotiation struct {
	binding   channelBindings
	network   peernet.Network
	sasl      exchange // nil outside an exchange
	mech      *mechanism
	profile   *authProfile // of the last attempt to authenticate
	authTries int
	bindTries int
	failure   saslError // of the last attempt to log in, until the client is told
	delay     time.Duration
	timer     *time.Timer // runs while the client is not told
	from      string      // bare JID of the last stream header's 'from', normalized
	held      int         // bytes that the connection was told of
}

// Data handles bytes that came from the client. They are lent until it returns;
// it returns how many it has used, fewer than all when the session is busy.
func (s *Session) Data(loop int, p []byte) (n int) {
	t := s.mgr.turns[loop]
	defer s.guardData(t, &n, len(p))
	t.uncharged() // what this turn has done for other sessions
	for n < len(p) && !s.has(flagClosing|flagBusy|flagBacklog|flagThrottled) {
		ev, used, err := s.parser.Next(t.scratch, p[n:])
		n += used
		t.cost += int64(used) >> costShift
		if err != nil {
			s.endAfterHeld(t, parserError(err))
			break
		}
		if !s.has(flagAuthed) && !s.hold(t, 0) {
			break
		}
		switch ev {
		case parser.StreamOpen:
			s.openStream(t, t.scratch.Tape().Root())
		case parser.Stanza:
			t.cost += costStanza
			t.charged += freeCost + int64(used)>>costShift
			s.element(t, p[n:])
			if s.has(flagTLS) {
				return len(p) // the next byte belongs to the handshake
			}
		case parser.StreamClose:
			s.endAfterHeld(t, nil)
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
		// A Resume that was posted before there was this reason to wait may have
		// undone its pause. Each reason ends with a Resume of its own.
		s.conn.Pause()
	}
	return n
}

// hold tells the connection how much memory the stream holds before it is
// authenticated: that of a cut element, and job bytes for what a worker has to do.
// Where it must not be so much the stream ends and hold returns false.
func (s *Session) hold(t *Turn, job int) bool {
	n, held := s.negotiation(), s.parser.Held()+job
	if n == nil || held == n.held || s.has(flagAuthed|flagClosing) {
		return true
	}
	n.held = held
	if s.conn.Hold(held) {
		return true
	}
	s.end(t, errUnauthMemory)
	return false
}

// updateHeld is hold when a job is done: what is held has not become more.
func (s *Session) updateHeld() {
	if n := s.negotiation(); n != nil {
		n.held = s.parser.Held()
		s.conn.Hold(n.held)
	}
}

// errUnauthMemory ends a stream that holds too much memory for a client that is not
// authenticated, or whose memory others need more.
var errUnauthMemory = ErrResourceConstraint.WithText("The server has no memory for clients that have not logged in.")

// freePartial gives back what a cut element has taken.
func (s *Session) freePartial(t *Turn) {
	s.parser.Free(t.scratch)
	if n := s.negotiation(); n != nil {
		n.held = 0
		s.conn.Hold(0)
	}
}

// Secured is called when the TLS handshake is done. RFC 6120 section 5.4.3.3:
// both parties discard what they knew from the stream before TLS.
//
// leaf is the certificate that the client was shown in this handshake, nil if that is
// not known.
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
		s.negotiation().sasl, s.negotiation().mech = nil, nil
		s.negotiation().binding = bindingsOf(state, leaf)
	}
}

// Expired is called when the time for the login is up, or nothing was heard for too
// long: <connection-timeout/> is the last that the client hears (RFC 6120 section
// 4.9.3.4), if it hears anything. With syscall.ENOMEM it is called before
// authentication, when the connection holds too much memory, and that is
// <resource-constraint/> (section 4.9.3.17). A session that a worker has is cut off.
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

// Drained is called when a socket that had been full has taken everything, and after
// OnDrain.
func (s *Session) Drained(loop int) {
	s.runOrDefer(s.mgr.turns[loop], func(t *Turn) {
		s.unset(flagBacklog)
		for _, f := range s.takeOnDrain() {
			s.runOrDefer(t, f) // the one before may have given the session to a worker
		}
		s.resume(t)
	})
}
