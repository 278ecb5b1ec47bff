package session

import (
	"context"
	"errors"

	"roost/jid"
	"roost/store"
)

// lookup finds the account that a client wants to log in to.
type lookup struct {
	s      *Session
	who    jid.JID
	name   string // of the account, which need not exist; see decoys
	event  int64  // its newest event
	exists bool
	off    bool              // the account is disabled
	keys   store.Credentials // of an account that exists
	added  store.Credentials // keys that it lacks, as they follow from the password
	lacks  bool              // it has no keys for the mechanism
	text   string            // what the client is told if the account is blocked

	guess   guess
	refused bool // too many failures: the password was not checked
	wrong   bool // the password was wrong
}

func (l *lookup) found() *lookup { return l }

// reason returns why an attempt has failed, for the log.
func (l *lookup) reason(cond saslError) string {
	switch {
	case l.refused:
		return "too many failures"
	case l.wrong && l.exists && l.lacks:
		return "no keys for this mechanism"
	case l.wrong && l.exists:
		return "wrong password"
	case l.wrong:
		return "no such account"
	}
	return string(cond)
}

// mayTry returns an error if there were too many failures.
func (l *lookup) mayTry() error {
	if l.s.mgr.throttle.refuses(l.guess) {
		l.refused = true
		return saslTemporaryFailure
	}
	return nil
}

// find returns the credentials of this username. For an account that does not exist it
// returns fake credentials, always the same ones, that match no password: [RFC 6120 section
// 13.10.2], nobody learns which accounts exist.
//
// [RFC 6120 section 13.10.2]: https://www.rfc-editor.org/rfc/rfc6120#section-13.10.2
func (l *lookup) find(username string) (store.Credentials, error) {
	if err := l.read(username); err != nil {
		return store.Credentials{}, err
	}
	// Computed for existing accounts, too, so that both take the same time.
	decoy := l.s.mgr.decoys.credentials(l.name)
	if l.exists {
		return l.keys, nil
	}
	return decoy, nil
}

// read is find for a mechanism that does not use credentials: exists tells whether there is
// an account.
func (l *lookup) read(username string) error {
	m := l.s.mgr
	who, err := jid.New(username, l.s.Host(), "")
	if err != nil {
		l.name = username
		l.guess = m.throttle.guess(username, l.s.negotiation().network)
		return l.mayTry()
	}
	l.name = who.String()
	l.guess = m.throttle.guess(l.name, l.s.negotiation().network)
	if err := l.mayTry(); err != nil {
		return err
	}
	account, err := m.config().Accounts.Account(context.Background(), who)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	l.who, l.event, l.exists, l.off = who, account.Event, true, account.Disabled
	l.keys = account.Credentials
	return nil
}

// verdict returns the result for a client that has proved knowledge of the password.
func (l *lookup) verdict() error {
	if !l.exists {
		return saslNotAuthorized
	}
	if l.off {
		return saslAccountDisabled
	}
	if f := l.s.mgr.config().Blocked; f != nil {
		if text, blocked := f(l.who.BareString()); blocked {
			l.text = text
			return saslAccountDisabled
		}
	}
	return nil
}

// checkAuthzid refuses to act as another entity ([RFC 6120 section 6.3.8]).
//
// [RFC 6120 section 6.3.8]: https://www.rfc-editor.org/rfc/rfc6120#section-6.3.8
func (l *lookup) checkAuthzid(authzid string) error {
	if authzid == "" {
		return nil
	}
	as, err := jid.Parse(authzid)
	if err != nil || as != l.who {
		return saslInvalidAuthzid
	}
	return nil
}
