package session

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/xdg-go/scram"

	"roost/jid"
	"roost/parser"
	"roost/store"
)

const nsFAST = "urn:xmpp:fast:0"

// tokens reports whether tokens are issued and accepted.
func (m *Manager) tokens() bool { return m.config().Tokens != nil && m.config().TokenLife > 0 }

// tokenRenewal returns the age from which on a login with a token gets a new one: a day, or
// a quarter of the lifetime if that is less.
func (m *Manager) tokenRenewal() time.Duration { return min(24*time.Hour, m.config().TokenLife/4) }

// fastRequest is what a client requests of tokens in <authenticate/> ([XEP-0484]).
//
// [XEP-0484]: https://xmpp.org/extensions/xep-0484.html
type fastRequest struct {
	uses       bool   // it authenticates by a token
	counted    bool   // it has sent count
	count      uint64 //
	invalidate bool
	mechanism  string // of the token that it requests, "" if none
	software   string // names of the client, for its user
	device     string
}

// maxClientName is the maximum length of the names of a client, in bytes.
const maxClientName = 64

// readFAST reads what <authenticate/> requests of tokens. It returns nil for nothing, and
// false if an attribute is malformed.
func readFAST(el parser.Element) (*fastRequest, bool) {
	fast, request := el.Child(nsFAST, "fast"), el.Child(nsFAST, "request-token")
	if !fast.OK() && !request.OK() {
		return nil, true
	}
	f := &fastRequest{uses: fast.OK()}
	if fast.OK() {
		if count := fast.Attr("count"); count != nil {
			n, err := strconv.ParseUint(string(count), 10, 63)
			if err != nil {
				return nil, false
			}
			f.count, f.counted = n, true
		}
		v := string(fast.Attr("invalidate"))
		f.invalidate = v == "1" || v == "true"
	}
	if request.OK() {
		f.mechanism = string(request.Attr("mechanism"))
		agent := el.Child(nsSASL2, "user-agent")
		f.software = clientName(agent.Child(nsSASL2, "software"))
		f.device = clientName(agent.Child(nsSASL2, "device"))
	}
	return f, true
}

func clientName(el parser.Element) string {
	name := string(el.AppendText(nil))
	if len(name) > maxClientName {
		name = strings.ToValidUTF8(name[:maxClientName], "")
	}
	return strings.TrimSpace(name)
}

// htMechanisms returns the mechanisms for tokens ([draft-schmaus-kitten-sasl-ht-09]), which
// are offered only for FAST, the strongest first.
//
// [draft-schmaus-kitten-sasl-ht-09]: https://datatracker.ietf.org/doc/draft-schmaus-kitten-sasl-ht/09/
func htMechanisms() []mechanism {
	list := []struct {
		name    string
		binding func(channelBindings) scram.ChannelBinding
	}{
		{"HT-SHA-256-EXPR", func(c channelBindings) scram.ChannelBinding { return c.exporter }},
		{"HT-SHA-256-UNIQ", func(c channelBindings) scram.ChannelBinding { return c.unique }},
		{"HT-SHA-256-ENDP", func(c channelBindings) scram.ChannelBinding { return c.endpoint }},
		{"HT-SHA-256-NONE", nil},
	}
	var all []mechanism
	for _, x := range list {
		all = append(all, mechanism{
			name:  x.name,
			token: true,
			offer: func(s *Session) bool {
				return s.mgr.tokens() && (x.binding == nil || x.binding(s.negotiation().binding).IsSupported())
			},
			start: func(s *Session) exchange {
				h := &htExchange{lookup: lookup{s: s}, name: x.name}
				if x.binding != nil {
					h.data = x.binding(s.negotiation().binding).Data
				}
				return h
			},
		})
	}
	return all
}

// appendFAST appends the mechanisms for tokens. They have no attribute tls-0rtt: crypto/tls
// accepts no early data.
func (s *Session) appendFAST(b []byte) []byte {
	if !s.mgr.tokens() {
		return b
	}
	b = append(b, "<fast xmlns='"+nsFAST+"'>"...)
	b = s.appendMechanismList(b, true)
	return append(b, "</fast>"...)
}

// htExchange is the one message of a mechanism for tokens.
type htExchange struct {
	lookup
	name string
	data []byte // of the channel binding
}

func (x *htExchange) needs(message []byte) Work {
	if message == nil {
		return Done
	}
	return Read
}

// step checks "authcid NUL hash", where hash is HMAC(token, "Initiator" + binding), and
// returns HMAC(token, "Responder" + binding).
func (x *htExchange) step(message []byte) ([]byte, bool, error) {
	user, hash, ok := strings.Cut(string(message), "\x00")
	if !ok || user == "" {
		return nil, false, saslMalformedRequest
	}
	// COMPAT: the version of xmpp.js after 0.14.0 encodes the hash as a string, so that each
	// byte above 0x7F has become two, and decodes the response in the same way.
	wide := false
	if narrow, ok := narrowLatin1(hash); ok && len(hash) != sha256.Size {
		hash, wide = narrow, true
	}
	if err := x.read(user); err != nil {
		return nil, false, err
	}
	login := x.s.negotiation().login
	// For an account that does not exist, too, so that both make the same reads.
	account, _ := jid.New(user, x.s.Host(), "") // no one has tokens at an invalid address
	counts := &x.s.mgr.tokenCounts
	login.seen = counts.removals.Load() // before the stored count
	record, err := x.s.mgr.readTokens(account, login.agent)
	if err != nil {
		return nil, false, err
	}
	key := ""
	used := record.match(func(t *token) bool {
		key = x.s.mgr.tokenKey(account.String(), login.agent, t)
		return t.Mechanism == x.name && len(t.Nonce) == nonceSize && hmac.Equal([]byte(hash), htHash(key, "Initiator", x.data))
	})
	switch {
	case used == nil || !x.exists:
		x.wrong = true
		return nil, false, saslNotAuthorized
	case !used.of(&x.keys) || time.Now().Unix() >= used.Expiry:
		// [XEP-0484, Server responsibilities]: the authentication fails with
		// credentials-expired, and the client may authenticate in another way.
		//
		// [XEP-0484, Server responsibilities]: https://xmpp.org/extensions/xep-0484.html#rules-servers
		return nil, false, saslCredentialsExpired
	case login.fast.counted && (used.processed(login.fast.count) || counts.processed(used.Nonce, login.fast.count)):
		x.wrong = true // a replay
		return nil, false, saslNotAuthorized
	}
	if err := x.verdict(); err != nil {
		return nil, false, err
	}
	login.used, login.promote = used, used == record.New
	response := htHash(key, "Responder", x.data)
	if wide {
		response = widenLatin1(response)
	}
	return response, true, nil
}

// htHash returns HMAC-SHA-256(token, role + binding).
func htHash(token, role string, binding []byte) []byte {
	h := hmac.New(sha256.New, []byte(token))
	h.Write([]byte(role))
	h.Write(binding)
	return h.Sum(nil)
}

// narrowLatin1 undoes widenLatin1. It returns false for what widenLatin1 cannot have made.
func narrowLatin1(s string) (string, bool) {
	var b []byte
	for _, r := range s {
		if r > 0xff {
			return "", false
		}
		b = append(b, byte(r))
	}
	return string(b), len(b) == sha256.Size
}

// widenLatin1 encodes each byte as a character of UTF-8.
func widenLatin1(p []byte) []byte {
	var b strings.Builder
	for _, c := range p {
		b.WriteRune(rune(c))
	}
	return []byte(b.String())
}

// tokenKey returns the text of a token. It is not stored: it follows from what is stored and
// a key that is derived from the server's secret, so that a copy of the store alone does not
// contain any token.
func (m *Manager) tokenKey(account, agent string, t *token) string {
	sum := m.tokenHash.sum(account, "\x00", strings.ToLower(agent), "\x00", t.Mechanism, "\x00", string(t.Nonce))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// errReplayed means that a token was used with the same count at the same time.
var errReplayed = errors.New("session: the token was used by another login")

// tokenContext is for the store. A login does not end because its client has gone.
func tokenContext() context.Context { return context.Background() }

// keysID identifies the credentials of an account, by the first keys that there are. A token
// ends with the credentials that the account had when it was issued: a password that is set
// always has new salts.
func keysID(c *store.Credentials) string {
	for h := range c {
		if len(c[h].StoredKey) > 0 {
			return keyID(&c[h])
		}
	}
	return ""
}

func keyID(k *store.Keys) string {
	sum := sha256.Sum256(append([]byte(strconv.Itoa(k.Iterations)+"\x00"), k.Salt...))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// of reports whether a token was issued for these credentials. Keys that were added since do
// not matter.
func (t *token) of(c *store.Credentials) bool {
	for h := range c {
		if len(c[h].StoredKey) > 0 && t.Keys == keyID(&c[h]) {
			return true
		}
	}
	return false
}
