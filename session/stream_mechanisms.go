package session

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"

	"github.com/xdg-go/scram"

	"roost/jid"
	"roost/store"
)

// channelBindings is what ties an authentication to the TLS channel it runs in.
type channelBindings struct {
	exporter scram.ChannelBinding // tls-exporter, RFC 9266; TLS 1.3 only
	unique   scram.ChannelBinding // tls-unique, RFC 5929; TLS 1.2 only
	endpoint scram.ChannelBinding // tls-server-end-point, RFC 5929
}

// bindingsOf computes the bindings of a TLS channel, once, when it is there. Where
// there is an error, or leaf, the server's certificate in it, is nil, a binding is not
// offered.
func bindingsOf(state *tls.ConnectionState, leaf *x509.Certificate) channelBindings {
	var c channelBindings
	if state.Version >= tls.VersionTLS13 {
		c.exporter, _ = scram.NewTLSExporterBinding(state)
	} else if state.TLSUnique != nil {
		// COMPAT: gloox 1.0 knows no other binding, and Go leaves it out where
		// it would not be safe.
		c.unique = scram.NewTLSUniqueBinding(state.TLSUnique)
	}
	if leaf != nil {
		// The library is written for the client, who finds the server's
		// certificate among its peer's.
		c.endpoint, _ = scram.NewTLSServerEndpointBinding(&tls.ConnectionState{
			PeerCertificates: []*x509.Certificate{leaf},
		})
	}
	return c
}

// byType returns the binding with this name, or the best one for "".
func (c channelBindings) byType(name string) scram.ChannelBinding {
	for _, b := range []scram.ChannelBinding{c.exporter, c.unique, c.endpoint} {
		if b.IsSupported() && (name == "" || name == string(b.Type)) {
			return b
		}
	}
	return scram.ChannelBinding{}
}

func (c channelBindings) any() bool { return c.byType("").IsSupported() }

// appendXML appends the list of XEP-0440.
func (c channelBindings) appendXML(b []byte) []byte {
	if !c.any() {
		return b
	}
	b = append(b, "<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'>"...)
	for _, cb := range []scram.ChannelBinding{c.exporter, c.unique, c.endpoint} {
		if cb.IsSupported() {
			b = append(b, "<channel-binding type='"...)
			b = append(b, cb.Type...)
			b = append(b, "'/>"...)
		}
	}
	return append(b, "</sasl-channel-binding>"...)
}

// newMechanisms lists the mechanisms in the order in which they are offered. To
// add one, such as EXTERNAL, add a line.
func (m *Manager) newMechanisms() []mechanism {
	bound := func(s *Session) bool { return s.negotiation().binding.any() }
	always := func(*Session) bool { return true }
	sha256Keys := func(c store.Credentials) store.Keys { return c.SHA256 }
	sha1Keys := func(c store.Credentials) store.Keys { return c.SHA1 }
	start := func(hash scram.HashGeneratorFcn, keys func(store.Credentials) store.Keys, size int, plus bool) func(*Session) exchange {
		return func(s *Session) exchange {
			return &scramExchange{lookup: lookup{s: s}, hash: hash, keys: keys, keySize: size, plus: plus}
		}
	}
	return []mechanism{
		{name: "SCRAM-SHA-256-PLUS", offer: bound, start: start(scram.SHA256, sha256Keys, 32, true)},
		{name: "SCRAM-SHA-256", offer: always, start: start(scram.SHA256, sha256Keys, 32, false)},
		{name: "SCRAM-SHA-1-PLUS", offer: bound, start: start(scram.SHA1, sha1Keys, 20, true)},
		{name: "SCRAM-SHA-1", offer: always, start: start(scram.SHA1, sha1Keys, 20, false)},
		{name: "PLAIN", keys: true, offer: (*Session).mayAuthenticate, start: func(s *Session) exchange {
			return &plainExchange{lookup: lookup{s: s}}
		}},
	}
}

// lookup finds the account that a client wants to be.
type lookup struct {
	s      *Session
	who    jid.JID
	event  int64 // its newest event
	exists bool
	off    bool // it is disabled

	guess   guess
	refused bool // there were too many failures: the password was not tried
	wrong   bool // the password was
}

func (l *lookup) found() *lookup { return l }

// reason says why an attempt has failed, for the log.
func (l *lookup) reason(cond saslError) string {
	switch {
	case l.refused:
		return "too many failures"
	case l.wrong && l.exists:
		return "wrong password"
	case l.wrong:
		return "no such account"
	}
	return string(cond)
}

// mayTry refuses a guess where there were too many.
func (l *lookup) mayTry() error {
	if l.s.mgr.throttle.refuses(l.guess) {
		l.refused = true
		return saslTemporaryFailure
	}
	return nil
}

// find reads the account of this username. For one that does not exist it makes
// up credentials that look the same each time and that no password fits: RFC
// 6120 section 13.10.2, nobody learns which accounts exist.
func (l *lookup) find(username string) (store.Credentials, error) {
	m := l.s.mgr
	who, err := jid.New(username, l.s.Host(), "")
	if err != nil {
		l.guess = m.throttle.guess(username, l.s.negotiation().network)
		return m.decoys.credentials(username), l.mayTry()
	}
	l.guess = m.throttle.guess(who.String(), l.s.negotiation().network)
	if err := l.mayTry(); err != nil {
		return store.Credentials{}, err
	}
	// Made up for every account: one that exists takes no less time.
	decoy := m.decoys.credentials(who.String())
	account, err := m.cfg.Accounts.Account(context.Background(), who)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return decoy, nil
	case err != nil:
		return store.Credentials{}, err
	}
	l.who, l.event, l.exists, l.off = who, account.Event, true, account.Disabled
	return account.Credentials, nil
}

// verdict is the outcome for a client that has proved to know the password.
func (l *lookup) verdict() error {
	if !l.exists {
		return saslNotAuthorized
	}
	if l.off {
		return saslAccountDisabled
	}
	return nil
}

// checkAuthzid refuses to act as anybody else (RFC 6120 section 6.3.8).
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

// scramExchange is SCRAM (RFC 5802, RFC 7677), with or without channel binding.
type scramExchange struct {
	lookup
	hash    scram.HashGeneratorFcn
	keys    func(store.Credentials) store.Keys
	keySize int
	plus    bool
	conv    *scram.ServerConversation
	begun   bool  // the first message was taken
	failed  error // of the store
}

// blocks: the first step reads the account, the second only compares.
func (x *scramExchange) blocks() bool { return x.conv == nil }

func (x *scramExchange) step(message []byte) ([]byte, bool, error) {
	if x.conv == nil {
		if message == nil {
			return nil, false, nil // no initial response: an empty challenge asks for it
		}
		if err := x.begin(message); err != nil {
			return nil, false, err
		}
	}
	if x.begun {
		// Many exchanges may have got this far at once.
		if err := x.mayTry(); err != nil {
			return nil, false, err
		}
	}
	x.begun = true
	answer, err := x.conv.Step(string(message))
	switch {
	case x.failed != nil:
		return nil, false, x.failed
	case err != nil && answer == "":
		return nil, false, saslMalformedRequest
	case err != nil:
		x.wrong = answer == scram.ErrInvalidProof
		return nil, false, saslNotAuthorized
	case !x.conv.Done():
		return []byte(answer), false, nil
	}
	if err := x.verdict(); err != nil {
		return nil, false, err
	}
	if err := x.checkAuthzid(x.conv.AuthzID()); err != nil {
		return nil, false, err
	}
	return []byte(answer), true, nil
}

// begin looks at the first message to see which channel binding the client
// uses: "p=name,…" binds, and only the PLUS mechanisms may (RFC 5802 section 6).
func (x *scramExchange) begin(message []byte) error {
	server, err := x.hash.NewServer(x.credentials)
	if err != nil {
		return err
	}
	name, binds := "", bytes.HasPrefix(message, []byte("p="))
	if binds != x.plus {
		return saslMalformedRequest
	}
	if binds {
		name, _, _ = strings.Cut(string(message[2:]), ",")
		if !x.s.negotiation().binding.byType(name).IsSupported() {
			return saslNotAuthorized
		}
	}
	// Over a channel that could be bound the conversation knows the binding in
	// any case: it then refuses "y", the sign that somebody took the PLUS
	// mechanisms out of the list.
	x.conv = server.NewConversationWithChannelBinding(x.s.negotiation().binding.byType(name))
	return nil
}

// fakeKey is in the place of the keys of an account that does not exist.
var fakeKey [sha256.Size]byte

func (x *scramExchange) credentials(username string) (scram.StoredCredentials, error) {
	c, err := x.find(username)
	if err != nil {
		x.failed = err
		return scram.StoredCredentials{}, err
	}
	keys := x.keys(c)
	if keys.StoredKey == nil {
		keys = store.Keys{StoredKey: fakeKey[:x.keySize], ServerKey: fakeKey[:x.keySize]} // no client knows what fits
	}
	return scram.StoredCredentials{
		KeyFactors: scram.KeyFactors{Salt: string(c.Salt), Iters: c.Iterations},
		StoredKey:  keys.StoredKey,
		ServerKey:  keys.ServerKey,
	}, nil
}

// plainExchange is PLAIN (RFC 4616).
type plainExchange struct{ lookup }

func (x *plainExchange) blocks() bool { return true }

func (x *plainExchange) step(message []byte) ([]byte, bool, error) {
	if message == nil {
		return nil, false, nil
	}
	parts := bytes.Split(message, []byte{0})
	if len(parts) != 3 || len(parts[1]) == 0 || len(parts[2]) == 0 {
		return nil, false, saslMalformedRequest
	}
	c, err := x.find(string(parts[1]))
	if err != nil {
		return nil, false, err
	}
	// The keys are derived for an account that does not exist too: the time
	// that it takes tells nothing.
	if ok := c.Verify(string(parts[2])); !ok {
		x.wrong = true
		return nil, false, saslNotAuthorized
	}
	if err := x.verdict(); err != nil {
		return nil, false, err
	}
	if err := x.checkAuthzid(string(parts[0])); err != nil {
		return nil, false, err
	}
	return nil, true, nil
}
