package server

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"roost/admin/api"
	"roost/store"
)

// TestClientTokens: the clients with tokens are listed; a client whose token is revoked is
// disconnected and needs the password, and the others stay. Logging an account out and
// locking it revoke its tokens, as a new password does.
func TestClientTokens(t *testing.T) {
	s := startServer(t, nil)
	c := adminOf(t, s)
	const romeo, phoneID, laptopID = "romeo@localhost", "d4565fa7-4d72-4749-b3d3-740edbf87770", "0b8f0a9e-1f5c-4d52-8d6b-6a9d3b1d5a11"
	authenticate := func(id, mechanism, message, more, until string) (*peer, string) {
		t.Helper()
		x := connect(t, s)
		x.ask(testHeader, "</stream:features>")
		return x, x.ask("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='"+mechanism+"'><initial-response>"+base64.StdEncoding.EncodeToString([]byte(message))+
			"</initial-response><user-agent id='"+id+"'><software>A &lt;messenger&gt;</software><device>Phone</device></user-agent>"+more+"</authenticate>", until)
	}
	login := func(id string) (x *peer, token string) {
		t.Helper()
		x, got := authenticate(id, "PLAIN", "\x00romeo\x00secret",
			"<bind xmlns='urn:xmpp:bind:0'><tag>x</tag></bind><request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>", "</stream:features>")
		found := regexp.MustCompile(` token='([^']+)'`).FindStringSubmatch(got)
		if found == nil {
			t.Fatalf("no token: %s", got)
		}
		return x, found[1]
	}
	use := func(id, token, want string) {
		t.Helper()
		h := hmac.New(sha256.New, []byte(token))
		h.Write([]byte("Initiator"))
		x, _ := authenticate(id, "HT-SHA-256-NONE", "romeo\x00"+string(h.Sum(nil)), "<fast xmlns='urn:xmpp:fast:0'/>", want)
		_ = x.conn.Close()
	}
	list := func(want ...string) (clients []api.TokenClient) {
		t.Helper()
		var got api.TokenList
		if err := c.Get(t.Context(), accountPath(api.PathAccountTokens, romeo), nil, &got); err != nil {
			t.Fatal(err)
		}
		if len(got.Clients) != len(want) {
			t.Fatalf("%+v, want %q", got.Clients, want)
		}
		for i, x := range got.Clients {
			if x.ID != want[i] {
				t.Errorf("client %d is %s, want %s", i, x.ID, want[i])
			}
		}
		return got.Clients
	}
	revoke := func(path string, want api.TokensRevoked) {
		t.Helper()
		var got api.TokensRevoked
		if err := c.Do(t.Context(), http.MethodDelete, accountPath(path, romeo), nil, nil, &got); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", path, got, err, want)
		}
	}
	change := func(path string, in, out any) {
		t.Helper()
		if err := c.Do(t.Context(), http.MethodPost, accountPath(path, romeo), nil, in, out); err != nil {
			t.Fatal(err)
		}
	}

	phone, first := login(phoneID)
	laptop, second := login(strings.ToUpper(laptopID))
	x := list(laptopID, phoneID)[1]
	if x.Software != "A <messenger>" || x.Device != "Phone" || x.Mechanism != "HT-SHA-256-NONE" || x.Expires.Sub(x.Issued).Hours() != 21*24 || x.Used.IsZero() {
		t.Errorf("%+v", x)
	}
	one := strings.Replace(api.PathAccountToken, "{client}", strings.ToUpper(phoneID), 1)
	revoke(one, api.TokensRevoked{Clients: 1, Sessions: 1})
	phone.ask("", "<policy-violation")
	use(phoneID, first, "<not-authorized")
	laptop.ask(pingOwn, "id='p'")
	use(laptopID, second, "<success")
	list(laptopID)
	revoke(one, api.TokensRevoked{})
	revoke(api.PathAccountTokens, api.TokensRevoked{Clients: 1})
	laptop.ask(pingOwn, "id='p'")
	use(laptopID, second, "<not-authorized")
	list()

	_, first = login(phoneID)
	var out api.AccountLogout
	if change(api.PathAccountLogout, nil, &out); out.Tokens != 1 {
		t.Errorf("%+v", out)
	}
	use(phoneID, first, "<not-authorized")

	_, first = login(phoneID)
	change(api.PathAccountDisable, nil, nil)
	change(api.PathAccountEnable, nil, nil)
	use(phoneID, first, "<not-authorized")

	_, first = login(phoneID)
	list(phoneID)
	change(api.PathAccountPassword, api.AccountPassword{Password: "secret", Iterations: store.MinIterations}, nil)
	list()
	use(phoneID, first, "<credentials-expired")
	if err := c.Get(t.Context(), accountPath(api.PathAccountTokens, "nobody@localhost"), nil, nil); !hasCode(err, api.CodeNotFound) {
		t.Error(err)
	}
}
