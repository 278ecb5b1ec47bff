package session

import (
	"bytes"
	"crypto/sha256"
	"strings"

	"github.com/xdg-go/scram"

	"roost/store"
)

// newMechanisms returns the mechanisms in the order in which they are offered. To add one,
// such as EXTERNAL, add a line.
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
	return append([]mechanism{
		{name: "SCRAM-SHA-256-PLUS", offer: bound, start: start(scram.SHA256, sha256Keys, 32, true)},
		{name: "SCRAM-SHA-256", offer: always, start: start(scram.SHA256, sha256Keys, 32, false)},
		{name: "SCRAM-SHA-1-PLUS", offer: bound, start: start(scram.SHA1, sha1Keys, 20, true)},
		{name: "SCRAM-SHA-1", offer: always, start: start(scram.SHA1, sha1Keys, 20, false)},
		{name: "PLAIN", offer: (*Session).mayAuthenticate, start: func(s *Session) exchange {
			return &plainExchange{lookup: lookup{s: s}}
		}},
	}, htMechanisms()...)
}

// scramExchange is SCRAM (RFC 5802, RFC 7677), with or without channel binding.
type scramExchange struct {
	lookup
	hash    scram.HashGeneratorFcn
	keys    func(store.Credentials) store.Keys
	keySize int
	plus    bool
	conv    *scram.ServerConversation
	begun   bool  // the first message was processed
	failed  error // error of the store
}

// needs returns Read for the first step, which reads the account. The second only compares.
func (x *scramExchange) needs([]byte) Work {
	if x.conv == nil {
		return Read
	}
	return Done
}

func (x *scramExchange) step(message []byte) ([]byte, bool, error) {
	if x.conv == nil {
		if message == nil {
			return nil, false, nil // no initial response: request it with an empty challenge
		}
		if err := x.begin(message); err != nil {
			return nil, false, err
		}
	}
	if x.begun {
		// Many exchanges may have reached this point at once.
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

// begin finds out from the first message which channel binding the client uses. "p=name,…"
// uses one, and only the PLUS mechanisms allow that ([RFC 5802 section 6]).
//
// [RFC 5802 section 6]: https://www.rfc-editor.org/rfc/rfc5802#section-6
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
	// If the channel supports a binding, the conversation must know it in any case: it then
	// refuses "y", which shows that an attacker removed the PLUS mechanisms from the list.
	x.conv = server.NewConversationWithChannelBinding(x.s.negotiation().binding.byType(name))
	return nil
}

// fakeKey replaces the keys of an account that does not exist.
var fakeKey [sha256.Size]byte

func (x *scramExchange) credentials(username string) (scram.StoredCredentials, error) {
	c, err := x.find(username)
	if err != nil {
		x.failed = err
		return scram.StoredCredentials{}, err
	}
	keys := x.keys(c)
	if keys.StoredKey == nil {
		keys = store.Keys{StoredKey: fakeKey[:x.keySize], ServerKey: fakeKey[:x.keySize]} // no client can know a matching password
	}
	return scram.StoredCredentials{
		KeyFactors: scram.KeyFactors{Salt: string(c.Salt), Iters: c.Iterations},
		StoredKey:  keys.StoredKey,
		ServerKey:  keys.ServerKey,
	}, nil
}

// plainExchange is PLAIN (RFC 4616).
type plainExchange struct{ lookup }

// needs returns Derive for a password. A limited number of goroutines derive keys, so that
// they cannot starve the loops.
func (x *plainExchange) needs(message []byte) Work {
	if message == nil {
		return Done
	}
	return Derive
}

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
	// Verify derives keys for an account that does not exist, too, so that the time reveals
	// nothing.
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
