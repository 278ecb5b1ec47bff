package bench

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"roost/parser"
)

// Login with a token (FAST, XEP-0484, https://xmpp.org/extensions/xep-0484.html): the first
// login of an account is by password and requests a token, which the later ones use.

const (
	fastNS = "urn:xmpp:fast:0"

	// The mechanisms for tokens
	// (https://datatracker.ietf.org/doc/draft-schmaus-kitten-sasl-ht/09/) that a client
	// uses: the first binds the login to its TLS 1.3 channel.
	htExporter = "HT-SHA-256-EXPR"
	htNone     = "HT-SHA-256-NONE"
)

// Errors of logins with tokens.
var (
	errNoFAST      = errors.New("the server does not offer tokens (FAST, XEP-0484): leave out --fast")
	errNoToken     = errors.New("the server did not issue the token that was requested")
	errTokenAnswer = errors.New("the server has not proved that it knows the token")
)

// fastToken is the token of an account. The account has one client at a time, which uses it.
type fastToken struct {
	mechanism string // that it was requested for, and the only one it is valid for
	key       string
	count     uint64 // of the logins that have used it
}

// exporter returns the data that binds a login to its TLS channel (RFC 9266,
// https://www.rfc-editor.org/rfc/rfc9266), nil before TLS 1.3.
func exporter(state *tls.ConnectionState) []byte {
	if state == nil || state.Version < tls.VersionTLS13 {
		return nil
	}
	data, err := state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
	if err != nil {
		return nil
	}
	return data
}

// token returns the account's token, nil if it has none.
func (c *Client) token() *fastToken {
	if t, ok := c.clients.tokens.Load(c.number); ok {
		return t.(*fastToken)
	}
	return nil
}

// fastLogin returns the mechanism, the first message in Base64, and what <authenticate/>
// contains for the use of the account's token, or for a request of one. It returns false if
// the login has failed.
func (c *Client) fastLogin(offer parser.Element) (mechanism, initial, rest string, ok bool) {
	agent := fmt.Sprintf("<user-agent id='00000000-0000-4000-8000-%012x'/>", c.clients.cfg.First+c.number)
	if t := c.token(); t != nil {
		t.count++
		message := append([]byte(c.account.User+"\x00"), c.tokenHash(t, "Initiator")...)
		return t.mechanism, base64.StdEncoding.EncodeToString(message), fmt.Sprintf("%s<fast xmlns='"+fastNS+"' count='%d'/>", agent, t.count), true
	}
	var offered []string
	for m := offer.Child(sasl2NS, "inline").Child(fastNS, "fast").First(); m.OK(); m = m.Next() {
		offered = append(offered, string(m.AppendText(nil)))
	}
	switch {
	case c.binding != nil && slices.Contains(offered, htExporter):
		c.requested = htExporter
	case slices.Contains(offered, htNone):
		c.requested = htNone
	default:
		c.fail(errNoFAST)
		return "", "", "", false
	}
	if initial, ok = c.initialResponse(); !ok {
		return "", "", "", false
	}
	return string(c.clients.cfg.Mechanism), initial, agent + "<request-token xmlns='" + fastNS + "' mechanism='" + c.requested + "'/>", true
}

// tokenHash returns what proves that the client or the server knows the token.
func (c *Client) tokenHash(t *fastToken, role string) []byte {
	h := hmac.New(sha256.New, []byte(t.key))
	h.Write([]byte(role))
	if t.mechanism == htExporter {
		h.Write(c.binding)
	}
	return h.Sum(nil)
}

// fastSuccess checks the server's proof and keeps a new token. It returns false if the login
// has failed.
func (c *Client) fastSuccess(el parser.Element) bool {
	t := c.token()
	if t != nil {
		proof, err := base64.StdEncoding.AppendDecode(nil, bytes.TrimSpace(el.Child(sasl2NS, "additional-data").AppendText(nil)))
		if err != nil || !hmac.Equal(proof, c.tokenHash(t, "Responder")) {
			c.fail(errTokenAnswer)
			return false
		}
		c.requested = t.mechanism // a new one, if any, is for the same
	}
	key := string(el.Child(fastNS, "token").Attr("token"))
	switch {
	case key != "":
		c.clients.tokens.Store(c.number, &fastToken{mechanism: c.requested, key: key})
	case t == nil:
		c.fail(errNoToken)
		return false
	}
	return true
}
