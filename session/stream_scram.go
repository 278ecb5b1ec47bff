package session

import (
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
	"hash"
	"slices"
	"strconv"
	"strings"

	"roost/store"
)

// scramServer is the server's side of one exchange of SCRAM ([RFC 5802 section 5]). That of
// the library has no way to add an attribute to the server's first message, which [XEP-0474]
// requires (docs/decisions/0045-downgrade-protection.md).
//
// [RFC 5802 section 5]: https://www.rfc-editor.org/rfc/rfc5802#section-5
// [XEP-0474]: https://xmpp.org/extensions/xep-0474.html
type scramServer struct {
	hash    func() hash.Hash
	keys    store.Keys
	authzid string
	bound   []byte // what the client must send as its channel binding
	nonce   string // of both
	auth    string // the beginning of AuthMessage: both first messages
}

// scramFirst is a client's first message ([RFC 5802 section 7]).
//
// [RFC 5802 section 7]: https://www.rfc-editor.org/rfc/rfc5802#section-7
type scramFirst struct {
	header  string // gs2-header: the flag and the authorization identity, each with a comma
	flag    string // "n", "y" or "p"
	binding string // the name of the channel binding, if the flag is "p"
	authzid string
	user    string
	bare    string // client-first-message-bare
	nonce   string
}

// parseScramFirst parses a client's first message.
func parseScramFirst(message string) (f scramFirst, err error) {
	flag, rest, ok1 := strings.Cut(message, ",")
	authzid, bare, ok2 := strings.Cut(rest, ",")
	user, rest, ok3 := strings.Cut(bare, ",")
	// Extensions may follow, and have no meaning. A mandatory one would be before the name.
	nonce, _, _ := strings.Cut(rest, ",")
	if !ok1 || !ok2 || !ok3 {
		return f, saslMalformedRequest
	}
	f.header, f.bare = flag+","+authzid+",", bare
	if f.binding, ok1 = strings.CutPrefix(flag, "p="); ok1 {
		f.flag = "p"
	} else if f.flag = flag; flag != "n" && flag != "y" {
		return f, saslMalformedRequest
	}
	if authzid != "" {
		if authzid, ok1 = strings.CutPrefix(authzid, "a="); !ok1 {
			return f, saslMalformedRequest
		}
	}
	user, ok2 = strings.CutPrefix(user, "n=")
	f.nonce, ok3 = strings.CutPrefix(nonce, "r=")
	if !ok2 || !ok3 || !isScramNonce(f.nonce) {
		return f, saslMalformedRequest
	}
	if f.authzid, ok1 = scramName(authzid); !ok1 {
		return f, saslMalformedRequest
	}
	// "If the server receives a username that contains '=' not followed by either '2C' or
	// '3D', then the server MUST fail the authentication"
	// (https://www.rfc-editor.org/rfc/rfc5802#section-5.1).
	if f.user, ok2 = scramName(user); !ok2 {
		return f, saslMalformedRequest
	}
	return f, nil
}

// isScramNonce reports whether a nonce is not empty and has only printable characters of
// ASCII, without commas.
func isScramNonce(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return r < 0x21 || r > 0x7e || r == ',' }) < 0
}

// scramName decodes a name, in which "=2C" stands for a comma and "=3D" for "=".
func scramName(s string) (string, bool) {
	for i := strings.IndexByte(s, '='); i >= 0; {
		if !strings.HasPrefix(s[i:], "=2C") && !strings.HasPrefix(s[i:], "=3D") {
			return "", false
		}
		next := strings.IndexByte(s[i+1:], '=')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	return scramEscapes.Replace(s), true
}

var scramEscapes = strings.NewReplacer("=2C", ",", "=3D", "=")

// first returns the server's first message, with the attribute of XEP-0474 if it is not
// empty.
func (x *scramServer) first(f *scramFirst, offered string) string {
	x.nonce = f.nonce + rand.Text()
	message := "r=" + x.nonce + ",s=" + base64.StdEncoding.EncodeToString(x.keys.Salt) + ",i=" + strconv.Itoa(x.keys.Iterations)
	if offered != "" {
		h := x.hash()
		h.Write([]byte(offered))
		message += ",h=" + base64.StdEncoding.EncodeToString(h.Sum(nil))
	}
	x.auth = f.bare + "," + message + ","
	return message
}

// final checks the client's final message, and returns the server's. wrong reports that the
// client does not know the password.
func (x *scramServer) final(message string) (answer string, wrong bool, err error) {
	end := strings.LastIndex(message, ",p=")
	if end < 0 {
		return "", false, saslMalformedRequest
	}
	withoutProof := message[:end]
	fields := strings.Split(withoutProof, ",")
	proof, err := base64.StdEncoding.DecodeString(message[end+3:])
	binding, ok := strings.CutPrefix(fields[0], "c=")
	if err != nil || !ok || len(fields) < 2 || !strings.HasPrefix(fields[1], "r=") {
		return "", false, saslMalformedRequest
	}
	bound, err := base64.StdEncoding.DecodeString(binding)
	switch {
	case err != nil:
		return "", false, saslMalformedRequest
	case !hmac.Equal(bound, x.bound) || fields[1] != "r="+x.nonce || len(proof) != len(x.keys.StoredKey):
		return "", false, saslNotAuthorized
	}
	// ClientKey is the proof XOR ClientSignature, and its hash is StoredKey.
	auth := []byte(x.auth + withoutProof)
	for i, b := range x.mac(x.keys.StoredKey, auth) {
		proof[i] ^= b
	}
	h := x.hash()
	h.Write(proof)
	if !hmac.Equal(h.Sum(nil), x.keys.StoredKey) {
		return "", true, saslNotAuthorized
	}
	return "v=" + base64.StdEncoding.EncodeToString(x.mac(x.keys.ServerKey, auth)), false, nil
}

func (x *scramServer) mac(key, message []byte) []byte {
	h := hmac.New(x.hash, key)
	h.Write(message)
	return h.Sum(nil)
}

// offered returns what the hash of [XEP-0474, Server Sends Downgrade Protection Hash] is
// made of: the mechanisms that the client was offered, and the channel bindings. It is the
// same for both profiles: the mechanisms for tokens are not in the list of SASL2.
//
// [XEP-0474, Server Sends Downgrade Protection Hash]: https://xmpp.org/extensions/xep-0474.html#hash
func (s *Session) offered() string {
	var mechanisms, bindings []string
	for i := range s.mgr.mechs {
		if m := &s.mgr.mechs[i]; !m.token && m.offer(s) {
			mechanisms = append(mechanisms, m.name)
		}
	}
	b := s.negotiation().binding
	for _, x := range b.all() {
		if x.IsSupported() {
			bindings = append(bindings, string(x.Type))
		}
	}
	slices.Sort(mechanisms)
	slices.Sort(bindings)
	text := strings.Join(mechanisms, "\x1e")
	if len(bindings) > 0 {
		text += "\x1f" + strings.Join(bindings, "\x1e")
	}
	return text
}
