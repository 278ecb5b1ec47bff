package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"regexp"
	"strings"
	"testing"

	"roost/internal/cli"
)

// TestUserTokens: the clients of an account that have tokens (FAST, XEP-0484) are listed, and a
// client whose token is revoked needs the password. It makes no difference whether a server runs.
func TestUserTokens(t *testing.T) {
	const phone, laptop, tablet = "d4565fa7-4d72-4749-b3d3-740edbf87770", "0b8f0a9e-1f5c-4d52-8d6b-6a9d3b1d5a11", "7e1c2f0a-3f44-4d0e-9a55-2f6f3e0c9b21"
	server, dir, addr := servingAccounts(t, "romeo@localhost")
	authenticate := func(id, mechanism, message, more, until string) string {
		t.Helper()
		c := connected(t, addr, "localhost")
		return c.ask("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='"+mechanism+"'><initial-response>"+base64.StdEncoding.EncodeToString([]byte(message))+
			"</initial-response><user-agent id='"+id+"'><software>Messenger of "+id[:4]+"</software><device>Device</device></user-agent>"+more+"</authenticate>", until)
	}
	tokens := make(map[string]string)
	for _, id := range []string{phone, laptop, tablet} {
		found := regexp.MustCompile(` token='([^']+)'`).FindStringSubmatch(authenticate(id, "PLAIN", "\x00romeo\x00secret",
			"<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>", "</success>"))
		if found == nil {
			t.Fatal("no token")
		}
		tokens[id] = found[1]
	}
	use := func(id, until string) {
		t.Helper()
		mac := hmac.New(sha256.New, []byte(tokens[id]))
		mac.Write([]byte("Initiator"))
		authenticate(id, "HT-SHA-256-NONE", "romeo\x00"+string(mac.Sum(nil)), "<fast xmlns='urn:xmpp:fast:0'/>", until)
	}
	run := runner(t, dir)
	lines := func(ids ...string) string {
		var b strings.Builder
		b.WriteString(`^CLIENT +SOFTWARE +DEVICE +USED +EXPIRES\n`)
		for _, id := range ids {
			b.WriteString(id + ` +Messenger of ` + id[:4] + ` +Device +20\d\d-\d\d-\d\d +20\d\d-\d\d-\d\d\n`)
		}
		return b.String() + `$`
	}
	run(0, lines(laptop, tablet, phone), "user", "tokens", "romeo@localhost")
	run(0, `^(\{"id":"[^\n]*"software":"Messenger of [^\n]*\}\n){3}$`, "user", "tokens", "romeo@localhost", "--json")
	use(phone, "</success>")
	run(0, `^revoked 1 token of romeo@localhost; sessions ended: 0\n$`, "user", "revoke", "romeo@localhost", phone)
	run(cli.ExitFailure, `romeo@localhost has no client `+phone+` with a token`, "user", "revoke", "romeo@localhost", phone)
	run(0, lines(laptop, tablet), "user", "tokens", "romeo@localhost")
	use(phone, "<not-authorized ")
	use(laptop, "</success>")

	stopped(t, server)
	run(0, lines(laptop, tablet), "user", "tokens", "romeo@localhost")
	run(0, `^revoked 1 token of romeo@localhost; sessions ended: 0\n$`, "user", "revoke", "romeo@localhost", strings.ToUpper(laptop))
	run(0, lines(tablet), "user", "tokens", "romeo@localhost")
	run(0, `"clients": 1,`, "user", "revoke", "romeo@localhost", "--all", "--json")
	run(0, lines(), "user", "tokens", "romeo@localhost")
	_, greeting := serving(t, nil, "--c2s", "127.0.0.1:0", "--c2s-tls", "", "--allow-plaintext", "--data", dir)
	addr = regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(greeting)
	use(laptop, "<not-authorized ")
	use(tablet, "<not-authorized ")
}
