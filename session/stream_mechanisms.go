package session

import (
	"bytes"

	"roost/store"
)

// newMechanisms returns the mechanisms in the order in which they are offered. To add one,
// such as EXTERNAL, add a line.
func (m *Manager) newMechanisms() []mechanism {
	start := func(h store.Hash, plus bool) func(*Session) exchange {
		return func(s *Session) exchange { return &scramExchange{lookup: lookup{s: s}, hash: h, plus: plus} }
	}
	var all []mechanism
	for h := int(store.NumHashes) - 1; h >= 0; h-- {
		h := store.Hash(h)
		usable := func(s *Session) bool { return s.negotiation().offeredHashes().Has(h) }
		bound := func(s *Session) bool { return usable(s) && s.negotiation().binding.any() }
		all = append(all,
			mechanism{name: h.Mechanism() + "-PLUS", offer: bound, start: start(h, true)},
			mechanism{name: h.Mechanism(), offer: usable, start: start(h, false)})
	}
	all = append(all, mechanism{name: "PLAIN", offer: (*Session).mayAuthenticate, start: func(s *Session) exchange {
		return &plainExchange{lookup: lookup{s: s}}
	}})
	return append(all, htMechanisms()...)
}

// scramExchange is SCRAM (RFC 5802, RFC 7677), with or without channel binding.
type scramExchange struct {
	lookup
	hash   store.Hash
	plus   bool
	server *scramServer // nil before the client's first message
}

// needs returns Read for the first step, which reads the account. The second only compares.
func (x *scramExchange) needs([]byte) Work {
	if x.server == nil {
		return Read
	}
	return Done
}

func (x *scramExchange) step(message []byte) ([]byte, bool, error) {
	if x.server == nil {
		if message == nil {
			return nil, false, nil // no initial response: request it with an empty challenge
		}
		answer, err := x.begin(string(message))
		return []byte(answer), false, err
	}
	// Many exchanges may have reached this point at once.
	if err := x.mayTry(); err != nil {
		return nil, false, err
	}
	answer, wrong, err := x.server.final(string(message))
	if err != nil {
		x.wrong = wrong
		return nil, false, err
	}
	if err := x.verdict(); err != nil {
		return nil, false, err
	}
	if err := x.checkAuthzid(x.server.authzid); err != nil {
		return nil, false, err
	}
	return []byte(answer), true, nil
}

// begin processes the client's first message and returns the server's. "p=name,…" uses a
// channel binding, and only the PLUS mechanisms allow that ([RFC 5802 section 6]).
//
// [RFC 5802 section 6]: https://www.rfc-editor.org/rfc/rfc5802#section-6
func (x *scramExchange) begin(message string) (string, error) {
	f, err := parseScramFirst(message)
	if err != nil {
		return "", err
	}
	bindings := &x.s.negotiation().binding
	binding := bindings.byType(f.binding)
	switch {
	case (f.flag == "p") != x.plus:
		return "", saslMalformedRequest
	case f.flag == "p" && !binding.IsSupported():
		return "", saslNotAuthorized
	case f.flag == "y" && bindings.any():
		// The client has not seen the PLUS mechanisms: an attacker has removed them from the
		// list.
		return "", saslNotAuthorized
	}
	c, err := x.find(f.user)
	if err != nil {
		return "", err
	}
	x.server = &scramServer{hash: x.hash.New, keys: c[x.hash], authzid: f.authzid, bound: []byte(f.header)}
	// Made for every account, so that all take the same time.
	missing := x.s.mgr.decoys.missing(x.name, &c, x.hash)
	if x.lacks = !c.Hashes().Has(x.hash); x.lacks {
		x.server.keys = missing
	}
	if f.flag == "p" {
		x.server.bound = append(x.server.bound, binding.Data...)
	}
	return x.server.first(&f, x.s.offered()), nil
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
	x.derive(string(parts[2]))
	return nil, true, nil
}
