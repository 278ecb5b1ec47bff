package bench

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
)

const (
	withToken    = openStream + "<stream:features><authentication xmlns='urn:xmpp:sasl:2'><mechanism>PLAIN</mechanism><inline><bind xmlns='urn:xmpp:bind:0'/>" + offersTokens + "</inline></authentication></stream:features>"
	offersTokens = "<fast xmlns='urn:xmpp:fast:0'><mechanism>HT-SHA-256-EXPR</mechanism><mechanism>HT-SHA-256-NONE</mechanism></fast>"
	bound        = "<bound xmlns='urn:xmpp:bind:0'/>"
)

// tokenProof is what proves that a side knows the token, without channel binding.
func tokenProof(token, role string) string {
	h := hmac.New(sha256.New, []byte(token))
	h.Write([]byte(role))
	return string(h.Sum(nil))
}

// TestFAST: the first login of an account requests a token, for a mechanism that its channel
// allows; later ones use it, each with the next count, until the server sends another.
func TestFAST(t *testing.T) {
	const agent = "<user-agent id='00000000-0000-4000-8000-000000000000'/>"
	answer := func(token, rest string) string {
		return "<success xmlns='urn:xmpp:sasl:2'><additional-data>" + base64.StdEncoding.EncodeToString([]byte(tokenProof(token, "Responder"))) +
			"</additional-data><authorization-identifier>user0@localhost/made</authorization-identifier>" + bound + rest + "</success>"
	}
	issue := func(token string) string {
		return "<token xmlns='urn:xmpp:fast:0' expiry='2030-01-01T00:00:00Z' token='" + token + "'/>"
	}
	const requests = "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>AHVzZXIwAHNlY3JldA==</initial-response>" + agent +
		"<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/><bind xmlns='urn:xmpp:bind:0'><tag>bench</tag></bind></authenticate>"
	uses := "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='HT-SHA-256-NONE'><initial-response>" +
		base64.StdEncoding.EncodeToString([]byte("user0\x00"+tokenProof("T", "Initiator"))) + "</initial-response>" + agent +
		"<fast xmlns='urn:xmpp:fast:0' count='5'/><bind xmlns='urn:xmpp:bind:0'><tag>bench</tag></bind></authenticate>"
	refused := "<failure xmlns='urn:xmpp:sasl:2'><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></failure>"
	rest := script{"jabber:iq:roster", result, "<presence/>", "<presence/>"}
	had := fastToken{mechanism: htNone, key: "T", count: 4}
	for _, test := range []struct {
		desc   string
		token  *fastToken // before
		script script
		want   fastToken
		err    string
	}{
		{"requested", nil, append(script{">", withToken, requests, success2 + bound + issue("T") + "</success>"}, rest...), fastToken{mechanism: htNone, key: "T"}, ""},
		{"used", &had, append(script{">", withToken, uses, answer("T", "")}, rest...), fastToken{mechanism: htNone, key: "T", count: 5}, ""},
		{"replaced", &had, append(script{">", withToken, uses, answer("T", issue("U"))}, rest...), fastToken{mechanism: htNone, key: "U"}, ""},
		{"not offered", nil, script{">", features2}, fastToken{}, errNoFAST.Error()},
		{"not issued", nil, script{">", withToken, requests, success2 + bound + "</success>"}, fastToken{}, errNoToken.Error()},
		{"not known to the server", &had, script{">", withToken, uses, answer("other", "")}, fastToken{}, errTokenAnswer.Error()},
		{"refused", &had, script{">", withToken, uses, refused}, fastToken{}, "not-authorized"},
	} {
		t.Run(test.desc, func(t *testing.T) {
			addr, result := test.script.listen(t)
			cs := newTestClients(t, Config{Target: addr, Mechanism: Plain, FAST: true, Accounts: 1})
			if test.token != nil {
				before := *test.token
				cs.tokens.Store(0, &before)
			}
			err := cs.Login(t.Context(), 1)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("%v, want %s", err, test.err)
				}
				return
			}
			if err := errors.Join(err, <-result); err != nil {
				t.Fatal(err)
			}
			if got := cs.All()[0].token(); got == nil || *got != test.want {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
}

// tokenUses returns the number of logins that the clients' tokens were used for, and their
// mechanisms.
func tokenUses(cs *Clients) (n uint64, mechanisms string) {
	seen := make(map[string]bool)
	cs.tokens.Range(func(_, v any) bool {
		t := v.(*fastToken)
		if n += t.count; !seen[t.mechanism] {
			seen[t.mechanism] = true
			mechanisms += t.mechanism
		}
		return true
	})
	return n, mechanisms
}
