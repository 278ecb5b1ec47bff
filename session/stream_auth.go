package session

import "roost/jid"

// maxAuthTries is how many failed attempts a stream has: RFC 6120 section 6.4.5
// asks for at least 2 and recommends no more than 5.
const maxAuthTries = 5

// exchangeBytes is about what an exchange takes while a worker has it, besides the
// message.
const exchangeBytes = 1 << 10

// saslError is a condition of RFC 6120 section 6.5.
type saslError string

const (
	saslAborted            saslError = "aborted"
	saslAccountDisabled    saslError = "account-disabled"
	saslEncryptionRequired saslError = "encryption-required"
	saslIncorrectEncoding  saslError = "incorrect-encoding"
	saslInvalidAuthzid     saslError = "invalid-authzid"
	saslInvalidMechanism   saslError = "invalid-mechanism"
	saslMalformedRequest   saslError = "malformed-request"
	saslNotAuthorized      saslError = "not-authorized"
	saslTemporaryFailure   saslError = "temporary-auth-failure"
)

func (e saslError) Error() string { return "session: sasl: " + string(e) }

// exchange is one authentication under way.
type exchange interface {
	// step takes the client's message, nil if there was no initial response, and
	// returns the server's. done: the client has proved its identity.
	step(message []byte) (answer []byte, done bool, err error)

	// blocks reports whether the next step must run on a worker, because it
	// asks the store or derives keys.
	blocks() bool

	// found is what is known of the account.
	found() *lookup
}

// outcome is what an authentication that has succeeded says, however it was written.
type outcome struct {
	account jid.JID // bare
	event   int64   // the account's newest event when its keys were read; see Session.Event
	data    []byte  // of the mechanism, for the client: additional data with success
}

// mechanism is one SASL mechanism that can be offered.
type mechanism struct {
	name  string
	keys  bool // a step derives keys: it runs where that cannot starve the loops
	offer func(s *Session) bool
	start func(s *Session) exchange
}

// authProfile is how the steps of an authentication are written as XML, and how the
// stream goes on after it. That of RFC 6120 section 6 is in stream_sasl.go; SASL2
// (XEP-0388), which binds a resource without a new stream header, will be another.
type authProfile struct {
	challenge func(s *Session, t *Turn, data []byte)
	success   func(s *Session, t *Turn, o outcome)      // calls become
	failure   func(s *Session, t *Turn, cond saslError) // the client may try again
}

// beginAuth begins an authentication by the mechanism with this name, and reports
// whether that is offered. continueAuth takes the first message.
func (s *Session) beginAuth(p *authProfile, name string) bool {
	for i := range s.mgr.mechs {
		m := &s.mgr.mechs[i]
		if m.name == name && m.offer(s) {
			n := s.negotiation()
			n.profile, n.mech, n.sasl = p, m, m.start(s)
			return true
		}
	}
	return false
}

// continueAuth gives the client's message to the exchange, on a worker where that may
// take its time.
func (s *Session) continueAuth(t *Turn, message []byte) {
	n := s.negotiation()
	if !n.sasl.blocks() {
		s.stepAuth(t, message)
		return
	}
	need := Read
	if n.mech.keys && message != nil {
		need = Derive
	}
	if s.hold(t, cap(message)+exchangeBytes) {
		s.offload(need, func(t *Turn) {
			if !s.abandoned() { // it may have waited for long
				s.stepAuth(t, message)
			}
			s.updateHeld()
		})
	}
}

// stepAuth takes one step of the exchange.
func (s *Session) stepAuth(t *Turn, message []byte) {
	answer, done, err := s.negotiation().sasl.step(message)
	clear(message) // PLAIN's holds the password
	switch {
	case err != nil:
		s.loginFailed(t, err)
	case done:
		s.authSucceeded(t, answer)
	default:
		s.negotiation().profile.challenge(s, t, answer)
	}
}

func (s *Session) authSucceeded(t *Turn, data []byte) {
	n := s.negotiation()
	account, p := n.sasl.found(), n.profile
	if n.from != "" && n.from != account.who.String() {
		// The client has named another account in its stream header.
		s.authFailed(t, p, saslInvalidAuthzid)
		return
	}
	p.success(s, t, outcome{account: account.who, event: account.event, data: data})
	s.mgr.throttle.succeeded(account.guess)
}

// become makes the stream that of an account.
func (s *Session) become(o outcome) {
	s.negotiation().sasl, s.negotiation().mech = nil, nil
	s.jid = o.account.Compact()
	s.SetEvent(o.event)
	s.set(flagAuthed)
	s.conn.Authenticated()
}

// authFailed tells the client that an attempt has failed; too many end the stream with
// <policy-violation/> (RFC 6120 section 6.4.5).
func (s *Session) authFailed(t *Turn, p *authProfile, cond saslError) {
	n := s.negotiation()
	n.sasl, n.mech = nil, nil
	p.failure(s, t, cond)
	if n.authTries++; n.authTries >= maxAuthTries {
		s.end(t, ErrPolicyViolation.WithText("Too many failed attempts to authenticate."))
	}
}
