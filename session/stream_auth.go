package session

import "roost/jid"

// maxAuthTries is the number of failed attempts that end a stream. [RFC 6120 section 6.4.5]
// requires at least 2 and recommends no more than 5.
//
// [RFC 6120 section 6.4.5]: https://www.rfc-editor.org/rfc/rfc6120#section-6.4.5
const maxAuthTries = 5

// exchangeBytes is the approximate memory of an exchange while a worker handles it, without
// the message.
const exchangeBytes = 1 << 10

// saslError is a SASL error condition ([RFC 6120 section 6.5]).
//
// [RFC 6120 section 6.5]: https://www.rfc-editor.org/rfc/rfc6120#section-6.5
type saslError string

const (
	saslAborted            saslError = "aborted"
	saslAccountDisabled    saslError = "account-disabled"
	saslCredentialsExpired saslError = "credentials-expired"
	saslEncryptionRequired saslError = "encryption-required"
	saslIncorrectEncoding  saslError = "incorrect-encoding"
	saslInvalidAuthzid     saslError = "invalid-authzid"
	saslInvalidMechanism   saslError = "invalid-mechanism"
	saslMalformedRequest   saslError = "malformed-request"
	saslNotAuthorized      saslError = "not-authorized"
	saslTemporaryFailure   saslError = "temporary-auth-failure"
)

func (e saslError) Error() string { return "session: sasl: " + string(e) }

// exchange is one authentication in progress.
type exchange interface {
	// step processes the client's message, nil if there was no initial response, and
	// returns the server's. done reports that the client has proved its identity.
	step(message []byte) (answer []byte, done bool, err error)

	// needs returns the kind of worker that the step for this message needs: Done, Read or
	// Derive.
	needs(message []byte) Work

	// found returns what is known about the account.
	found() *lookup
}

// outcome is the result of a successful authentication, independent of its XML syntax.
type outcome struct {
	account jid.JID // bare
	event   int64   // the account's newest event when its keys were read; see Session.Event
	keys    string  // see keysID
	data    []byte  // the mechanism's additional data with success, for the client
}

// mechanism is one SASL mechanism.
type mechanism struct {
	name  string
	token bool // only for FAST (XEP-0484)
	offer func(s *Session) bool
	start func(s *Session) exchange
}

// authProfile defines how the steps of an authentication are written as XML and how the
// stream continues after it. stream_sasl.go has the profile of RFC 6120 section 6, and
// stream_sasl2.go that of SASL2 (XEP-0388), which has no new stream header.
type authProfile struct {
	challenge func(s *Session, t *Turn, data []byte)
	success   func(s *Session, t *Turn, o outcome)      // calls become
	failure   func(s *Session, t *Turn, cond saslError) // the client may try again
}

// discardExchange forgets the exchange in progress, if there is one, and reports whether another
// one may begin. Each may have read an account from the store, and none of them has failed: without
// a limit, a connection could have as many accounts read as it sends requests.
func (s *Session) discardExchange(t *Turn) bool {
	n := s.negotiation()
	if n.sasl == nil {
		return true
	}
	n.dropExchange()
	if n.discarded++; n.discarded > maxAuthTries {
		s.end(t, ErrPolicyViolation.WithText("Too many authentication attempts were not finished."))
		return false
	}
	return true
}

// beginAuth starts an authentication by the mechanism with this name, one for tokens or
// another, and reports whether the mechanism is offered. continueAuth takes the first
// message.
func (s *Session) beginAuth(p *authProfile, name string, token bool) bool {
	m := s.mechanism(name, token)
	if m == nil {
		return false
	}
	n := s.negotiation()
	n.profile, n.mech, n.sasl = p, m, m.start(s)
	return true
}

// mechanism returns the mechanism with this name, one for tokens or another, nil if it is
// not offered.
func (s *Session) mechanism(name string, token bool) *mechanism {
	for i := range s.mgr.mechs {
		if m := &s.mgr.mechs[i]; m.name == name && m.token == token && m.offer(s) {
			return m
		}
	}
	return nil
}

// continueAuth passes the client's message to the exchange, on a worker if the step may
// block.
func (s *Session) continueAuth(t *Turn, message []byte) {
	n := s.negotiation()
	need := n.sasl.needs(message)
	if need == Done {
		s.stepAuth(t, message)
		return
	}
	if s.hold(t, cap(message)+exchangeBytes) {
		s.offload(need, func(t *Turn) {
			if !s.abandoned() { // it may have waited for a long time
				s.stepAuth(t, message)
			}
			s.updateHeld()
		})
	}
}

// stepAuth performs one step of the exchange.
func (s *Session) stepAuth(t *Turn, message []byte) {
	answer, done, err := s.negotiation().sasl.step(message)
	clear(message) // a PLAIN message contains the password
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
		// The client named another account in its stream header.
		s.countAttempt(t, n.mech, attemptFailed(saslInvalidAuthzid))
		s.authFailed(t, p, saslInvalidAuthzid)
		return
	}
	s.countAttempt(t, n.mech, attemptSucceeded)
	p.success(s, t, outcome{account: account.who, event: account.event, keys: keysID(&account.keys), data: data})
	s.mgr.throttle.succeeded(account.guess)
	s.mgr.addKeysLater(account)
}

// become makes the session one of the authenticated account. The limits that apply before
// authentication stay until it has an address: --max-resources limits only sessions that do.
func (s *Session) become(o outcome) {
	s.negotiation().dropExchange()
	s.jid = o.account.Compact()
	s.SetEvent(o.event)
	s.set(flagAuthed)
}

// refuse reports an attempt that failed before its exchange could find an account.
func (s *Session) refuse(t *Turn, p *authProfile, cond saslError) {
	s.countAttempt(t, s.negotiation().mech, attemptFailed(cond))
	s.authFailed(t, p, cond)
}

// authFailed tells the client that an attempt has failed. The last allowed failure ends the
// stream with <policy-violation/> (RFC 6120 section 6.4.5).
func (s *Session) authFailed(t *Turn, p *authProfile, cond saslError) {
	n := s.negotiation()
	n.dropExchange()
	p.failure(s, t, cond)
	if n.authTries++; n.authTries >= maxAuthTries {
		s.end(t, ErrPolicyViolation.WithText("Too many failed authentication attempts."))
	}
}
